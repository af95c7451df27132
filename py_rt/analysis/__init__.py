"""Statistics, risk measures and pictures over arrays and tables that are handed in; no I/O of its own."""
