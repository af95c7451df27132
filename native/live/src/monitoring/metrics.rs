//! `/metrics` for Prometheus, on loopback only. No keys, no positions: only counts, levels and times.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use venues::DisconnectReason;

use super::counters::{Counters, Kind};
use super::latency::{LatencyBoard, StageSummary};
use super::streams::FAMILIES;
use super::venues::VenueBoard;

/// What every name begins with.
const PREFIX: &str = "py_rt";

/// The format that the encoder writes.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Readers that are answered side by side.
const CONNECTIONS_MAX: usize = 16;

/// Longest time for one request and its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause after a connection could not be taken, which takes a descriptor to be free again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds the door; port 0 takes a free one.
///
/// # Errors
/// The system's, such as a port that is taken.
pub(crate) async fn bind(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves until aborted.
pub(crate) async fn serve(listener: TcpListener, counters: Arc<Counters>, latencies: Arc<LatencyBoard>) {
    let registry = Arc::new(registry(counters, latencies));
    let router = Router::new().route("/metrics", get(page)).with_state(registry);
    let service = TowerToHyperService::new(router);
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Whoever is one too many waits in the kernel, and takes no descriptor of ours.
    while let Ok(permit) = Arc::clone(&free).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(answer(stream, service.clone(), permit));
            }
            Err(error) => {
                tracing::warn!(%error, "a reader of /metrics was not let in");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers one request, and lets go of whoever asks or reads too slowly.
async fn answer(stream: TcpStream, service: TowerToHyperService<Router>, _permit: OwnedSemaphorePermit) {
    let connection = http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _ = tokio::time::timeout(PATIENCE, connection).await;
}

fn registry(counters: Arc<Counters>, latencies: Arc<LatencyBoard>) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Streamed(Arc::clone(&counters))));
    registry.register_collector(Box::new(Counted(counters)));
    registry.register_collector(Box::new(Timed(latencies)));
    registry
}

async fn page(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Debug)]
struct Counted(Arc<Counters>);

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, says, kind, value) in self.0.read() {
            let help = says.trim();
            match kind {
                Kind::Total => {
                    let metric = ConstCounter::new(value);
                    let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
                    metric.encode(encoder)?;
                }
                Kind::Level => {
                    let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
                    let encoder = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
                    metric.encode(encoder)?;
                }
            }
        }
        for counted in self.0.families() {
            let mut family =
                encoder.encode_descriptor(counted.name, counted.help, None, MetricType::Counter)?;
            for (value, count) in counted.read() {
                let labels = [(counted.label, value)];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        encode_venues(&self.0.venues, &mut encoder)
    }
}

/// The market of each venue.
fn encode_venues(board: &VenueBoard, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    for (counted, values) in board.read() {
        let metric_type = match counted.kind {
            Kind::Total => MetricType::Counter,
            Kind::Level => MetricType::Gauge,
        };
        let mut family = encoder.encode_descriptor(counted.name, counted.help, None, metric_type)?;
        for (venue, value) in values {
            let labels = [("venue", venue.as_str())];
            let encoder = family.encode_family(&labels)?;
            match counted.kind {
                Kind::Total => ConstCounter::new(value).encode(encoder)?,
                Kind::Level => ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)?,
            }
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Streamed(Arc<Counters>);

impl Collector for Streamed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let connections = self.0.streams.connections();
        for told in FAMILIES {
            let mut family = encoder.encode_descriptor(told.name, told.help, None, MetricType::Counter)?;
            for connection in &connections {
                let labels = [("stream", connection.name())];
                ConstCounter::new((told.read)(connection)).encode(family.encode_family(&labels)?)?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "stream_losses",
            "Times a connection that stood ended, by reason.",
            None,
            MetricType::Counter,
        )?;
        for connection in &connections {
            for reason in DisconnectReason::ALL {
                let labels = [("stream", connection.name()), ("reason", reason.as_str())];
                ConstCounter::new(connection.lost(reason)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Timed(Arc<LatencyBoard>);

impl Collector for Timed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stages = self.0.read();
        let mut family = encoder.encode_descriptor(
            "stage_nanoseconds",
            "Time of one stage of a decision.",
            None,
            MetricType::Gauge,
        )?;
        for summary in &stages {
            for (quantile, nanos) in quantiles(summary) {
                let labels = [("stage", summary.stage.as_str()), ("quantile", quantile)];
                let metric = ConstGauge::new(i64::try_from(nanos).unwrap_or(i64::MAX));
                metric.encode(family.encode_family(&labels)?)?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "stage_measurements",
            "Measurements of one stage.",
            None,
            MetricType::Counter,
        )?;
        for summary in &stages {
            let labels = [("stage", summary.stage.as_str())];
            ConstCounter::new(summary.count).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "stage_nanoseconds_sum",
            "Time spent in one stage.",
            None,
            MetricType::Counter,
        )?;
        for summary in &stages {
            let labels = [("stage", summary.stage.as_str())];
            ConstCounter::new(summary.sum_ns).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn quantiles(summary: &StageSummary) -> [(&'static str, u64); 4] {
    [
        ("0.5", summary.p50_ns),
        ("0.99", summary.p99_ns),
        ("0.999", summary.p999_ns),
        ("1", summary.max_ns),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::counters::Difference;
    use super::*;

    #[tokio::test]
    async fn readers_who_say_nothing_are_bounded_and_let_go() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let (listener, address) = bind(0).await.unwrap();
        let (_clock, board) = LatencyBoard::new();
        let serving = tokio::spawn(serve(listener, Arc::default(), Arc::new(board)));
        let mut silent = Vec::new();
        for _ in 0..4 * CONNECTIONS_MAX {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        // The first ones are let go; then there is room for who asks, behind all the others.
        let mut first = Vec::new();
        silent[0].read_to_end(&mut first).await.unwrap();
        assert!(first.is_empty(), "it asked nothing");
        drop(silent);
        let mut asking = TcpStream::connect(address).await.unwrap();
        asking
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: here\r\n\r\n")
            .await
            .unwrap();
        let mut page = String::new();
        asking.read_to_string(&mut page).await.unwrap();
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        serving.abort();
    }

    #[test]
    fn the_page_says_every_counter_and_every_stage() {
        let counters = Arc::new(Counters::default());
        counters.fills.add(7);
        counters
            .commands_refused
            .add_one(messaging::RefusalReason::Malformed);
        counters.refusals.book(domain::BookInvalidReason::Checksum);
        counters.venue_online.set(1);
        counters.differences.add_one(Difference::Deposit);
        counters.venues.show(domain::Venue::Kraken);
        counters.venues.of(domain::Venue::Kraken).messages.add(3);
        counters.streams.watch([Arc::default()]);
        let (mut clock, board) = LatencyBoard::new();
        clock.begin();
        clock.decided();
        clock.pass_on();
        let mut text = String::new();
        encode(&mut text, &registry(counters, Arc::new(board))).unwrap();
        for line in [
            "# HELP py_rt_fills Fills booked.",
            "# TYPE py_rt_fills counter",
            "py_rt_fills_total 7",
            "py_rt_venue_online 1",
            "py_rt_commands_refused_total{reason=\"malformed\"} 1",
            "py_rt_commands_refused_total{reason=\"bad_signature\"} 0",
            "py_rt_books_invalid_total{reason=\"checksum\"} 1",
            "py_rt_orders_rejected_total{reason=\"filter\"} 0",
            "py_rt_account_differences_total{kind=\"deposit\"} 1",
            "py_rt_market_online{venue=\"kraken\"} 0",
            "py_rt_market_messages_total{venue=\"kraken\"} 3",
            "py_rt_stream_bytes_total{stream=\"\"} 0",
            "py_rt_stream_losses_total{stream=\"\",reason=\"overrun\"} 0",
            "py_rt_stage_measurements_total{stage=\"decision\"} 1",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line:?} not in:\n{text}"
            );
        }
        assert!(text.contains("py_rt_stage_nanoseconds{stage=\"decision\",quantile=\"0.99\"}"));
        assert!(text.ends_with("# EOF\n"));
    }
}
