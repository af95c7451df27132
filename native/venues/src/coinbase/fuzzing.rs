//! Every private reader of answers behind one door, for fuzz targets.

use bytes::Bytes;
use domain::{OrderReportKind, OrderRequest, Quantity};

use super::ids::venue_order_id;
use super::orders::{self, Amended, CancelAnswer, Submitted};
use super::rest::Answer;
use crate::instruments::Instruments;

/// Statuses that answers come with: taken, refused, not allowed, slowed down, failed.
const STATUSES: [u16; 5] = [200, 400, 401, 429, 503];

/// An order of ours as the venue calls it.
const ORDER: &str = "0f5a6a3c-4d1e-4d6e-9b8a-6d1f2b3c4d5e";

/// Reads a message as an answer to everything that could have been asked.
///
/// # Panics
/// When an order is taken for accepted, refused or changed without the venue's word for it, or an execution without a
/// positive price and quantity is passed on.
pub fn answers(instruments: &Instruments, order: &OrderRequest, message: &[u8]) {
    for status in STATUSES {
        let body = Bytes::copy_from_slice(message);
        about_an_order(order, Answer { status, body });
    }
    for instrument in instruments {
        let _ = orders::order(message, instrument);
        if let Ok(page) = orders::orders(message, instrument) {
            assert!(page.items.iter().all(|view| view.filled >= Quantity::ZERO));
        }
    }
    if let Ok(page) = orders::fills(message, instruments) {
        for listed in page.items {
            let fill = listed.trade.fill;
            assert!(fill.price.units() > 0 && fill.quantity.units() > 0, "{fill:?}");
        }
    }
    let _ = orders::holdings(message).map(|page| orders::summed(page.items));
    let _ = orders::key_rights(message);
}

fn about_an_order(order: &OrderRequest, answer: Answer) {
    let is_success = answer.is_success();
    let is_client_error = (400..500).contains(&answer.status);
    let exchanged = Ok(answer);
    match orders::submitted(order, &exchanged) {
        Submitted::Accepted(_) => assert!(is_success),
        Submitted::AlreadyThere => assert!(!is_success),
        Submitted::Report(OrderReportKind::Rejected(_)) => assert!(is_success || is_client_error),
        Submitted::Report(OrderReportKind::OutcomeUnknown) => {}
        Submitted::Report(other) => panic!("an answer to a new order says {other:?}"),
    }
    let named = venue_order_id(ORDER).expect("a name");
    for told in orders::canceled(&[named], &exchanged) {
        match told {
            CancelAnswer::Initiated | CancelAnswer::NothingOpen => assert!(is_success),
            CancelAnswer::Refused => assert!(is_success || is_client_error),
            CancelAnswer::NotSent => panic!("an answer says that nothing was sent"),
            CancelAnswer::Unknown => {}
        }
    }
    if orders::amended(&exchanged) == Amended::Done {
        assert!(is_success);
    }
}
