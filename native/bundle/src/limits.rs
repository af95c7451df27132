//! The named bounds of everything that a store may hold against us.

/// Bytes of `manifest.json`.
pub const MANIFEST_BYTES_MAX: u64 = 64 << 10;

/// Bytes of one signed statement.
pub const ENVELOPE_BYTES_MAX: u64 = 16 << 10;

/// Nanoseconds for which an approval may stand: a leap year. What nobody looks at again must end by itself.
pub const APPROVAL_NS_MAX: i64 = 366 * 86_400 * 1_000_000_000;

/// Bytes of one file of a bundle.
pub const FILE_BYTES_MAX: u64 = 32 << 20;

/// Bytes of all files of a bundle.
pub const BUNDLE_BYTES_MAX: u64 = 64 << 20;

/// Names that are looked at in one folder before the rest is called foreign.
pub const ENTRIES_MAX: usize = 64;

/// Bytes of a bundle's name, and of its instrument.
pub const NAME_BYTES_MAX: usize = 64;

/// Bytes of `trusted_keys.toml`.
pub const TRUSTED_KEYS_BYTES_MAX: usize = 64 << 10;

/// Trusted keys.
pub const KEYS_MAX: usize = 64;

/// Tables, raw files and seeds that a provenance may name, each.
pub const PROVENANCE_ENTRIES_MAX: usize = 4_096;
