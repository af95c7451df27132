"""Features: named columns over bars, computed by the same Rust code that trades."""
