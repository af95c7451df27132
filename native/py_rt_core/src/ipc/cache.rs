//! The market data cache: the latest book, trade and venue state of each instrument, and several venues as one market.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use ::ipc::market_cache::{
    BookState, CODES, CacheReading, ENTRY_BYTES, FIELDS, LEVELS, MarketCacheReader as Cache,
};
use domain::{Decimal, InstrumentId, Nanos, Timestamp};
use engine::limits::CONSOLIDATED_LEVELS_MAX;
use engine::market::{Consolidated, Member, Offers, Pricing, Stamps, Standing};
use numpy::{IntoPyArray, PyArray1, PyArrayDescr};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::waiting::settled;
use super::{attached, fields_dtype, reattached};
use crate::error::refused;

const _: () = assert!(LEVELS == CONSOLIDATED_LEVELS_MAX);

/// An instrument, "taken", "invalid" or "stale", and its book's age.
type Standings = Vec<(u16, &'static str, Option<i64>)>;
/// Offers in one row after another: instrument, price, price after fees, quantity.
type OfferRows<'py> = Bound<'py, PyArray1<i64>>;

static DTYPE: PyOnceLock<Py<PyArrayDescr>> = PyOnceLock::new();

/// The structured numpy type of an instrument's row in the market cache.
#[pyfunction]
pub(crate) fn market_cache_dtype(py: Python<'_>) -> PyResult<Bound<'_, PyArrayDescr>> {
    let made = DTYPE.get_or_try_init(py, || fields_dtype(py, &FIELDS, ENTRY_BYTES).map(Bound::unbind))?;
    Ok(made.bind(py).clone())
}

/// What the codes in a row mean, by field: the place of a name is its code.
#[pyfunction]
pub(crate) fn market_cache_codes() -> Vec<(&'static str, &'static [&'static str])> {
    CODES.to_vec()
}

/// Reads the market data cache of a running service: what is known now of each instrument.
///
/// `socket_path`: the service's socket. `name`: the cache's. Raises `CoreError` when the service is not there, has no
/// such cache, or offers memory that is not one of this build's layout. May be used by several threads.
#[pyclass(frozen, module = "py_rt_core")]
pub(crate) struct MarketCacheReader {
    name: String,
    open: Mutex<Option<Cache>>,
}

impl MarketCacheReader {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut Cache) -> PyResult<T> + Send,
    ) -> PyResult<T> {
        py.detach(|| {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            match open.as_mut() {
                Some(cache) => act(cache),
                None => Err(refused(format!(
                    "the reader of market cache {} is closed",
                    self.name
                ))),
            }
        })
    }
}

#[pymethods]
impl MarketCacheReader {
    #[new]
    fn new(py: Python<'_>, socket_path: PathBuf, name: String) -> PyResult<Self> {
        let cache = attached(py, socket_path, &name, Cache::attach)?;
        Ok(Self {
            name,
            open: Mutex::new(Some(cache)),
        })
    }

    /// What is known of an instrument as a structured array of shape (1,), whole and of one moment. Raises `CoreError`
    /// for an instrument that does not exist, and for an entry of which there is no whole copy: it is being written at
    /// each attempt, or its writer died in it.
    fn read<'py>(&self, py: Python<'py>, instrument: u16) -> PyResult<Bound<'py, PyAny>> {
        let reading = self.with(py, |cache| settled(|| cache.read(InstrumentId(instrument))))?;
        rows(py, &[reading])
    }

    /// Every instrument's row, by index; each is whole, different ones may be of different moments.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let readings = self.with(py, |cache| {
            let ids = (0..cache.instruments()).filter_map(|at| u16::try_from(at).ok());
            let read = |id| settled(|| cache.read(InstrumentId(id)));
            ids.map(read).collect::<PyResult<Vec<_>>>()
        })?;
        rows(py, &readings)
    }

    /// Several venues of one pair as one market at `now` (service time; this moment, unless given): the time, the
    /// members' standings, and bids and asks as rows of instrument, price, price after fees and quantity, best first.
    ///
    /// `members`: index and taker fee, in 1e-8 of a ten-thousandth. `after_fees`: whether fees count in the order; if
    /// not, both prices are the venue's. Books older than `max_age_ns`, service time, do not count. Raises `CoreError`
    /// for members that make no market, and as `read` does.
    #[pyo3(signature = (members, max_age_ns, after_fees, now = None))]
    fn consolidated<'py>(
        &self,
        py: Python<'py>,
        members: Vec<(u16, i64)>,
        max_age_ns: i64,
        after_fees: bool,
        now: Option<i64>,
    ) -> PyResult<(i64, Standings, OfferRows<'py>, OfferRows<'py>)> {
        let pricing = if after_fees {
            Pricing::AfterFees
        } else {
            Pricing::AtVenue
        };
        let (now, market) = self.with(py, move |cache| {
            let market = consolidate(cache, &members, Nanos(max_age_ns))?;
            let now = now.map_or_else(|| service_now(cache), |now| Ok(Timestamp::from_nanos(now)))?;
            Ok((now, market))
        })?;
        let standings = market
            .standings(now)
            .map(|(member, standing)| said(member, standing));
        let bids = offers(market.bids(now, pricing)).into_pyarray(py);
        let asks = offers(market.asks(now, pricing)).into_pyarray(py);
        Ok((now.nanos(), standings.collect(), bids, asks))
    }

    /// Service time now, ns UTC; it goes on when the service is gone. None before the service's first heartbeat.
    fn now(&self, py: Python<'_>) -> PyResult<Option<i64>> {
        let now = self.with(py, |cache| cache.now().map_err(refused))?;
        Ok(now.map(Timestamp::nanos))
    }

    /// Asks the service again. "newer": it was restarted, and this reader now reads its new cache. "same": nothing
    /// changed. "absent": nobody serves the cache now. Raises `CoreError` for a cache that is not newer, or none.
    fn reattach(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.with(py, |cache| reattached(cache.reattach()))
    }

    /// Wall time since the service's last sign of life, ns; None when it says one of the future.
    #[getter]
    fn silent_for_ns(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.with(py, |cache| Ok(cache.silent_for_ns()))
    }

    /// Number of instruments.
    #[getter]
    fn instruments(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |cache| Ok(cache.instruments()))
    }

    /// The writer's life; grows with every restart of the service.
    #[getter]
    fn epoch(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |cache| Ok(cache.epoch()))
    }

    /// Whether the writer is at work.
    #[getter]
    fn writer_alive(&self, py: Python<'_>) -> PyResult<bool> {
        self.with(py, |cache| Ok(cache.writer_alive()))
    }

    /// The cache's name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Lets the cache go; a second time does nothing.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.open.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, py: Python<'_>, _raised: &Bound<'_, PyAny>) {
        self.close(py);
    }
}

fn rows<'py>(py: Python<'py>, readings: &[CacheReading]) -> PyResult<Bound<'py, PyAny>> {
    let bytes: Vec<u8> = readings.iter().flat_map(CacheReading::row).collect();
    bytes
        .into_pyarray(py)
        .call_method1("view", (market_cache_dtype(py)?,))
}

fn service_now(cache: &Cache) -> PyResult<Timestamp> {
    let now = cache.now().map_err(refused)?;
    now.ok_or_else(|| refused("the service has not told its time yet: read again"))
}

/// The members' books as they stand now, as one market.
fn consolidate(cache: &Cache, members: &[(u16, i64)], max_age: Nanos) -> PyResult<Consolidated> {
    let read = |(id, fee): &(u16, i64)| {
        let instrument = InstrumentId(*id);
        let market = settled(|| cache.read(instrument))?.market;
        let member = Member {
            instrument,
            venue: market.instrument.venue,
            base: market.instrument.base,
            quote: market.instrument.quote,
            taker_bps: Decimal::from_units(*fee),
        };
        Ok((member, market.book))
    };
    let read: Vec<_> = members.iter().map(read).collect::<PyResult<_>>()?;
    let seats: Vec<_> = read.iter().map(|(member, _)| *member).collect();
    let mut market = Consolidated::new(&seats, max_age).map_err(refused)?;
    for (member, book) in &read {
        if matches!(book.head.state, BookState::Valid | BookState::TopOnly) {
            let stamps = Stamps {
                ts_event: book.head.ts_event,
                ts_received: book.head.ts_received,
            };
            market.on_book(member.instrument, stamps, book.bids.levels(), book.asks.levels());
        }
    }
    Ok(market)
}

fn said(member: &Member, standing: Standing) -> (u16, &'static str, Option<i64>) {
    let (word, age) = match standing {
        Standing::Taken(age) => ("taken", Some(age.0)),
        Standing::Invalid => ("invalid", None),
        Standing::Stale(age) => ("stale", Some(age.0)),
    };
    (member.instrument.0, word, age)
}

fn offers(offers: Offers<'_>) -> Vec<i64> {
    let row = |offer: engine::market::Offer| {
        let instrument = i64::from(offer.instrument.0);
        [
            instrument,
            offer.price.units(),
            offer.net_price.units(),
            offer.quantity.units(),
        ]
    };
    offers.flat_map(row).collect()
}
