//! Every bound of the engine, named, with its unit last.

/// Actions that one event may cause. A kill of a full order table cancels every order in it.
pub const ACTIONS_MAX: usize = 4 * OPEN_ORDERS_MAX;

/// Orders that are not terminal, over all slots.
pub const OPEN_ORDERS_MAX: usize = 256;

/// Ended orders kept so that late reports find their owner.
pub const ENDED_ORDERS_KEPT: usize = 4_096;

/// Fills remembered so that a repeated report is booked once.
pub const FILLS_REMEMBERED: usize = 8_192;

/// Instruments of one process.
pub const INSTRUMENTS_MAX: usize = 64;

/// Slots of one process.
pub const SLOTS_MAX: usize = 16;

/// Features of one model.
pub const FEATURES_MAX: usize = 64;

/// Bars of history kept for each instrument, for warming a new bundle's features.
pub const BARS_KEPT: usize = 2_048;

/// Empty bars made for one gap in the trades; a longer gap restarts the history.
pub const EMPTY_BARS_MAX: usize = 2_048;

/// Levels of one side of a book.
pub const BOOK_LEVELS_MAX: usize = 20_000;

/// Orders that a strategy may ask for in one event.
pub const INTENTS_MAX: usize = 16;

/// Longest restart window of a recursive feature, bars.
pub const RESTART_WINDOW_MAX_BARS: usize = 1_024;
