//! Values as bytes: how one is put, and how it is taken back.

use super::CodecError;

/// A value with exactly one encoding.
pub(super) trait Codec: Sized {
    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes the value from the front.
    fn get(input: &mut Input<'_>) -> Result<Self, CodecError>;
}

/// Bytes that are taken from the front.
#[derive(Debug)]
pub(super) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// The next byte, left where it is.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (first, rest) = self.rest.split_first_chunk::<N>().ok_or(CodecError::Short)?;
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn slice(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        let (first, rest) = self.rest.split_at_checked(len).ok_or(CodecError::Short)?;
        self.rest = rest;
        Ok(first)
    }

    pub(super) fn finish(self) -> Result<(), CodecError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(CodecError::Trailing(left)),
        }
    }
}

/// Decodes a payload that is one value and nothing more.
pub(super) fn whole<T: Codec>(payload: &[u8]) -> Result<T, CodecError> {
    let mut input = Input::new(payload);
    let value = T::get(&mut input)?;
    input.finish()?;
    Ok(value)
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Codec for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
                input.array().map(Self::from_le_bytes)
            }
        }
    )*};
}

// `f32` keeps its bits, those of a NaN too: a signal is compared by its bytes.
number!(u8, u16, u32, u64, i64, i128, f32);

impl<const N: usize> Codec for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
        input.array()
    }
}

impl Codec for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
        match u8::get(input)? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(CodecError::Tag { what: "bool", tag }),
        }
    }
}

impl<T: Codec> Codec for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.put(out);
            }
        }
    }

    fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
        match u8::get(input)? {
            0 => Ok(None),
            1 => T::get(input).map(Some),
            tag => Err(CodecError::Tag { what: "option", tag }),
        }
    }
}

/// Appends a length or count. Whoever calls keeps it below 2^32: a payload is at most 4 MiB.
pub(super) fn put_count(count: usize, out: &mut Vec<u8>) {
    u32::try_from(count).unwrap_or(u32::MAX).put(out);
}

/// Takes a length or count of at most `max`.
pub(super) fn get_count(input: &mut Input<'_>, what: &'static str, max: usize) -> Result<usize, CodecError> {
    let count = usize::try_from(u32::get(input)?).unwrap_or(usize::MAX);
    if count > max {
        return Err(CodecError::TooMany { what, count, max });
    }
    Ok(count)
}

pub(super) fn put_list<T: Codec>(list: &[T], out: &mut Vec<u8>) {
    put_count(list.len(), out);
    for item in list {
        item.put(out);
    }
}

pub(super) fn get_list<T: Codec>(
    input: &mut Input<'_>,
    what: &'static str,
    max: usize,
) -> Result<Vec<T>, CodecError> {
    let count = get_count(input, what, max)?;
    (0..count).map(|_| T::get(input)).collect()
}

pub(super) fn put_text(text: &str, out: &mut Vec<u8>) {
    put_count(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn get_text(input: &mut Input<'_>, what: &'static str, max: usize) -> Result<String, CodecError> {
    let len = get_count(input, what, max)?;
    let bytes = input.slice(len)?;
    std::str::from_utf8(bytes)
        .map(str::to_owned)
        .map_err(|_| CodecError::Text(what))
}

/// A struct: its fields, one after the other, in the order given here.
macro_rules! fields {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl Codec for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($field.put(out);)*
            }

            fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
                Ok(Self { $($field: Codec::get(input)?),* })
            }
        }
    };
}

/// A struct of one field without a name.
macro_rules! wraps {
    ($($type:ident),* $(,)?) => {$(
        impl Codec for $type {
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }

            fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
                Codec::get(input).map(Self)
            }
        }
    )*};
}

/// An enum: one byte for the variant, then its fields in the order given here.
macro_rules! variants {
    ($type:ident, $what:literal {
        $($tag:literal => $variant:ident $( ( $($item:ident),* ) )? $( { $($field:ident),* } )?),* $(,)?
    }) => {
        impl Codec for $type {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $( ( $($item),* ) )? $( { $($field),* } )? => {
                        out.push($tag);
                        $($($item.put(out);)*)?
                        $($($field.put(out);)*)?
                    })*
                }
            }

            fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
                match u8::get(input)? {
                    $($tag => {
                        $($(let $item = Codec::get(input)?;)*)?
                        $($(let $field = Codec::get(input)?;)*)?
                        Ok(Self::$variant $( ( $($item),* ) )? $( { $($field),* } )?)
                    })*
                    tag => Err(CodecError::Tag { what: $what, tag }),
                }
            }
        }
    };
}

pub(super) use {fields, variants, wraps};
