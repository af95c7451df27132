//! How a recording is written down, told by its first line.

use crate::record::Entry;
use crate::{entries, frames, stamped, transcript};

/// How a recording is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A receive time and a message.
    Stamped,
    /// cryptofeed's JSON lines.
    Entries,
    /// cryptofeed's older text.
    Transcript,
    /// JSON lines that hold the frame itself.
    Frames,
}

impl Format {
    /// The name used in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stamped => "stamped_lines",
            Self::Entries => "cryptofeed_jsonl",
            Self::Transcript => "cryptofeed_text",
            Self::Frames => "frame_lines",
        }
    }

    /// The format that a file's first line is in.
    pub(crate) fn of(line: &[u8]) -> Option<Self> {
        if stamped::is_one(line) {
            Some(Self::Stamped)
        } else if transcript::is_one(line) {
            Some(Self::Transcript)
        } else if entries::is_one(line) {
            Some(Self::Entries)
        } else if frames::is_one(line) {
            Some(Self::Frames)
        } else {
            None
        }
    }

    pub(crate) fn read(self, line: &[u8]) -> Result<Option<Entry>, String> {
        match self {
            Self::Stamped => stamped::read(line).map(Some),
            Self::Entries => entries::read(line),
            Self::Transcript => transcript::read(line),
            Self::Frames => frames::read(line),
        }
    }
}
