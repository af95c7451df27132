//! The recorded sessions, read in place: what their own descriptions say, and what must hold on any recording of the same
//! wires.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says so by panicking, and skips aloud"
)]

mod support;

use feed::Report;
use feed::report::{BookReport, ConnectionReport, Totals};
use sha2::{Digest, Sha256};
use support::{checked, only, only_book, recorded};

/// What holds on any recording of which nothing is missing. `fallbacks`: messages that only the slow reader reads, because
/// they come once a connection.
fn holds(report: &Report, fallbacks: u64) {
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(report.right);
    let Totals {
        errors,
        gaps,
        trade_gaps,
        resyncs,
        checksums_wrong,
        crossed,
        mismatches,
        ..
    } = report.totals;
    let faults = [
        errors,
        gaps,
        trade_gaps,
        resyncs,
        checksums_wrong,
        crossed,
        mismatches,
    ];
    assert_eq!(faults, [0; 7]);
    assert_eq!(report.totals.fallbacks, fallbacks);
    let books = report.connections.iter().flat_map(|connection| &connection.books);
    for book in books.filter(|book| book.subscribed) {
        assert!(book.synchronized && book.text_book.compared >= book.updates);
        let top = book.top.as_ref().expect("a book that stands");
        assert_eq!(top.sha256, hex::encode(Sha256::digest(top.text())));
        assert!(top.bids.len().max(top.asks.len()) <= 10);
    }
}

fn levels(book: &BookReport) -> (usize, usize) {
    (book.levels.bids, book.levels.asks)
}

fn book<'r>(connection: &'r ConnectionReport, symbol: &str) -> &'r BookReport {
    let found = connection.books.iter().find(|book| book.symbol == symbol);
    found.expect("a book of this symbol")
}

#[test]
fn binance_spot_of_two_files_is_one_session() {
    let folder = "ws_binance_spot_btcusdt_20240808";
    let names = ["btcusdt_20240809.gz", "btcusdt_20240808.gz"];
    let Some(paths) = names
        .map(|name| recorded(folder, name))
        .into_iter()
        .collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let report = checked(&paths);
    holds(&report, 0);
    let connection = only(&report);
    assert_eq!(
        (connection.wire, &connection.files),
        ("binance_spot", &vec![1, 0])
    );
    assert_eq!(connection.messages + connection.snapshots, 99_574);
    let kinds: Vec<_> = connection
        .kinds
        .iter()
        .map(|(kind, count)| (*kind, *count))
        .collect();
    assert_eq!(
        kinds,
        [
            ("bookTicker", 73_174),
            ("depthUpdate", 6_495),
            ("snapshot", 1),
            ("trade", 19_904)
        ]
    );
    let book = only_book(&report);
    assert_eq!((book.updates, book.stale, book.buffered), (6_493, 2, 3));
    assert_eq!((book.best.compared, book.best.equal), (1_072, 1_072));
    assert_eq!(book.last_update_id, 50_093_696_318);
    assert_eq!(levels(book), (1_971, 2_962));
    assert_eq!(
        (book.trades.count, book.trades.volume.as_str()),
        (19_904, "437.91552000")
    );
    let top = book.top.as_ref().unwrap();
    assert_eq!(
        top.bids[0],
        ("61602.01000000".to_owned(), "1.67177000".to_owned())
    );
    assert_eq!(
        top.asks[9],
        ("61606.00000000".to_owned(), "0.08970000".to_owned())
    );
}

#[test]
fn a_continuation_alone_proves_nothing() {
    let Some(path) = recorded("ws_binance_spot_btcusdt_20240808", "btcusdt_20240809.gz") else {
        return;
    };
    let report = checked(&[path]);
    assert!(!report.right);
    let book = only_book(&report);
    assert!(!book.synchronized && book.top.is_none() && book.updates == 0);
    assert!(
        report
            .problems
            .iter()
            .any(|problem| problem.contains("never stood")),
        "{:?}",
        report.problems
    );
}

#[test]
fn binance_futures() {
    let Some(path) = recorded("ws_binance_usdm_btcusdt_20240808", "btcusdt_20240808.gz") else {
        return;
    };
    let report = checked(&[path]);
    holds(&report, 0);
    let connection = only(&report);
    assert_eq!(connection.wire, "binance_usdm");
    assert_eq!(connection.messages + connection.snapshots, 93_954);
    let book = only_book(&report);
    assert_eq!((book.updates, book.stale), (6_547, 4));
    assert_eq!((book.best.compared, book.best.equal), (629, 629));
    assert_eq!(
        (book.unknown_deletes, book.last_update_id),
        (17_747, 5_123_135_475_514)
    );
    assert_eq!(levels(book), (5_018, 4_578));
    assert_eq!(
        (book.trades.count, book.trades.volume.as_str()),
        (21_313, "2429.366")
    );
}

#[test]
fn kraken_v1_is_three_sessions() {
    let names = [
        "KRAKEN-trade-82ac16.0.gz",
        "KRAKEN-book-c197c0.0.gz",
        "KRAKEN-ticker-4b7396.0.gz",
    ];
    let paths = names.map(|name| recorded("ws_kraken_v1_20210405", name));
    let Some(paths) = paths.into_iter().collect::<Option<Vec<_>>>() else {
        return;
    };
    let report = checked(&paths);
    holds(&report, 55);
    assert_eq!(report.connections.len(), 3);
    assert_eq!(report.totals.checksums_right, 14_496);
    let books = report
        .connections
        .iter()
        .find(|connection| connection.files == [1])
        .unwrap();
    assert_eq!((books.wire, books.books.len()), ("kraken_v1", 10));
    let bitcoin = books.books.iter().find(|book| book.symbol == "XBT/USD").unwrap();
    assert_eq!((bitcoin.updates, bitcoin.checksums.right), (5_788, 5_788));
    for book in &books.books {
        assert_eq!((book.checksums.right, book.snapshots), (book.updates, 1));
        assert!(book.levels.bids <= 1_000 && book.levels.asks <= 1_000);
    }
    let trades = report
        .connections
        .iter()
        .find(|connection| connection.files == [0])
        .unwrap();
    assert!(
        trades
            .books
            .iter()
            .all(|book| !book.subscribed && book.trades.count > 0)
    );
}

#[test]
fn kraken_v2_keeps_the_text_of_its_numbers() {
    let name = "kraken_v2_btcusd_d10_20260816_first6s.ndjson";
    let Some(path) = recorded("ws_kraken_v2_btcusd_d10_20260816", name) else {
        return;
    };
    let report = checked(&[path]);
    holds(&report, 2);
    let book = only_book(&report);
    assert_eq!((book.symbol.as_str(), book.checksums.right), ("BTC/USD", 54));
    assert_eq!(levels(book), (10, 10));
}

#[test]
fn coinbase_advanced_is_one_count_over_all_channels() {
    let Some(path) = recorded("ws_coinbase_advanced_20260809", "COINBASE_first12s.jsonl.zst") else {
        return;
    };
    let report = checked(&[path]);
    holds(&report, 0);
    let connection = only(&report);
    assert_eq!((connection.wire, connection.messages), ("coinbase_advanced", 537));
    let kinds: Vec<_> = connection
        .kinds
        .iter()
        .map(|(kind, count)| (*kind, *count))
        .collect();
    assert_eq!(
        kinds,
        [
            ("candles", 4),
            ("heartbeats", 12),
            ("l2_data", 385),
            ("market_trades", 41),
            ("subscriptions", 5),
            ("ticker", 90)
        ]
    );
    let [bitcoin, ether] = ["BTC-USD", "ETH-USD"].map(|symbol| book(connection, symbol));
    assert_eq!(
        (levels(bitcoin), levels(ether)),
        ((18_771, 27_238), (6_932, 16_394))
    );
    let top = bitcoin.top.as_ref().unwrap();
    assert_eq!(
        (top.bids[0].0.as_str(), top.asks[0].0.as_str()),
        ("65083.66", "65083.67")
    );
    for (book, passed_on, volume) in [(bitcoin, 35, "0.07628063"), (ether, 21, "9.09890893")] {
        assert_eq!((book.snapshots, book.orders.is_some()), (1, false));
        assert_eq!(
            (book.trades.count, book.trades.volume.as_str()),
            (passed_on, volume)
        );
        assert_eq!(book.trades.told, passed_on + 100, "and the last hundred before");
        assert!(!book.best.binding);
    }
    assert_eq!(report.totals.unknown_deletes, 26);
    assert_eq!((report.totals.best_compared, report.totals.best_equal), (84, 78));
}

#[test]
fn independent_reserve_is_order_by_order() {
    let Some(path) = recorded(
        "ws_independent_reserve_l3_20220403",
        "INDEPENDENT_RESERVE.jsonl.zst",
    ) else {
        return;
    };
    let report = checked(&[path]);
    holds(&report, 0);
    let connection = only(&report);
    assert_eq!(
        (connection.wire, connection.snapshots),
        ("independent_reserve", 5)
    );
    assert_eq!(
        (connection.kinds["NewOrder"], connection.kinds["OrderCanceled"]),
        (831, 832)
    );
    let expected = [
        ("dot-nzd", (68, 132), (75, 171)),
        ("matic-usd", (57, 103), (66, 115)),
        ("eth-aud", (336, 351), (543, 524)),
        ("bch-sgd", (38, 144), (47, 178)),
        ("pmgt-nzd", (35, 22), (39, 24)),
    ];
    assert_eq!(connection.books.len(), expected.len());
    for (symbol, depth, orders) in expected {
        let book = book(connection, symbol);
        assert_eq!((levels(book), book.snapshots), (depth, 1), "{symbol}");
        let resting = book.orders.as_ref().unwrap();
        assert_eq!((resting.bids, resting.asks), orders, "{symbol}");
        assert_eq!(
            (book.gaps, book.buffered),
            (0, 1),
            "the first event asks for the book"
        );
    }
    // Events that the snapshot held already, and cancels of orders that it did not hold any more.
    let stale: u64 = connection.books.iter().map(|book| book.stale).sum();
    assert_eq!((stale, report.totals.unknown_deletes), (37, 37));
}
