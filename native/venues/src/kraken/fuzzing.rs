//! Every private reader of answers behind one door, for fuzz targets.

use bytes::Bytes;
use domain::{
    AmendRequest, CancelRequest, Nanos, OrderReportKind, OrderRequest, OrderTerms, Price, Timestamp,
};

use super::account::place;
use super::answer::{Answer, Outcome};
use super::market_feed::system_status;
use super::orders::{self, Submitted};
use super::requests::reply;
use super::rest;
use super::rules::{self, Listing};
use super::server_time;

/// Reads an outcome as that of a cancel and of a change.
fn about_an_open_order(order: &OrderRequest, outcome: &Outcome) {
    let exchanged = Ok(outcome.clone());
    let (client_order_id, instrument) = (order.client_order_id, order.instrument);
    let cancel = CancelRequest {
        client_order_id,
        instrument,
    };
    match orders::canceled(&cancel, &exchanged, Timestamp::EPOCH).kind {
        OrderReportKind::Canceled => assert!(matches!(outcome, Outcome::Done(_))),
        OrderReportKind::CancelRejected(_) => assert!(!matches!(outcome, Outcome::Unreadable)),
        OrderReportKind::OutcomeUnknown => {}
        other => panic!("an answer to a cancel says {other:?}"),
    }
    let amend = AmendRequest {
        client_order_id,
        instrument,
        terms: OrderTerms {
            price: order.price.unwrap_or(Price::ZERO),
            quantity: order.quantity,
        },
    };
    match orders::amended(&amend, &exchanged, Timestamp::EPOCH).kind {
        OrderReportKind::Amended(_) => assert!(matches!(outcome, Outcome::Done(_))),
        OrderReportKind::AmendRejected(_) => assert!(matches!(outcome, Outcome::Refused(_))),
        OrderReportKind::OutcomeUnknown => {}
        other => panic!("an answer to a change says {other:?}"),
    }
}

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
        about_an_open_order(order, &outcome);
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
    let _ = orders::key_rights(message);
    let _ = rest::token(message);
    let _ = rules::asset_pairs(message, &["BTC/USD"]);
    let _ = rules::bars(message, instrument.id, Nanos::from_secs(60));
    let _ = rules::server_time(message);
    let _ = server_time::pong(message, 1);
    let _ = system_status(message);
    let _ = place(message);
}
