"""Searches over parameters; every trial goes to the ledger."""
