//! The only crate that knows Python; a few lines per function.

mod arrow;
mod backtesting;
mod bundle;
mod config_files;
mod error;
mod features;
mod flow;
mod indicators;
mod ipc;
mod journal;
mod program;
mod table;

use pyo3::prelude::*;

/// The Rust half of py_rt, as Python calls it.
#[pymodule]
mod py_rt_core {
    #[pymodule_export]
    use crate::backtesting::{
        BacktestResults, BarView, CancelWorking, Order, OrderUpdate, QuoteView, SlotView, backtest_strategy,
    };
    #[pymodule_export]
    use crate::bundle::{
        bundle_words, inspect_bundle, looser_limits, trusted_keys, verify_built_bundle, verify_bundle,
    };
    #[pymodule_export]
    use crate::config_files::{check_config, config_keys, config_kinds};
    #[pymodule_export]
    use crate::error::CoreError;
    #[pymodule_export]
    use crate::features::{FeatureStream, columns_beside, compute_features, feature_spec_json, warmup_bars};
    #[pymodule_export]
    use crate::flow::{event_bars, flow_columns};
    #[pymodule_export]
    use crate::indicators::calculate_sma;
    #[pymodule_export]
    use crate::ipc::{
        FlagsReader, MarketCacheReader, ParameterAnswer, ParameterWriter, RingPoll, RingReader, TableReader,
        market_cache_codes, market_cache_dtype, record_dtype, record_kinds,
    };
    #[pymodule_export]
    use crate::journal::{journal_signals, replay_journal, trace_order};
    #[pymodule_export]
    use crate::program::{
        FeatureProgram, FeatureRunner, column_addresses, feature_functions, feature_inputs,
    };
    #[pymodule_export]
    use crate::table::Table;
}
