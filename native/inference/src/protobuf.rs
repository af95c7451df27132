//! A reader of Protocol Buffers' wire format: borrowed, bounded, never recursive, never allocating.
//!
//! <https://protobuf.dev/programming-guides/encoding/>. A message is read field by field; the caller descends, so
//! nesting is as deep as the caller's code and no file can deepen it.

use crate::error::InferenceError;

/// A varint holds 64 bits in groups of 7.
const MAX_VARINT_BYTES: usize = 10;

/// A message that is being read.
pub(crate) struct Message<'a> {
    rest: &'a [u8],
    offset: usize,
    place: &'static str,
}

/// One field of a message.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) number: u64,
    value: Value<'a>,
    offset: usize,
    place: &'static str,
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Varint(u64),
    Fixed32(u32),
    Fixed64,
    Bytes(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The outermost message.
    pub(crate) fn new(bytes: &'a [u8], place: &'static str) -> Self {
        Self {
            rest: bytes,
            offset: 0,
            place,
        }
    }

    /// The next field; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, InferenceError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 {
            return Err(self.malformed("field number 0"));
        }
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Fixed64
            }
            2 => {
                let length = self.varint()?;
                let length =
                    usize::try_from(length).map_err(|_| self.malformed("a length beyond the end"))?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(self.fixed32()?),
            _ => return Err(self.malformed("a group or an unknown wire type")),
        };
        let length = if let Value::Bytes(bytes) = value {
            bytes.len()
        } else {
            0
        };
        Ok(Some(Field {
            number,
            value,
            offset: self.offset - length,
            place: self.place,
        }))
    }

    fn varint(&mut self) -> Result<u64, InferenceError> {
        let mut value = 0_u64;
        for (index, &byte) in self.rest.iter().take(MAX_VARINT_BYTES).enumerate() {
            if index == MAX_VARINT_BYTES - 1 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.take(index + 1)?;
                return Ok(value);
            }
        }
        Err(self.malformed("a cut-off or too long varint"))
    }

    fn fixed32(&mut self) -> Result<u32, InferenceError> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], InferenceError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.malformed("a length beyond the end"));
        };
        self.rest = rest;
        self.offset += count;
        Ok(taken)
    }

    fn malformed(&self, fault: &'static str) -> InferenceError {
        InferenceError::Malformed {
            place: self.place,
            offset: self.offset,
            fault,
        }
    }
}

impl<'a> Field<'a> {
    /// The field as a message named `place`.
    pub(crate) fn message(self, place: &'static str) -> Result<Message<'a>, InferenceError> {
        Ok(Message {
            rest: self.bytes()?,
            offset: self.offset,
            place,
        })
    }

    /// The field as bytes.
    pub(crate) fn bytes(self) -> Result<&'a [u8], InferenceError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.malformed("a number where bytes are expected")),
        }
    }

    /// The field as text.
    pub(crate) fn text(self) -> Result<&'a str, InferenceError> {
        str::from_utf8(self.bytes()?).map_err(|_| self.malformed("text that is not UTF-8"))
    }

    /// The field as an integer (`int64`: two's complement in 64 bits).
    pub(crate) fn int(self) -> Result<i64, InferenceError> {
        match self.value {
            Value::Varint(value) => Ok(value.cast_signed()),
            _ => Err(self.malformed("no integer where one is expected")),
        }
    }

    /// Adds a repeated integer field, packed or not, to `list`.
    pub(crate) fn append_ints(
        self,
        list: &mut Vec<i64>,
        limit: usize,
        what: &'static str,
    ) -> Result<(), InferenceError> {
        if let Value::Bytes(_) = self.value {
            let mut packed = self.message(what)?;
            while !packed.rest.is_empty() {
                push(list, packed.varint()?.cast_signed(), limit, what)?;
            }
            return Ok(());
        }
        push(list, self.int()?, limit, what)
    }

    /// Adds a repeated float32 field, packed or not, to `list`.
    pub(crate) fn append_floats(
        self,
        list: &mut Vec<f32>,
        limit: usize,
        what: &'static str,
    ) -> Result<(), InferenceError> {
        match self.value {
            Value::Fixed32(bits) => push(list, f32::from_bits(bits), limit, what),
            Value::Bytes(_) => {
                let mut packed = self.message(what)?;
                while !packed.rest.is_empty() {
                    push(list, f32::from_bits(packed.fixed32()?), limit, what)?;
                }
                Ok(())
            }
            _ => Err(self.malformed("no float32 where one is expected")),
        }
    }

    /// Stores a field that may stand once.
    pub(crate) fn set<T>(self, slot: &mut Option<T>, value: T) -> Result<(), InferenceError> {
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(self.malformed("a field that may stand once stands twice")),
        }
    }

    fn malformed(self, fault: &'static str) -> InferenceError {
        InferenceError::Malformed {
            place: self.place,
            offset: self.offset,
            fault,
        }
    }
}

/// Adds to a list that has a bound.
pub(crate) fn push<T>(
    list: &mut Vec<T>,
    value: T,
    limit: usize,
    place: &'static str,
) -> Result<(), InferenceError> {
    if list.len() >= limit {
        return Err(InferenceError::TooMany {
            place,
            count: list.len() + 1,
            limit,
        });
    }
    list.push(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_has_64_bits_and_no_more() {
        let mut all = Message::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "x");
        assert_eq!(all.varint(), Ok(u64::MAX));
        let mut more = Message::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], "x");
        assert!(more.varint().is_err());
    }

    #[test]
    fn a_length_beyond_the_end_is_refused_with_its_place() {
        let Err(error) = Message::new(&[0x0a, 0x05, 0x01], "ModelProto").next() else {
            panic!("five bytes were promised, one is there");
        };
        assert_eq!(
            error.to_string(),
            "ModelProto, byte 2: a length beyond the end; the file is damaged or no ONNX file: export it again"
        );
    }

    #[test]
    fn groups_and_field_zero_are_refused() {
        assert!(Message::new(&[0x0b], "x").next().is_err());
        assert!(Message::new(&[0x02, 0x00], "x").next().is_err());
    }
}
