//! Every private reader of answers behind one door, for fuzz targets.

use bytes::Bytes;
use domain::{Nanos, OrderReportKind, OrderRequest, Timestamp};

use super::account::place;
use super::answer::{Answer, Outcome};
use super::market_feed::system_status;
use super::orders::{self, Submitted};
use super::requests::reply;
use super::rules::{self, Listing};
use super::server_time;

/// Reads a message as an answer to everything that could have been asked, over REST and on a socket.
///
/// # Panics
/// When an order is taken for accepted or refused without the venue's word for it.
pub fn answers(listing: &Listing, order: &OrderRequest, message: &[u8]) {
    let (instrument, names) = (&listing.instruments[0], &listing.names);
    let body = Bytes::copy_from_slice(message);
    let mut outcomes = vec![
        Answer {
            status: 200,
            body: body.clone(),
        }
        .outcome(),
    ];
    outcomes.extend(reply(&body).map(|reply| reply.outcome));
    for outcome in outcomes {
        let told = orders::submitted(order, &Ok(outcome.clone()), Timestamp::EPOCH);
        let Submitted::Report(report) = told else {
            assert!(matches!(outcome, Outcome::Refused(_)));
            continue;
        };
        match report.kind {
            OrderReportKind::Accepted(_) => assert!(matches!(outcome, Outcome::Done(_))),
            OrderReportKind::Rejected(_) => assert!(matches!(outcome, Outcome::Refused(_))),
            OrderReportKind::OutcomeUnknown => {}
            other => panic!("an answer to a new order says {other:?}"),
        }
    }
    for list in [Some("open"), Some("closed"), None] {
        let _ = orders::orders(message, list, instrument, names);
    }
    let _ = orders::trades(message, instrument, names);
    let _ = orders::balances(message, names);
    let _ = orders::count(message);
    let _ = rules::asset_pairs(message, &["BTC/USD"]);
    let _ = rules::bars(message, instrument.id, Nanos::from_secs(60));
    let _ = rules::server_time(message);
    let _ = server_time::pong(message, 1);
    let _ = system_status(message);
    let _ = place(message);
}
