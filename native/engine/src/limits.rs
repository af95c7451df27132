//! Every bound of the engine, named, with its unit last.

use domain::Nanos;

/// Actions that one event may cause. A kill of a full order table cancels, reports and times every order in
/// it; the end of a gap in the trades closes that many empty bars at once, holes between them.
pub const ACTIONS_MAX: usize = 4 * OPEN_ORDERS_MAX + 2 * EMPTY_BARS_MAX;

/// Orders that are not terminal, over all slots.
pub const OPEN_ORDERS_MAX: usize = 256;

/// Ended orders kept so that late reports find their owner.
pub const ENDED_ORDERS_KEPT: usize = 4_096;

/// Fills remembered so that a repeated report is booked once.
pub const FILLS_REMEMBERED: usize = 8_192;

/// Movements of the account remembered so that one that is told again is booked once.
pub const MOVEMENTS_REMEMBERED: usize = 1_024;

/// Instruments of one process.
pub const INSTRUMENTS_MAX: usize = 64;

/// Slots of one process.
pub const SLOTS_MAX: usize = 16;

/// Features of one model.
pub const FEATURES_MAX: usize = 64;

/// Slow parameters that one feature set may read.
pub const SLOW_COLUMNS_MAX: usize = 16;

/// Slow parameters of one process, over all instruments.
pub const SLOW_PARAMETERS_MAX: usize = 256;

/// Facts kept of one slow parameter, of which no two hold from within one bar: features can start over from all the bars
/// that are kept.
pub const SLOW_FACTS_KEPT: usize = BARS_KEPT;

/// Bars of history kept for each instrument, for warming a new bundle's features.
pub const BARS_KEPT: usize = 2_048;

/// Empty bars made for one gap in the trades; a longer gap restarts the history.
pub const EMPTY_BARS_MAX: usize = 2_048;

/// How long an order that is to take the place of another waits for the venue to say what of that one traded: an older wish
/// is about another market.
pub const REPLACEMENT_PATIENCE: Nanos = Nanos::from_secs(30);

/// Levels of one side of a book.
pub const BOOK_LEVELS_MAX: usize = 20_000;

/// Venues of one consolidated market.
pub const CONSOLIDATED_MEMBERS_MAX: usize = 8;

/// Levels of each side that a consolidated market keeps of one venue.
pub const CONSOLIDATED_LEVELS_MAX: usize = 10;

/// Orders that a strategy may ask for in one event.
pub const INTENTS_MAX: usize = 16;

/// Parts in which one order of a strategy leaves that is larger than the largest order.
pub const ORDER_PARTS_MAX: usize = 16;

/// Orders of a slot's strategy that risk denies one after the other before people are told.
pub const DENIALS_IN_ROW_TOLD: u32 = 3;

/// Longest restart window of a recursive feature, bars.
pub const RESTART_WINDOW_MAX_BARS: usize = 1_024;

/// Orders remembered for the rate limit and the duplicate check: bounds `max_order_rate_per_min`.
pub const ORDERS_IN_WINDOW_MAX: usize = 4_096;

/// Fills remembered for the repeated-execution throttle: bounds `repeated_execution_limit`.
pub const EXECUTIONS_IN_WINDOW_MAX: usize = 4_096;

/// Fills that the throttle remembers over everything and every slot.
pub const COUNTED_EXECUTIONS_MAX: usize = (1 + SLOTS_MAX) * EXECUTIONS_IN_WINDOW_MAX;

/// Times the venue is asked about one order before only a person or a reconnect asks again.
pub const ORDER_QUERIES_MAX: u8 = 8;

/// Times one order's cancel is sent.
pub const CANCEL_ATTEMPTS_MAX: u8 = 5;

/// Closing orders that one flatten may send for a slot.
pub const FLATTEN_ATTEMPTS_MAX: u8 = 20;

/// Currencies of which balances and foreign fees are kept.
pub const CURRENCIES_MAX: usize = 64;

/// Times in one event that strategies are told of order changes which their own wishes caused.
pub const STRATEGY_ROUNDS_MAX: usize = 4;

/// Order changes of one event of which strategies are told.
pub const NOTICES_MAX: usize = 2 * OPEN_ORDERS_MAX;

/// Longest average of the SMA cross strategy.
pub const SMA_LENGTH_MAX: usize = 4_096;
