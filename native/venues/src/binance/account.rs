//! Our account's own stream: what happened to our orders and balances.
//!
//! It comes over the WebSocket API (`userDataStream.subscribe.signature`); the listen keys of old are gone.
//! The end of the subscription is treated like a lost connection: it reconnects, and whoever listens must
//! reconcile before it trusts what it knows.

use std::sync::Arc;

use domain::{
    ClientOrderId, Currency, Fill, Liquidity, Money, OrderReport, OrderReportKind, OrderStatus, OrderTerms,
    Price, Quantity, RejectReason,
};
use serde::Serialize;

use super::market_feed::{announces_end, feed_parts};
use super::orders::venue_order_id;
use super::parser::{AccountMessage, Execution, ExecutionType, Parser};
use super::rest::RestClient;
use crate::error::{ParseError, VenueError};
use crate::feeds::AccountFeed;
use crate::instruments::Instruments;
use crate::retry::Jitter;
use crate::trading::{AccountEvent, AccountProtocol, AccountStatistics, EmitAccount, Reference as _};
use crate::websocket::{FrameSink, Judgement, Protocol, StreamMessage, StreamMessageKind};

/// Reads the account's stream, without I/O.
#[derive(Debug)]
pub struct AccountData {
    instruments: Arc<Instruments>,
    parser: Parser,
    is_up: bool,
    statistics: AccountStatistics,
}

impl AccountData {
    /// For these instruments, not yet subscribed.
    #[must_use]
    pub fn new(instruments: Arc<Instruments>) -> Self {
        Self {
            instruments,
            parser: Parser::new(),
            is_up: false,
            statistics: AccountStatistics::default(),
        }
    }

    fn set_up(&mut self, up: bool, emit: &mut EmitAccount<'_>) {
        if self.is_up != up {
            self.is_up = up;
            emit(if up { AccountEvent::Up } else { AccountEvent::Down });
        }
    }

    fn on_frame(&mut self, frame: &[u8], emit: &mut EmitAccount<'_>) -> Result<(), VenueError> {
        self.statistics.messages += 1;
        let read = self.parser.account_message(frame);
        let result = read.and_then(|message| match message {
            AccountMessage::Execution(execution) => self.on_execution(&execution, emit),
            AccountMessage::Position(position) => {
                for balance in position.balances {
                    let ts_event = position.ts_event;
                    emit(AccountEvent::Balance { ts_event, balance });
                }
                Ok(())
            }
            // The connection follows: it was told as well.
            AccountMessage::Terminated => {
                self.set_up(false, emit);
                Ok(())
            }
            AccountMessage::ServerShutdown | AccountMessage::Answer { .. } | AccountMessage::Other => {
                self.statistics.unused += 1;
                Ok(())
            }
        });
        result.map_err(|source| {
            self.statistics.malformed += 1;
            VenueError::Malformed {
                what: "account message",
                source,
            }
        })
    }

    fn on_execution(&mut self, execution: &Execution, emit: &mut EmitAccount<'_>) -> Result<(), ParseError> {
        let Some(instrument) = self.instruments.by_symbol(&execution.symbol) else {
            self.statistics.unknown_symbols += 1;
            return Ok(());
        };
        let fill = fill(execution, instrument.quote)?;
        let venue_order_id = venue_order_id(execution.venue_order_id);
        let ts_event = execution.ts_event;
        let Some(client_order_id) = ClientOrderId::parse(execution.client_order_id.as_str()) else {
            emit(AccountEvent::ForeignOrder {
                instrument: instrument.id,
                venue_order_id,
                fill,
                ts_event,
            });
            return Ok(());
        };
        let mut tell = |kind| {
            emit(AccountEvent::Order(OrderReport {
                client_order_id,
                instrument: instrument.id,
                ts_event,
                kind,
            }));
        };
        if let Some(fill) = fill {
            tell(OrderReportKind::Filled(fill));
            return Ok(());
        }
        match execution.kind {
            ExecutionType::New => tell(OrderReportKind::Accepted(venue_order_id)),
            ExecutionType::Canceled => tell(OrderReportKind::Canceled),
            ExecutionType::Rejected => tell(OrderReportKind::Rejected(RejectReason::Other)),
            ExecutionType::Expired => tell(OrderReportKind::Expired),
            ExecutionType::Replaced => tell(OrderReportKind::Amended(OrderTerms {
                price: execution.price,
                quantity: execution.quantity,
            })),
            // Self-trade prevention took a part; only when it took the rest is the order at its end.
            ExecutionType::TradePrevention => {
                if execution.status == OrderStatus::Expired {
                    tell(OrderReportKind::Expired);
                }
            }
            // Something happened that this build has no word for: ask.
            ExecutionType::Trade | ExecutionType::Unknown => {
                tell(OrderReportKind::OutcomeUnknown);
            }
        }
        Ok(())
    }
}

impl AccountProtocol for AccountData {
    fn on_message(&mut self, message: &StreamMessage, emit: &mut EmitAccount<'_>) -> Result<(), VenueError> {
        match &message.kind {
            StreamMessageKind::Connected => self.set_up(true, emit),
            StreamMessageKind::Disconnected(_) => self.set_up(false, emit),
            StreamMessageKind::Frame(frame) => return self.on_frame(frame, emit),
            StreamMessageKind::Snapshot { .. } => self.statistics.unused += 1,
        }
        Ok(())
    }

    fn statistics(&self) -> &AccountStatistics {
        &self.statistics
    }
}

/// The execution in an execution report, when there is one.
fn fill(execution: &Execution, quote: Currency) -> Result<Option<Fill>, ParseError> {
    if execution.kind != ExecutionType::Trade {
        return Ok(None);
    }
    let invalid = |field, problem| ParseError::Value { field, problem };
    let trade_id = execution
        .trade_id
        .ok_or_else(|| invalid("t", "a trade has a number"))?;
    if execution.last_quantity <= Quantity::ZERO || execution.last_price <= Price::ZERO {
        return Err(invalid("l", "a trade has a positive price and quantity"));
    }
    let fee = match execution.fee_currency {
        Some(currency) => Money::from_decimal_units(execution.fee.units(), currency),
        // Nothing was taken, in no asset.
        None if execution.fee.is_zero() => Money::zero(quote),
        None => return Err(invalid("N", "a fee has an asset")),
    };
    Ok(Some(Fill {
        trade_id,
        price: execution.last_price,
        quantity: execution.last_quantity,
        side: execution.side,
        fee,
        liquidity: if execution.is_maker {
            Liquidity::Maker
        } else {
            Liquidity::Taker
        },
    }))
}

/// The signed subscription to the account's events.
struct AccountStream {
    rest: Arc<RestClient>,
    url: String,
}

/// The subscription's request, as the venue wants it.
#[derive(Serialize)]
struct Subscribe<'a> {
    id: &'static str,
    method: &'static str,
    params: SubscribeParams<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubscribeParams<'a> {
    api_key: &'a str,
    recv_window: u64,
    timestamp: u64,
    signature: &'a str,
}

/// The id of our one request on this connection.
const SUBSCRIBE_ID: &str = "py-rt-subscribe";

impl Protocol for AccountStream {
    fn name(&self) -> &'static str {
        "binance account"
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn hello(&mut self) -> Result<Vec<String>, VenueError> {
        let api_key = self.rest.api_key()?.expose();
        let encoder = self.rest.encoder()?;
        let recv_window = encoder.recv_window_ms();
        let timestamp = encoder.timestamp_ms(self.rest.clock().now());
        // The venue signs the parameters in alphabetical order.
        let payload = format!("apiKey={api_key}&recvWindow={recv_window}&timestamp={timestamp}");
        let signature = encoder.signer().signature(payload.as_bytes());
        let request = Subscribe {
            id: SUBSCRIBE_ID,
            method: "userDataStream.subscribe.signature",
            params: SubscribeParams {
                api_key,
                recv_window,
                timestamp,
                signature: signature.as_str(),
            },
        };
        let text = serde_json::to_string(&request)
            .map_err(|error| super::rest::malformed("request", error.into()))?;
        Ok(vec![text])
    }

    fn judge(&mut self, message: &[u8]) -> Judgement {
        if announces_end(message) {
            return Judgement::Ended;
        }
        // An answer repeats the id of its request, wherever in the object; few events hold these bytes.
        let names_request = message
            .windows(SUBSCRIBE_ID.len())
            .any(|bytes| bytes == SUBSCRIBE_ID.as_bytes());
        if !names_request {
            return Judgement::Deliver;
        }
        match Parser::new().account_message(message) {
            Ok(AccountMessage::Answer { status: 200, .. }) => Judgement::Ready,
            Ok(AccountMessage::Answer {
                status,
                code,
                message,
            }) => Judgement::Refused(format!("status {status}, code {code}: {message}")),
            _ => Judgement::Deliver,
        }
    }
}

/// Starts the account's stream in the current tokio runtime; everything it tells goes into `sink`.
///
/// # Errors
/// [`VenueError::NoCredentials`].
pub fn account_feed(
    rest: &Arc<RestClient>,
    jitter: Jitter,
    sink: impl FrameSink,
) -> Result<AccountFeed, VenueError> {
    rest.encoder()?;
    let stream = AccountStream {
        rest: Arc::clone(rest),
        url: rest.settings().endpoints.ws_api.clone(),
    };
    Ok(AccountFeed::spawn(stream, feed_parts(rest, jitter, sink)))
}

#[cfg(test)]
mod tests;
