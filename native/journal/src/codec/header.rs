//! The first record of a life: what is needed to build the same engine again.

use domain::Epoch;
use engine::limits::MOVEMENTS_REMEMBERED;
use engine::{CarriedAccount, EngineConfig};

use super::bytes::{Codec, Input, get_list, get_text, put_list, put_text};
use super::{CodecError, Format};

/// Configuration files that one header holds.
pub const TEXTS_MAX: usize = 64;

/// Bytes of one configuration file; a header with all of them fits in one record of at most 4 MiB.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// Marks what is carried of the account, behind the texts.
const ACCOUNT: u8 = 1;

/// Marks the names of the account's movements, behind that.
const MOVEMENTS: u8 = 2;

/// Bytes of a version or run id.
const NAME_BYTES_MAX: usize = 255;

/// One configuration file as the service read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigText {
    /// Its path as it was given.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// Who writes from here on, and what the engine was built from. Record 0 of a journal, and again whenever a later life
/// of the service begins in the same journal.
///
/// The number of the format stands before it, in its bytes and in every segment: the reader tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunHeader {
    /// Version and build of the program that writes, at most 255 bytes.
    pub binary_version: String,
    /// Names the run, at most 255 bytes.
    pub run_id: String,
    /// What [`engine::Engine::new`] got: limits, instruments, slots, the epoch, and what an earlier life left.
    pub config: EngineConfig,
    /// The configuration files, for people and for comparison; at most [`TEXTS_MAX`] of [`TEXT_BYTES_MAX`] each.
    pub texts: Vec<ConfigText>,
}

impl RunHeader {
    /// The number of this life of the service.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.config.epoch
    }
}

impl Codec for ConfigText {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { name, text } = self;
        put_text(name, out);
        put_text(text, out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            name: get_text(input, "name of a configuration file", NAME_BYTES_MAX)?,
            text: get_text(input, "configuration file", TEXT_BYTES_MAX)?,
        })
    }
}

/// Appends a header to `out`, in [`Format::CURRENT`].
///
/// What exceeds a bound is written all the same and refused by [`decode_header`]: the writer reads back what it is
/// about to write.
pub fn encode_header(header: &RunHeader, out: &mut Vec<u8>) {
    let RunHeader {
        binary_version,
        run_id,
        config,
        texts,
    } = header;
    Format::CURRENT.number().put(out);
    put_text(binary_version, out);
    put_text(run_id, out);
    config.put(out);
    put_list(texts, out);
    // Headers of older builds end here, and so does one with nothing to carry.
    if !config.carried.account.is_empty() {
        out.push(ACCOUNT);
        config.carried.account.put(out);
    }
    if !config.carried.movements.is_empty() {
        out.push(MOVEMENTS);
        put_list(&config.carried.movements, out);
    }
}

/// Reads what [`encode_header`] wrote.
///
/// # Errors
/// Every [`CodecError`].
pub fn decode_header(payload: &[u8]) -> Result<RunHeader, CodecError> {
    let mut input = Input::new(payload);
    let Format::V1 = Format::from_number(u16::get(&mut input)?)?;
    let mut header = RunHeader {
        binary_version: get_text(&mut input, "version of the program", NAME_BYTES_MAX)?,
        run_id: get_text(&mut input, "run id", NAME_BYTES_MAX)?,
        config: Codec::get(&mut input)?,
        texts: get_list(&mut input, "configuration files", TEXTS_MAX)?,
    };
    if input.peek() == Some(ACCOUNT) {
        u8::get(&mut input)?;
        let account = CarriedAccount::get(&mut input)?;
        if account.is_empty() {
            // What carries nothing is not written.
            let what = "part of a header";
            return Err(CodecError::Tag { what, tag: ACCOUNT });
        }
        header.config.carried.account = account;
    }
    if input.peek() == Some(MOVEMENTS) {
        u8::get(&mut input)?;
        let movements = get_list(&mut input, "carried names of movements", MOVEMENTS_REMEMBERED)?;
        if movements.is_empty() {
            let (what, tag) = ("part of a header", MOVEMENTS);
            return Err(CodecError::Tag { what, tag });
        }
        header.config.carried.movements = movements;
    }
    input.finish()?;
    Ok(header)
}
