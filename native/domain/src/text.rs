//! Short ASCII text held inline, so that identifiers are `Copy` and never allocate.

use std::fmt;

/// ASCII text of at most `N` bytes (`N` at most 255).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Text<N> {
    /// Holds `text`; `None` when it is longer than `N` bytes or not printable ASCII (space included).
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        Self::from_ascii(text.as_bytes())
    }

    /// The same of bytes that nobody has called text yet.
    #[must_use]
    pub fn from_ascii(text: &[u8]) -> Option<Self> {
        let len = u8::try_from(text.len()).ok()?;
        let printable = text.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
        if text.len() > N || !printable {
            return None;
        }
        let mut bytes = [0; N];
        bytes[..text.len()].copy_from_slice(text);
        Some(Self { bytes, len })
    }

    /// Holds a text of this project's own, for constants.
    pub(crate) const fn constant(text: &str) -> Self {
        let from = text.as_bytes();
        assert!(from.len() <= N && text.is_ascii(), "a constant that fits");
        let mut bytes = [0; N];
        let (mut at, mut len) = (0, 0);
        while at < from.len() {
            bytes[at] = from[at];
            at += 1;
            len += 1;
        }
        Self { bytes, len }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // The constructor admits ASCII only, so this is always valid.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.as_str())
    }
}
