//! Segments of sealed memory, and the socket that hands them out.
//!
//! ```text
//! service                                             client (same user)
//! memfd_create, size, header, map, seal
//! SegmentServer::bind(<0700 directory>/x.sock)
//!                                <-- connect           SO_PEERCRED checked on both sides
//!                                <-- name, 64 bytes
//! answer, 1024 bytes + fd -->                          SCM_RIGHTS
//!                                                      seals, size, header checked, then mapped
//! ```
//!
//! Seals: `SHRINK` and `GROW` (nobody can pull pages from under a mapping: no SIGBUS), `FUTURE_WRITE` where clients
//! only read (nobody but the writer's existing mapping can write), `SEAL` (the set is final). Pages are allocated when
//! the segment is made, so that a full tmpfs is an error then and not a fault later.

mod client;
mod liveness;
mod mapping;
mod peer;
mod segment;
mod server;
mod wire;

pub use client::Reattached;
pub use liveness::{STALE_AFTER_NS, SUSPECT_AFTER_NS, monotonic_ns};
pub use mapping::{ReadMapping, WriteMapping};
pub use peer::check_user;
pub use server::{MAX_SEGMENTS, SegmentRegistry, SegmentServer, Served, private_directory};
pub use wire::{EXCHANGE_TIMEOUT_MS, MAX_NAME_BYTES};

pub(crate) use client::{AttachedSegment, Attachment, attach, attach_writable};
pub(crate) use liveness::heartbeat_age_ns;
pub(crate) use segment::{ClientAccess, OwnedSegment, SegmentSpec};

#[cfg(test)]
mod tests;
