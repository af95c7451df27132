"""Backtests, how good they were, and the ledger of how often one tried."""
