//! `config`: the one validator of files; reports every fault with file:line.
//!
//! Each kind of file is closed: its keys are a table ([`schema()`]), and whatever is not in the table is a
//! fault. All faults of a file come back at once ([`ConfigErrors`]), each with its place, what was found
//! and what is allowed. Decimal values are read from their source text, never through a float.
//!
//! Python calls this crate through `py_rt_core`, so both languages give the same verdict.

mod document;
mod fault;
mod features;
mod features_json;
mod guard;
mod load;
mod looser;
mod nearest;
mod number;
mod risk_limits;
mod schema;
mod service;
mod service_schema;
mod simulated;
mod slow;
mod strategy;
mod values;
mod watch;

pub use fault::{ConfigErrors, Fault, FaultKind};
pub use features::{parse_feature_spec, unit_of};
pub use features_json::{feature_spec_canonical_json, parse_feature_spec_json};
pub use guard::Guard;
pub use load::{LoadError, LoadedService, SourceText, load_service, read_file};
pub use looser::{LooserLimit, not_looser_than};
pub use risk_limits::parse_risk_limits;
pub use schema::{FileKind, Key, Kind, Presence, schema};
pub use service::{
    ClockConfig, EngineSettings, InstrumentChoice, JournalConfig, MarketData, OrderEntry, ServiceConfig,
    SlotChoice, Stage, VenueConfig, parse_service, parse_service_layers,
};
pub use simulated::{GatewayChoice, SimulatedConfig};
pub use strategy::{StrategyConfig, parse_strategy};
pub use watch::{WATCHED_VENUES_MAX, WatchConfig};

/// Largest file that is read, bytes.
pub const FILE_BYTES_MAX: usize = 1 << 16;

/// Checks a file of any kind and drops what it says: the verdict alone.
///
/// # Errors
/// Every fault of the file.
pub fn check(kind: FileKind, file_name: &str, text: &str) -> Result<(), ConfigErrors> {
    match kind {
        FileKind::RiskLimits => parse_risk_limits(file_name, text).map(drop),
        FileKind::Strategy => parse_strategy(file_name, text).map(drop),
        FileKind::Features => parse_feature_spec(file_name, text).map(drop),
        FileKind::Service => parse_service(file_name, text).map(drop),
    }
}
