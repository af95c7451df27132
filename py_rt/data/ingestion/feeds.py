"""News out of RSS and Atom feeds (`kind = "rss"`), always as `partition = "next"`: each item once, when it first came.

==================== ===============================================================================================
`url`                address of the feed
`auth`, `headers` and the bounds of requests: see `rest`
==================== ===============================================================================================

Without `[[column]]` the columns are those of :data:`COLUMNS`. The feed is kept as received; which of its items were new
is kept beside it. An item counts as known when it arrived: what a feed says of its past may have been written later.
"""

from __future__ import annotations

import hashlib
import json
from calendar import timegm
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from py_rt.data.ingestion.columns import Mapped, read_columns
from py_rt.data.ingestion.definition import Definition, Option, fault_of, read_options
from py_rt.data.ingestion.rest import LIMIT_OPTIONS, check_place, client_of
from py_rt.data.ingestion.source import Payload, SourceTable
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from py_rt.data.ingestion.http_client import HttpClient

OPTIONS = {"url": Option(str), "headers": Option(dict, {}), "auth": Option(dict, {}), **LIMIT_OPTIONS}

SEEN_MAX = 10_000
"""Most items that are remembered; a feed shows a hundred or so."""

ID_DIGITS = 16

COLUMNS = (
    Mapped("item_id", "id", "text", "the feed's own name of the item"),
    Mapped("title", "title", "text", "headline"),
    Mapped("summary", "summary", "text", "text of the item, markup as received", nullable=True),
    Mapped("link", "link", "text", "address of the page", nullable=True),
    Mapped("author", "author", "text", "who wrote it", nullable=True),
    Mapped("published", "published", "time", "when the feed says it was published, UTC ns", nullable=True),
)
"""Columns of a feed whose definition names none."""


@dataclass(frozen=True)
class RssSource:
    """A feed."""

    table: SourceTable
    mapped: tuple[Mapped, ...]
    url: str
    client: HttpClient = field(repr=False)

    @classmethod
    def make(cls, definition: Definition) -> RssSource:
        """Make the source that a file defines.

        Raises:
            DefinitionError: an option is missing, unknown or not allowed, or the partition is not `next`.
        """
        values = read_options(definition, OPTIONS)
        check_place(definition, values["url"])
        if definition.table.partitioning != "next":
            raise fault_of(definition, "partition", 'a feed shows what is new only: say partition = "next"')
        return cls(definition.table, definition.mapped, values["url"], client_of(definition, values))

    def fetch(self, partition: str, after: str | None = None) -> Iterator[Payload]:
        """Ask for the feed, and find what was not seen before.

        Raises:
            SourceError: it cannot be had, or is no feed.
        """
        place = f"{partition}/feed.xml"
        answer = self.client.get(self.url, place)
        seen: list[str] = json.loads(after)["seen"] if after else []
        known = set(seen)
        new = [item for item in map(_identity, self._entries(answer.content, place)) if item not in known]
        remembered = [*seen, *new][-SEEN_MAX:]
        cursor = json.dumps({"new": new, "seen": remembered})
        yield Payload("feed.xml", answer.content, answer.url, answer.media_type, cursor)

    def blotted(self, text: str) -> str:
        """A text without the secret."""
        return self.client.blotted(text)

    def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
        """The items that were new.

        Raises:
            SourceError: it is no feed, or an item lacks a column.
        """
        place = f"{partition}/{payload.name}"
        entries = self._entries(payload.content, place)
        new = set(json.loads(payload.cursor)["new"]) if payload.cursor else None
        records = [_record(entry) for entry in entries if new is None or _identity(entry) in new]
        return read_columns(self.table.name, place, records, self.mapped)

    def _entries(self, content: bytes, place: str) -> list[Any]:
        import feedparser  # type: ignore[import-untyped]

        parsed = feedparser.parse(content, sanitize_html=False, resolve_relative_uris=False)
        if not parsed.get("version"):
            problem = parsed.get("bozo_exception") or "it has no channel"
            raise SourceError(self.table.name, place, None, f"is no RSS or Atom feed: {problem}")
        if parsed.bozo and _is_cut(parsed.bozo_exception):
            line = getattr(parsed.bozo_exception, "getLineNumber", lambda: None)()
            problem = f"is cut off or damaged XML: {parsed.bozo_exception}; the next run asks again"
            raise SourceError(self.table.name, place, line, problem)
        unique = {_identity(entry): entry for entry in reversed(parsed.entries)}
        return list(reversed(unique.values()))


def _is_cut(error: Exception) -> bool:
    # What else feedparser grumbles at (a wrong media type, an encoding that was not declared) loses no item.
    return type(error).__name__ == "SAXParseException"


def _identity(entry: Any) -> str:  # noqa: ANN401  # feedparser's
    named = entry.get("id") or entry.get("link") or f"{entry.get('title')} {entry.get('published')}"
    return hashlib.sha256(str(named).encode()).hexdigest()[:ID_DIGITS]


def _record(entry: Any) -> dict[str, Any]:  # noqa: ANN401  # feedparser's
    record: dict[str, Any] = {name: value for name, value in entry.items() if isinstance(value, str)}
    record.setdefault("id", record.get("link", record.get("title", "")))
    for name in ("published", "updated"):
        # Asked as a plain mapping: feedparser answers one for the other where one is absent.
        stamp = dict(entry).get(f"{name}_parsed")
        record[name] = datetime.fromtimestamp(timegm(stamp), UTC).isoformat() if stamp else None
    return record
