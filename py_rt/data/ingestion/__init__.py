"""Ingestion: sources of rows as received, and landing them once."""
