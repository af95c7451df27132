//! What an engine refuses to be built from, and the smallest strategy on it.

mod rig;

#[allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
mod refusals {
    use domain::{ClientOrderId, Epoch, Money, Nanos, OrderType, Side, SlotId, TimeInForce, Timestamp};
    use engine::limits::{INSTRUMENTS_MAX, ORDERS_IN_WINDOW_MAX};
    use engine::{CarriedOrder, CarriedSlot, ConfigError, Engine, EngineConfig};

    use crate::rig::{self, SLOT, config, dollars, milli};

    fn refused(change: impl Fn(&mut EngineConfig)) -> ConfigError {
        let mut config = config();
        change(&mut config);
        Engine::new(config).unwrap_err()
    }

    fn carried_order(slot: SlotId) -> CarriedOrder {
        let request = domain::OrderRequest {
            client_order_id: ClientOrderId {
                epoch: Epoch(1),
                slot,
                counter: 1,
            },
            instrument: rig::BTC,
            side: Side::Buy,
            order_type: OrderType::Limit,
            price: Some(rig::price(98)),
            quantity: milli(1),
            time_in_force: TimeInForce::Gtc,
            post_only: false,
            reduce_only: false,
        };
        CarriedOrder {
            request,
            filled: milli(0),
            submitted_at: Timestamp::EPOCH,
            timeout_at: None,
            cancel_wanted: false,
        }
    }

    #[test]
    fn tables_and_limits_have_bounds() {
        let many = refused(|config| config.instruments = vec![rig::instrument(); INSTRUMENTS_MAX + 1]);
        let (what, max) = ("instruments", INSTRUMENTS_MAX);
        assert_eq!(
            many,
            ConfigError::TooMany {
                what,
                count: max + 1,
                max
            }
        );
        let rate = u32::try_from(ORDERS_IN_WINDOW_MAX + 1).unwrap();
        let fast = refused(|config| config.limits.max_order_rate_per_min = rate);
        assert!(matches!(
            fast,
            ConfigError::TooMany {
                what: "max_order_rate_per_min",
                ..
            }
        ));
        for (what, error) in [
            ("bar_span", refused(|config| config.bar_span = Nanos(0))),
            (
                "order_ack_timeout",
                refused(|config| config.order_ack_timeout = Nanos(-1)),
            ),
            (
                "bar_close_grace",
                refused(|config| config.bar_close_grace = Nanos(-1)),
            ),
        ] {
            assert!(
                matches!(error, ConfigError::OutOfRange { what: at, .. } if at == what),
                "{error}"
            );
        }
    }

    #[test]
    fn ids_stand_in_order_and_name_what_is_there() {
        let gap = refused(|config| config.instruments[0].id = domain::InstrumentId(1));
        assert_eq!(gap, ConfigError::InstrumentOrder(0));
        assert_eq!(
            refused(|config| config.instruments.clear()),
            ConfigError::InstrumentOrder(0)
        );
        assert_eq!(
            refused(|config| config.slots.reverse()),
            ConfigError::SlotOrder(SLOT)
        );
        let nowhere = refused(|config| config.slots[0].instrument = domain::InstrumentId(4));
        assert_eq!(
            nowhere,
            ConfigError::Unknown {
                what: "a slot",
                id: 4
            }
        );
        let stray = refused(|config| config.carried.orders.push(carried_order(SlotId(8))));
        assert_eq!(
            stray,
            ConfigError::Unknown {
                what: "a carried order",
                id: 8
            }
        );
        let twice = refused(|config| config.carried.orders = vec![carried_order(SLOT); 2]);
        assert_eq!(
            twice,
            ConfigError::DuplicateOrder(carried_order(SLOT).request.client_order_id)
        );
    }

    #[test]
    fn everything_is_in_the_portfolios_currency() {
        let foreign = Money::zero(rig::coin());
        let slot = CarriedSlot {
            slot: SLOT,
            quantity: milli(0),
            cost: foreign,
            realized: dollars(0),
            fees: dollars(0),
            peak_equity: None,
            daily_volatility: rig::share("0.02"),
            run_off: false,
            flatten: None,
        };
        for error in [
            refused(|config| config.slots[0].capital = foreign),
            refused(|config| config.limits.var_limit_1d_95 = foreign),
            refused(|config| config.instruments[0].quote = rig::coin()),
            refused(|config| config.carried.peak_equity = Some(foreign)),
            refused(|config| config.carried.slots.push(slot)),
        ] {
            let in_coin =
                matches!(error, ConfigError::CurrencyMismatch { found, .. } if found == rig::coin());
            assert!(in_coin, "{error}");
        }
    }
}

#[allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
mod sma_cross {
    use domain::{OrderType, Side};
    use engine::limits::SMA_LENGTH_MAX;
    use engine::strategy::{SmaCross, SmaCrossParameters, SmaSource};

    use crate::rig::{self, Rig, SLOT, milli, program, submits};

    fn parameters(source: SmaSource) -> SmaCrossParameters {
        SmaCrossParameters {
            source,
            fast: 1,
            slow: 3,
            position_size_pct: rig::share("0.1"),
        }
    }

    #[test]
    fn buys_when_the_fast_average_rises_above_and_sells_when_it_falls_below() {
        let mut rig = Rig::bare(rig::config());
        let sma = SmaCross::new(parameters(SmaSource::QuoteMid)).unwrap();
        rig.deploy(program(SLOT, 1, Box::new(sma)));
        for mid in [100, 99, 98] {
            assert!(
                submits(&rig.quote(mid - 1, mid + 1)).is_empty(),
                "below, or not yet full"
            );
        }
        let buy = submits(&rig.quote(103, 105))[0];
        assert_eq!((buy.side, buy.order_type), (Side::Buy, OrderType::Market));
        // A tenth of 100,000 at the ask of 105, rounded down to the lot.
        assert_eq!(buy.quantity, milli(95_238));
        rig.fill(buy.client_order_id, Side::Buy, 105, 95_238);
        assert!(submits(&rig.quote(104, 106)).is_empty(), "still above");
        let sell = submits(&rig.quote(89, 91))[0];
        assert_eq!(
            (sell.side, sell.quantity, sell.reduce_only),
            (Side::Sell, buy.quantity, true)
        );
    }

    #[test]
    fn follows_bars_when_told_to() {
        let mut rig = Rig::bare(rig::config());
        let sma = SmaCross::new(parameters(SmaSource::BarClose)).unwrap();
        rig.deploy(program(SLOT, 1, Box::new(sma)));
        rig.watch_trades();
        rig.quote(99, 101);
        for close in [100, 99, 98] {
            assert!(submits(&rig.bar(close)).is_empty());
        }
        assert_eq!(submits(&rig.bar(104))[0].side, Side::Buy);
    }

    #[test]
    fn lengths_out_of_range_are_named() {
        let good = parameters(SmaSource::QuoteMid);
        let too_long = u32::try_from(SMA_LENGTH_MAX + 1).unwrap();
        for (parameters, key) in [
            (SmaCrossParameters { fast: 0, ..good }, "fast"),
            (SmaCrossParameters { fast: 3, ..good }, "slow"),
            (
                SmaCrossParameters {
                    slow: too_long,
                    ..good
                },
                "slow",
            ),
            (
                SmaCrossParameters {
                    position_size_pct: rig::share("1.1"),
                    ..good
                },
                "position_size_pct",
            ),
        ] {
            assert_eq!(
                SmaCross::new(parameters).map(drop).map_err(|error| error.key),
                Err(key)
            );
        }
    }
}
