//! The strategy that Python names or gives, as a program of the engine.

use backtest::Program;
use config::StrategyConfig;
use domain::{Decimal, Nanos};
use engine::signals::{FeatureSpec, Model};
use engine::strategy::{SmaCross, SmaCrossParameters, SmaSource, ThresholdModel};
use inference::TreeModel;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMapping};

use super::market::Market;
use super::options::Options;
use super::strategy::{Failure, PyStrategy};
use crate::error::refused;

const KINDS: &str = "sma_cross, threshold_model and python";

/// A program, and what its files say beside it.
pub(super) struct Loaded {
    /// What the engine runs.
    pub(super) program: Program,
    /// From the strategy file, where it stands there.
    pub(super) daily_volatility: Option<Decimal>,
}

impl Loaded {
    /// Reads a strategy: a mapping with its kind, or any other object as a strategy in Python.
    pub(super) fn new(given: &Bound<'_, PyAny>, market: &Market, failure: &Failure) -> PyResult<Self> {
        if given.cast::<PyMapping>().is_err() {
            return Ok(bare(PyStrategy::new(given, failure)?));
        }
        let mut options = Options::new(given.py(), "strategy", Some(given))?;
        let kind: String = options
            .text("kind")?
            .ok_or_else(|| refused(format!("strategy: kind is missing; there are {KINDS}")))?;
        let loaded = match kind.as_str() {
            "sma_cross" => sma_cross(&mut options, market)?,
            "threshold_model" => threshold_model(&mut options, market)?,
            "python" => python(&mut options, market, failure)?,
            other => {
                return Err(refused(format!(
                    "strategy: kind {other:?} is not known; there are {KINDS}"
                )));
            }
        };
        options.finish()?;
        Ok(loaded)
    }

    /// Names of the features, in order.
    pub(super) fn feature_names(&self) -> Vec<String> {
        let features = self.program.features.iter().flat_map(|spec| &spec.features);
        features.map(|feature| feature.name.clone()).collect()
    }
}

fn bare(strategy: impl engine::strategy::Strategy + 'static) -> Loaded {
    Loaded {
        program: Program {
            strategy: Box::new(strategy),
            features: None,
            model: None,
        },
        daily_volatility: None,
    }
}

fn sma_cross(options: &mut Options<'_>, market: &Market) -> PyResult<Loaded> {
    let parameters = SmaCrossParameters {
        source: match market {
            Market::Bars { .. } => SmaSource::BarClose,
            Market::Quotes(_) => SmaSource::QuoteMid,
        },
        fast: options.number_or("fast", 20)?,
        slow: options.number_or("slow", 50)?,
        position_size_pct: options.number_or(
            "position_size_pct",
            Decimal::from_units(Decimal::ONE.units() / 10),
        )?,
    };
    let strategy = SmaCross::new(parameters).map_err(|fault| refused(format!("strategy: {fault}")))?;
    Ok(bare(strategy))
}

fn threshold_model(options: &mut Options<'_>, market: &Market) -> PyResult<Loaded> {
    let text = options
        .text("strategy")?
        .ok_or_else(|| refused("strategy: strategy is missing: the text of the strategy file"))?;
    let file = config::parse_strategy("strategy", &text).map_err(refused)?;
    let spec = features(options)?.ok_or_else(|| refused("strategy: features is missing"))?;
    let model = model(options, &spec)?.ok_or_else(|| refused("strategy: model is missing"))?;
    check_file(&file, &spec.spec, market)?;
    let strategy = ThresholdModel::new(file.parameters, &model)
        .map_err(|fault| refused(format!("strategy: {fault}")))?;
    Ok(Loaded {
        program: Program {
            strategy: Box::new(strategy),
            features: Some(spec.spec),
            model: Some(Box::new(model)),
        },
        daily_volatility: file.daily_volatility,
    })
}

fn python(options: &mut Options<'_>, market: &Market, failure: &Failure) -> PyResult<Loaded> {
    let object = options.required("object")?;
    let spec = features(options)?;
    if let Some(spec) = &spec {
        check_span(&spec.spec, market)?;
    }
    let model: Option<Box<dyn Model>> = match &spec {
        Some(spec) => model(options, spec)?.map(|model| Box::new(model) as _),
        None if options.take("model")?.is_some() => {
            return Err(refused("strategy: a model needs features"));
        }
        None => None,
    };
    Ok(Loaded {
        program: Program {
            strategy: Box::new(PyStrategy::new(&object, failure)?),
            features: spec.map(|spec| spec.spec),
            model,
        },
        daily_volatility: None,
    })
}

/// A feature specification with the hash of the bytes it was read from.
struct HashedSpec {
    spec: FeatureSpec,
    sha256: String,
}

fn features(options: &mut Options<'_>) -> PyResult<Option<HashedSpec>> {
    let Some(given) = options.take("features")? else {
        return Ok(None);
    };
    let bytes = given
        .extract::<Vec<u8>>()
        .or_else(|_| given.extract::<String>().map(String::into_bytes))
        .map_err(|_| refused("strategy: features are neither text nor bytes of features.json"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| refused("strategy: features are not UTF-8"))?;
    let spec = config::parse_feature_spec_json("features.json", text).map_err(refused)?;
    let hash = given
        .py()
        .import("hashlib")?
        .call_method1("sha256", (PyBytes::new(given.py(), &bytes),))?;
    let sha256 = hash.call_method0("hexdigest")?.extract()?;
    Ok(Some(HashedSpec { spec, sha256 }))
}

/// The model, which must have been trained on these features in this order.
fn model(options: &mut Options<'_>, spec: &HashedSpec) -> PyResult<Option<TreeModel>> {
    let Some(given) = options.take("model")? else {
        return Ok(None);
    };
    let bytes = given
        .cast::<PyBytes>()
        .map_err(|_| refused("strategy: model must be the bytes of an ONNX file"))?;
    let model = TreeModel::load(bytes.as_bytes()).map_err(|fault| refused(format!("model: {fault}")))?;
    let metadata = model.metadata();
    let names = spec.spec.features.iter().map(|feature| &feature.name);
    if !names.eq(metadata.feature_names()) {
        return Err(refused(format!(
            "model: its features are {}, those of features.json are others or in another order",
            metadata.feature_names().join(", ")
        )));
    }
    if metadata.feature_spec_sha256() != spec.sha256 {
        return Err(refused(format!(
            "model: trained on features with sha256 {}, features.json has {}",
            metadata.feature_spec_sha256(),
            spec.sha256
        )));
    }
    Ok(Some(model))
}

fn check_file(file: &StrategyConfig, spec: &FeatureSpec, market: &Market) -> PyResult<()> {
    check_span(spec, market)?;
    if file.bar_span != spec.bar_span {
        return Err(refused(format!(
            "strategy: bar_seconds is {} s, the features are of bars of {} s",
            file.bar_span.0 / 1_000_000_000,
            spec.bar_span.0 / 1_000_000_000
        )));
    }
    let names = spec.features.iter().map(|feature| &feature.name);
    if names.eq(&file.features) {
        return Ok(());
    }
    Err(refused(format!(
        "strategy: [ml_model] features are {}, those of features.json are others or in another order",
        file.features.join(", ")
    )))
}

fn check_span(spec: &FeatureSpec, market: &Market) -> PyResult<()> {
    match market {
        Market::Quotes(quotes) if !quotes.closes_bars() => {
            return Err(refused(
                "strategy: features need bars, which trades close; give the trades beside the quotes",
            ));
        }
        Market::Bars { .. } if spec.events.is_some() => {
            return Err(refused(
                "strategy: the features are of bars that trades close, and those of a market made of bars are not true; give \
                 quotes and trades, or run the bundle over a recording: `py_rt replay RECORDING --bundle DIGEST`",
            ));
        }
        _ => {}
    }
    let span = market.span();
    if span == spec.bar_span {
        return Ok(());
    }
    let seconds = |span: Nanos| span.0 as f64 / 1e9;
    Err(refused(format!(
        "strategy: the features are of bars of {} s, the data have bars of {} s; over quotes, give bar_seconds",
        seconds(spec.bar_span),
        seconds(span)
    )))
}
