//! The only client of HTTP and WebSocket; yields domain events, takes domain orders; never sees the engine.
