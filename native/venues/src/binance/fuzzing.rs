//! Every private reader of answers behind one door, for fuzz targets.

use bytes::Bytes;
use domain::{
    AmendRequest, Instrument, Nanos, OrderReport, OrderReportKind, OrderRequest, OrderTerms, Price, Timestamp,
};

use super::market_feed::announces_end;
use super::order_socket;
use super::orders::{self, Submitted};
use super::rest::Answer;
use super::rules;

/// Statuses that answers come with: taken, refused, slowed down, failed.
const STATUSES: [u16; 4] = [200, 400, 429, 503];

/// Reads a message as an answer to everything that could have been asked, over REST and on the socket for orders.
///
/// # Panics
/// When an order is taken for accepted, refused or canceled without the venue's word for it.
pub fn answers(instrument: &Instrument, order: &OrderRequest, message: &[u8]) {
    let body = Bytes::copy_from_slice(message);
    let over_rest = STATUSES.map(|status| Answer {
        status,
        body: body.clone(),
    });
    let over_socket = order_socket::told(message).ok();
    for answer in over_rest.into_iter().chain(over_socket.map(|told| told.answer())) {
        about_an_order(order, answer);
    }
    lists(instrument, message);
    let _ = rules::exchange_info(message, &[instrument.symbol.as_str()]);
    let _ = rules::bars(message, instrument.id, Nanos::from_secs(60));
    let _ = rules::server_time(message);
    let _ = announces_end(message);
}

fn about_an_order(order: &OrderRequest, answer: Answer) {
    let is_success = answer.is_success();
    let is_client_error = (400..500).contains(&answer.status);
    let exchanged = Ok(answer);
    if let Submitted::Reports(reports) = orders::submitted(order, &exchanged, Timestamp::EPOCH) {
        assert!(!reports.is_empty(), "no answer says nothing");
        for report in reports {
            check(&report, is_success, is_client_error);
        }
    }
    let (id, instrument) = (order.client_order_id, order.instrument);
    let canceled = orders::canceled(id, instrument, &exchanged, Timestamp::EPOCH);
    match canceled.kind {
        OrderReportKind::Canceled => assert!(is_success),
        OrderReportKind::CancelRejected(_) => assert!(is_client_error),
        OrderReportKind::OutcomeUnknown => {}
        other => panic!("an answer to a cancel says {other:?}"),
    }
    let amend = AmendRequest {
        client_order_id: id,
        instrument,
        terms: OrderTerms {
            price: order.price.unwrap_or(Price::ZERO),
            quantity: order.quantity,
        },
    };
    match orders::amended(&amend, &exchanged, Timestamp::EPOCH).kind {
        OrderReportKind::Amended(terms) => assert!(is_success && terms == amend.terms),
        OrderReportKind::AmendRejected(_) => assert!(is_client_error),
        OrderReportKind::OutcomeUnknown => {}
        other => panic!("an answer to a change says {other:?}"),
    }
}

fn check(report: &OrderReport, is_success: bool, is_client_error: bool) {
    match report.kind {
        OrderReportKind::Filled(fill) => assert!(is_success && fill.quantity.units() > 0, "{fill:?}"),
        OrderReportKind::Accepted(_) | OrderReportKind::Expired | OrderReportKind::Canceled => {
            assert!(is_success);
        }
        OrderReportKind::Rejected(_) => assert!(is_success || is_client_error),
        OrderReportKind::OutcomeUnknown => {}
        other => panic!("an answer to a new order says {other:?}"),
    }
}

fn lists(instrument: &Instrument, message: &[u8]) {
    let _ = orders::order(message, instrument);
    let _ = orders::orders(message, instrument);
    let _ = orders::canceled_all(message, instrument.id, Timestamp::EPOCH);
    let _ = orders::balances(message);
    let _ = orders::key_rights(message);
    for trade in orders::trades(message, instrument).unwrap_or_default() {
        assert!(trade.fill.quantity.units() > 0, "{trade:?}");
    }
}
