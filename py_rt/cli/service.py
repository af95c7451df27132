"""Commands to a running service: what it does, what it runs, and the ways to stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_rt.cli import service_changes, service_market, service_queries, service_stops, service_tell, service_watch

if TYPE_CHECKING:
    import typer


def add_to(app: typer.Typer) -> None:
    """Add every command that speaks to a service."""
    for room in (service_queries, service_market, service_watch, service_stops, service_changes, service_tell):
        room.add_to(app)
