//! Every bound of this crate, by name.

use domain::Nanos;

/// Largest signed command, bytes; checked before anything is decoded.
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;

/// Largest frame that the command socket reads at all. Above the command's own bound, so that a command that is
/// somewhat too large gets a refusal with a reason; ZeroMQ closes the connection on anything larger than this.
pub(crate) const COMMAND_FRAME_BYTES_MAX: i64 = 2 * 64 * 1024;

/// Frames of a request: the peer's identity, then the command.
pub(crate) const REQUEST_FRAMES: usize = 2;

/// Commands waiting per peer before ZeroMQ stops reading from it.
pub(crate) const COMMANDS_WAITING_MAX: i32 = 256;

/// Acknowledgements waiting per peer; a peer that does not read them loses further ones.
pub(crate) const ACKS_WAITING_MAX: i32 = 64;

/// Largest acknowledgement, bytes: an answer that would be larger fails, with advice to ask for less.
pub const ACK_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Time that unsent acknowledgements get at shutdown, milliseconds.
pub(crate) const COMMAND_LINGER_MS: i32 = 500;

/// Time a peer has for ZeroMQ's greeting, milliseconds.
pub(crate) const HANDSHAKE_MS: i32 = 2_000;

/// Commands whose latest acknowledgement is kept for a repeated request.
pub(crate) const RECORDED_COMMANDS_MAX: usize = 1024;

/// Queries that a repeated request may run again.
pub(crate) const RECORDED_QUERIES_MAX: usize = 1024;

/// Furthest ahead of the service's wall clock that a command may expire.
pub const COMMAND_VALIDITY_MAX: Nanos = Nanos::from_secs(3600);

/// Trusted keys.
pub const KEYS_MAX: usize = 64;

/// Length of an instance's name, bytes.
pub(crate) const INSTANCE_BYTES_MAX: usize = 64;

/// Length of a command id, bytes.
pub(crate) const COMMAND_ID_BYTES_MAX: usize = 36;

/// Length of a re-arming reason, bytes of printable ASCII.
pub const REASON_BYTES_MAX: usize = 120;

/// Length of a parameter's name, bytes.
pub const PARAMETER_BYTES_MAX: usize = 64;

/// Worst price of a flatten, basis points from the mid.
pub const SLIPPAGE_BPS_MAX: u32 = 10_000;

/// Orders or fills of one answer.
pub const QUERY_LIMIT_MAX: u32 = 1000;

/// Text for people, bytes; longer text is cut.
pub const TEXT_BYTES_MAX: usize = 1024;

/// Levels a side in a published book.
pub const BOOK_LEVELS_MAX: usize = 50;

/// Features of a published signal.
pub const FEATURES_MAX: usize = 64;

/// Telemetry messages waiting per subscriber; a subscriber that is further behind loses messages.
pub(crate) const TELEMETRY_WAITING_MAX: i32 = 10_000;

/// Largest subscription request, bytes.
pub(crate) const SUBSCRIPTION_BYTES_MAX: i64 = 256;

/// Subscription requests waiting per peer before ZeroMQ stops reading from it.
pub(crate) const SUBSCRIPTIONS_WAITING_MAX: i32 = 256;

/// Subscription requests looked at in one turn.
pub(crate) const SUBSCRIPTIONS_PER_TURN: usize = 16;

/// Time between heartbeats.
pub(crate) const HEARTBEAT_INTERVAL: Nanos = Nanos::from_secs(1);

/// Time that unsent telemetry gets at shutdown, milliseconds.
pub(crate) const TELEMETRY_LINGER_MS: i32 = 200;

/// Longest path of a Unix socket on Linux, bytes (`sun_path` less its terminator).
pub(crate) const SOCKET_PATH_BYTES_MAX: usize = 107;
