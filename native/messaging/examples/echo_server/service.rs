//! A service that keeps a list of orders and says yes to nearly everything.

use std::error::Error;
use std::time::Duration;

use domain::{
    ClientOrderId, Currency, Epoch, InstrumentId, Liquidity, Money, OrderRequest, OrderStatus, OrderType,
    Price, Quantity, SlotId, Text, TimeInForce, Timestamp, Trade, TradeId, Venue, VenueOrderId, VenueState,
    VenueStatus,
};
use messaging::telemetry::{
    Alert, Balances, BundleContent, BundleState, BundleStatus, CommandEvent, Control, ControlLevel, Fill,
    JournalStatus, Order, Pnl, Position, ServiceState, ServiceStatus, SlotStatus, Snapshot, Stage,
    StageLatency, Telemetry,
};
use messaging::{
    Ack, Command, CommandServer, Context, Identity, InstrumentName, Instruments, Keyring, ManualOrder,
    Outcome, PublisherConfig, Query, Refusal, RefusalReason, Reply, Scope, ServerConfig, SocketDirectory,
    TelemetryPublisher, VerifiedCommand,
};
use serde_json::{Value, json};

use crate::arguments::Arguments;

const BTCUSDT: InstrumentId = InstrumentId(0);
const CAPITAL: i64 = 10_000_000_000_000;

type Fallible<T> = Result<T, Box<dyn Error>>;

pub(crate) struct Service {
    server: CommandServer,
    publisher: TelemetryPublisher,
    endpoints: [String; 2],
    instance: String,
    epoch: Epoch,
    started: Option<Timestamp>,
    orders: Vec<Order>,
    fills: Vec<Fill>,
    controls: Vec<Control>,
    bundle: Option<BundleStatus>,
    /// Commands that wait for `release`; `None` while they are answered at once.
    held: Option<Vec<(Identity, VerifiedCommand)>>,
    trades: u64,
}

impl Service {
    pub(crate) fn open(arguments: Arguments) -> Fallible<Self> {
        let context = Context::new();
        let directory = SocketDirectory::open(arguments.directory)?;
        let (command, telemetry) = (
            directory.endpoint("command.sock")?,
            directory.endpoint("telemetry.sock")?,
        );
        let endpoints = [command.to_string(), telemetry.to_string()];
        let symbol = Text::new("BTCUSDT").ok_or("a symbol")?;
        let venue = Venue::Binance;
        let instruments = Instruments::new([(BTCUSDT, InstrumentName { venue, symbol })])?;
        let server = CommandServer::bind(
            &context,
            ServerConfig {
                endpoint: command,
                instance: arguments.instance.clone(),
                keyring: Keyring::new(arguments.keys)?,
                floors: arguments.floors,
                instruments: instruments.clone(),
            },
        )?;
        let publisher = TelemetryPublisher::bind(
            &context,
            PublisherConfig {
                endpoint: telemetry,
                instance: arguments.instance.clone(),
                epoch: arguments.epoch,
                instruments,
            },
        )?;
        Ok(Self {
            server,
            publisher,
            endpoints,
            instance: arguments.instance,
            epoch: arguments.epoch,
            started: None,
            orders: Vec::new(),
            fills: Vec::new(),
            controls: Vec::new(),
            bundle: None,
            held: None,
            trades: 0,
        })
    }

    pub(crate) fn ready(&self) -> Value {
        json!({"command": self.endpoints[0], "telemetry": self.endpoints[1]})
    }

    /// Does what a line on standard input says.
    pub(crate) fn obey(&mut self, line: &str, now: Timestamp) -> Fallible<()> {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("trades", count) => {
                for _ in 0..count.parse()? {
                    self.trades += 1;
                    let trade = self.trade(now);
                    self.publisher.publish(now, &Telemetry::Trade(trade))?;
                }
            }
            ("hold", _) => self.held = Some(Vec::new()),
            ("release", _) => {
                for (identity, command) in self.held.take().unwrap_or_default() {
                    self.carry_out(&identity, &command, now)?;
                }
            }
            _ => return Err(format!("{line:?} is not understood").into()),
        }
        Ok(())
    }

    /// One turn of the loop; what came in, when something did.
    pub(crate) fn turn(
        &mut self,
        timeout: Duration,
        clock: &dyn Fn() -> Timestamp,
    ) -> Fallible<Option<Value>> {
        self.publisher.tend(clock())?;
        let Some(incoming) = self.server.poll(timeout, clock)? else {
            return Ok(None);
        };
        let now = clock();
        self.started.get_or_insert(now);
        match incoming.body {
            Err(refusal) => {
                self.server
                    .reply(&incoming.identity, &Ack::refused(&refusal, now))?;
                Ok(Some(json!({"refused": format!("{:?}", refusal.reason)})))
            }
            Ok(command) => {
                let report = json!({
                    "obeyed": command.command.kind().as_str(),
                    "key_id": command.reference.key_id.to_string(),
                    "counter": command.reference.counter,
                    "role": command.role.as_str(),
                });
                match &mut self.held {
                    Some(held) => held.push((incoming.identity, command)),
                    None => self.carry_out(&incoming.identity, &command, now)?,
                }
                Ok(Some(report))
            }
        }
    }

    fn carry_out(&mut self, to: &Identity, command: &VerifiedCommand, now: Timestamp) -> Fallible<()> {
        let reference = &command.reference;
        let outcome = if let Command::Query(query) = &command.command {
            Outcome::Applied(Some(self.answer(*query, now)))
        } else {
            self.server.reply(to, &Ack::accepted(reference, now))?;
            self.act(&command.command, now)?
        };
        let ack = match outcome {
            Outcome::Refused { reason, text } => Ack::refused(&Refusal::of(reference, reason, text), now),
            outcome => Ack {
                origin: (*reference).into(),
                ts: now,
                outcome,
            },
        };
        self.server.reply(to, &ack)?;
        let kind = Some(command.command.kind());
        let event = CommandEvent { kind, ack };
        self.publisher
            .publish(now, &Telemetry::Command(Box::new(event)))?;
        Ok(())
    }

    fn act(&mut self, command: &Command, now: Timestamp) -> Fallible<Outcome> {
        match command {
            Command::Deploy { slot, digest } => {
                let bundle = BundleStatus {
                    slot: *slot,
                    digest: *digest,
                    state: BundleState::Active,
                    ts: now,
                    content: Some(BundleContent {
                        name: "echo".to_owned(),
                        version: "1.0.0".to_owned(),
                        stage: Stage::Paper,
                        serial: 1,
                        expires: now,
                    }),
                    reason: None,
                };
                self.publisher.publish(now, &Telemetry::Bundle(bundle.clone()))?;
                self.bundle = Some(bundle);
            }
            Command::Rollback { .. } => {
                let text = "the previous bundle could not be read".to_owned();
                let reason = Some(RefusalReason::BundleRefused);
                return Ok(Outcome::Failed { reason, text });
            }
            Command::Start { scope } => self.control(*scope, ControlLevel::Running, None, now)?,
            Command::Pause { scope } => self.control(*scope, ControlLevel::Paused, None, now)?,
            Command::ReduceOnly { scope } => self.control(*scope, ControlLevel::ReduceOnly, None, now)?,
            Command::Kill { scope } => self.control(*scope, ControlLevel::Killed, None, now)?,
            Command::Rearm { scope, reason } => {
                self.control(*scope, ControlLevel::Running, Some(reason.clone()), now)?;
            }
            Command::SetParameter { name, .. } if name != "entry_threshold" => {
                let text = format!("{name}: there is entry_threshold only");
                return Ok(Outcome::Refused {
                    reason: RefusalReason::UnknownParameter,
                    text,
                });
            }
            Command::ManualOrder(order) => self.trade_by_hand(order, now)?,
            Command::Cancel { .. } | Command::Flatten { .. } => self.cancel(None, now)?,
            Command::ManualCancel { client_order_id } => self.cancel(Some(*client_order_id), now)?,
            Command::SetParameter { .. } | Command::TellSlow(_) | Command::Query(_) => {}
        }
        Ok(Outcome::Applied(None))
    }

    fn control(
        &mut self,
        scope: Scope,
        level: ControlLevel,
        reason: Option<String>,
        now: Timestamp,
    ) -> Fallible<()> {
        let control = Control {
            scope,
            level,
            since: now,
            reason,
        };
        self.publisher
            .publish(now, &Telemetry::Control(control.clone()))?;
        self.controls.retain(|other| other.scope != scope);
        if level != ControlLevel::Running {
            self.controls.push(control);
        }
        Ok(())
    }

    /// Limit orders rest, market orders trade at once at 40,000.
    fn trade_by_hand(&mut self, order: &ManualOrder, now: Timestamp) -> Fallible<()> {
        let number = u32::try_from(self.orders.len())? + 1;
        let client_order_id = ClientOrderId {
            epoch: self.epoch,
            slot: order.slot,
            counter: number,
        };
        let trades = order.order_type == OrderType::Market;
        let made = Order {
            request: OrderRequest {
                client_order_id,
                instrument: BTCUSDT,
                side: order.side,
                order_type: order.order_type,
                price: order.price,
                quantity: order.quantity,
                time_in_force: TimeInForce::Gtc,
                post_only: false,
                reduce_only: false,
            },
            status: if trades {
                OrderStatus::Filled
            } else {
                OrderStatus::Accepted
            },
            filled: if trades { order.quantity } else { Quantity::ZERO },
            average_price: trades.then_some(PRICE),
            venue_order_id: Text::new(&number.to_string()).map(VenueOrderId),
            ts_created: now,
            ts_updated: now,
            bundle: None,
            reason: None,
        };
        self.publisher.publish(now, &Telemetry::Order(made.clone()))?;
        self.orders.push(made);
        if trades {
            self.fill(client_order_id, order, now)?;
        }
        Ok(())
    }

    fn fill(&mut self, client_order_id: ClientOrderId, order: &ManualOrder, now: Timestamp) -> Fallible<()> {
        let fill = Fill {
            client_order_id: Some(client_order_id),
            slot: order.slot,
            instrument: BTCUSDT,
            ts_event: now,
            fill: domain::Fill {
                trade_id: TradeId(u64::try_from(self.fills.len())? + 1),
                price: PRICE,
                quantity: order.quantity,
                side: order.side,
                fee: Money::from_decimal_units(1, usdt()),
                liquidity: Liquidity::Taker,
            },
            realized: Money::zero(usdt()),
        };
        self.fills.push(fill);
        self.publisher.publish(now, &Telemetry::Fill(fill))?;
        for position in self.positions(now) {
            self.publisher.publish(now, &Telemetry::Position(position))?;
        }
        Ok(())
    }

    fn cancel(&mut self, only: Option<ClientOrderId>, now: Timestamp) -> Fallible<()> {
        let open = self.orders.iter_mut().filter(|order| !order.status.is_terminal());
        for order in open.filter(|order| only.is_none_or(|id| order.request.client_order_id == id)) {
            order.status = OrderStatus::Canceled;
            order.ts_updated = now;
            self.publisher.publish(now, &Telemetry::Order(order.clone()))?;
        }
        let alert = Alert {
            kind: "canceled_by_hand".to_owned(),
            slot: None,
            instrument: Some(BTCUSDT),
            client_order_id: only,
            text: "orders were canceled by hand".to_owned(),
        };
        self.publisher.publish(now, &Telemetry::Alert(alert))?;
        Ok(())
    }

    fn answer(&self, query: Query, now: Timestamp) -> Reply {
        let newest = |slot: Option<SlotId>, open_only: bool| {
            let orders = self.orders.iter().rev().cloned();
            orders.filter(move |order| {
                slot.is_none_or(|slot| order.request.client_order_id.slot == slot)
                    && !(open_only && order.status.is_terminal())
            })
        };
        match query {
            Query::Status => Reply::Status(Box::new(self.status(now))),
            Query::Orders {
                slot,
                open_only,
                limit,
            } => Reply::Orders {
                orders: newest(slot, open_only).take(limit as usize).collect(),
                more: newest(slot, open_only).count() > limit as usize,
            },
            Query::Positions => Reply::Positions(self.positions(now)),
            Query::Fills { limit, .. } => Reply::Fills {
                fills: self.fills.iter().rev().copied().take(limit as usize).collect(),
                more: self.fills.len() > limit as usize,
            },
            Query::Pnl => Reply::Pnl(vec![pnl(now)]),
            Query::Snapshot => Reply::Snapshot(Box::new(Snapshot {
                epoch: self.epoch,
                ts: now,
                status: self.status(now),
                orders: newest(None, false).collect(),
                recent_fills: self.fills.iter().rev().copied().collect(),
                positions: self.positions(now),
                pnl: vec![pnl(now)],
                balances: vec![balances(now)],
                as_of: self.publisher.sequences(),
            })),
        }
    }

    fn positions(&self, now: Timestamp) -> Vec<Position> {
        let signed = |fill: &Fill| fill.fill.quantity.units() * fill.fill.side.sign();
        let quantity = Quantity::from_units(self.fills.iter().map(signed).sum());
        let position = |slot| Position {
            slot,
            instrument: BTCUSDT,
            ts: now,
            quantity,
            cost: PRICE.notional(quantity, usdt()),
            realized: Money::zero(usdt()),
            fees: Money::zero(usdt()),
            mark: Some((PRICE, Money::zero(usdt()))),
        };
        vec![position(Some(SlotId(0))), position(None)]
    }

    fn status(&self, now: Timestamp) -> ServiceStatus {
        let open = self
            .orders
            .iter()
            .filter(|order| !order.status.is_terminal())
            .count();
        ServiceStatus {
            instance: self.instance.clone(),
            run_id: "echo".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.epoch,
            ts: now,
            ts_started: self.started.unwrap_or(now),
            state: ServiceState::Trading,
            slots: vec![SlotStatus {
                slot: SlotId(0),
                level: ControlLevel::Running,
                active: self.bundle.clone(),
                previous: None,
                warm: true,
                open_orders: u32::try_from(open).unwrap_or(u32::MAX),
                orders_sent: self.orders.len() as u64,
                fills: self.fills.len() as u64,
                slow: Vec::new(),
                late_quotes: 0,
            }],
            venues: vec![VenueStatus {
                venue: Venue::Binance,
                state: VenueState::Online,
            }],
            controls: self.controls.clone(),
            journal: Some(JournalStatus {
                records: 3,
                bytes: 300,
                unsynced_records: 1,
            }),
            latencies: vec![StageLatency {
                stage: "decision".to_owned(),
                count: 1,
                p50_ns: 2_500,
                p99_ns: 2_900,
                max_ns: 3_000,
            }],
        }
    }

    fn trade(&self, now: Timestamp) -> Trade {
        Trade {
            instrument: BTCUSDT,
            ts_event: now,
            trade_id: TradeId(self.trades),
            price: PRICE,
            quantity: Quantity::ONE,
            aggressor: domain::Side::Buy,
        }
    }
}

/// At which everything trades here: 40,000.
const PRICE: Price = Price::from_units(4_000_000_000_000);

fn usdt() -> Currency {
    Currency::new("USDT").expect("a code")
}

fn pnl(now: Timestamp) -> Pnl {
    Pnl {
        slot: None,
        ts: now,
        realized: Money::zero(usdt()),
        unrealized: None,
        fees: vec![Money::from_decimal_units(1, usdt())],
        equity: Money::from_decimal_units(CAPITAL, usdt()),
        peak_equity: Money::from_decimal_units(CAPITAL, usdt()),
    }
}

fn balances(now: Timestamp) -> Balances {
    Balances {
        venue: Venue::Binance,
        ts: now,
        balances: vec![domain::Balance {
            currency: usdt(),
            free: Quantity::from_units(CAPITAL),
            locked: Quantity::ZERO,
        }],
    }
}
