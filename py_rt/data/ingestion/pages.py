"""Values out of web pages (`kind = "pages"`), as the site's `robots.txt` allows and no faster.

==================== ===============================================================================================
`url`                address; `{date}` (`{date:%Y%m%d}`) or `{key}`
`item`               CSS selector of one record on the page, such as `table.prices tr`
`keys`               of a `key` source: the list
`user_agent`         what the site is told, and what its `robots.txt` is asked for; `py_rt`
the bounds of requests: see `rest`; `Crawl-delay` of the site is kept where it is slower,
                     and refused where it is longer than `wait_max_s`
==================== ===============================================================================================

A column's `from` is a CSS selector within the record, `td.price`, or `a@href` for an attribute; `@href` is the record's
own. A page is kept as received. A page without any record is refused: the site has changed.
The rules of `robots.txt`: `robots`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from py_rt.data.ingestion.columns import Mapped, read_columns
from py_rt.data.ingestion.definition import Definition, Option, check_template, fault_of, keys_of, read_options
from py_rt.data.ingestion.http_client import HttpClient, HttpLimits, StatusError
from py_rt.data.ingestion.rest import LIMIT_OPTIONS, check_place, limits_of
from py_rt.data.ingestion.robots import NOTHING, Rules, rules_for
from py_rt.data.ingestion.source import Payload, SourceTable, day_of
from py_rt.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

OPTIONS = {
    "url": Option(str),
    "item": Option(str),
    "keys": Option(list, []),
    "user_agent": Option(str, "py_rt"),
    **LIMIT_OPTIONS,
    "requests_per_second": replace(LIMIT_OPTIONS["requests_per_second"], default=0.5),
}

ROBOTS_BYTES_MAX = 512_000
"""Most of a `robots.txt` that is read; RFC 9309 asks for 500 KiB at least."""

_FORBIDDEN = frozenset({401, 403})


@dataclass(frozen=True)
class PageSource:
    """Pages of one site."""

    table: SourceTable
    mapped: tuple[Mapped, ...]
    url: str
    item: str
    key_names: tuple[str, ...]
    user_agent: str
    limits: HttpLimits
    _rules: dict[str, Rules] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def make(cls, definition: Definition) -> PageSource:
        """Make the source that a file defines.

        Raises:
            DefinitionError: an option is missing, unknown or not allowed.
        """
        values = read_options(definition, OPTIONS)
        check_place(definition, values["url"])
        wanted = {"day": {"date"}, "key": {"key"}}.get(definition.table.partitioning)
        named = check_template(definition, "url", values["url"], {"date": date(2024, 1, 31), "key": "key"})
        if wanted is None or named != wanted:
            raise fault_of(definition, "url", "names {date} for partition = day, or {key} for partition = key")
        return cls(
            definition.table,
            definition.mapped,
            values["url"],
            values["item"],
            keys_of(definition, values["keys"]),
            values["user_agent"],
            limits_of(values),
        )

    def partitions(self) -> Sequence[str]:
        """The keys of the definition."""
        return self.key_names

    def fetch(self, partition: str, after: str | None = None) -> Iterator[Payload]:  # noqa: ARG002  # days and keys
        """Ask for the page, if the site lets us.

        Raises:
            SourceError: `robots.txt` forbids it, asks to wait too long or cannot be had, or the page cannot, or it has
                no value of any column.
        """
        if self.table.partitioning == "day":
            url = self.url.format(date=day_of(self.table.name, partition))
        else:
            url = self.url.format(key=quote(partition, safe=""))
        place = f"{partition}/page.html"
        rules = self._robots(url, place)
        if not rules.allows(url):
            problem = (
                f"{urlsplit(url).path} is forbidden to {self.user_agent} by the site's robots.txt; it is not asked for"
            )
            raise SourceError(self.table.name, place, None, problem)
        if rules.delay_s > self.limits.wait_max_s:
            problem = (
                f"the site's robots.txt asks for {rules.delay_s:g} s between two requests, allowed are "
                f"{self.limits.wait_max_s:g} s: raise wait_max_s, or leave the site alone"
            )
            raise SourceError(self.table.name, place, None, problem)
        slowest = min(self.limits.requests_per_second, 1.0 / rules.delay_s) if rules.delay_s else None
        answer = self._client(slowest).get(url, place, is_html=True)
        yield Payload("page.html", answer.content, answer.url, answer.media_type)
        taken = [column.taken_from for column in self.mapped if column.constant is None]
        records = self._records(answer.content, place)  # once it is kept, for a look at it
        if taken and all(record[path] is None for record in records for path in taken):
            named = ", ".join(map(repr, taken))
            problem = f"has {len(records)} {self.item!r}, and in none of them {named}: the site has changed; mend the "
            raise SourceError(self.table.name, place, None, problem + "columns' from")

    def rows(self, payload: Payload, partition: str) -> pl.DataFrame:
        """The records of a page.

        Raises:
            SourceError: there is none, or a value is not of its type.
        """
        place = f"{partition}/{payload.name}"
        return read_columns(self.table.name, place, self._records(payload.content, place), self.mapped)

    def _records(self, content: bytes, place: str) -> list[dict[str, str | None]]:
        from selectolax.lexbor import LexborHTMLParser

        nodes = LexborHTMLParser(content).css(self.item)
        if not nodes:
            problem = f"has no {self.item!r}: the site has changed, or this is another page; mend the option item"
            raise SourceError(self.table.name, place, None, problem)
        return [{column.taken_from: _value(node, column.taken_from) for column in self.mapped} for node in nodes]

    def _robots(self, url: str, place: str) -> Rules:
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc}"
        if site not in self._rules:
            try:
                answer = self._client(None).get(f"{site}/robots.txt", f"{place} (robots.txt)")
                text = answer.content[:ROBOTS_BYTES_MAX].decode("utf-8", "replace")
                self._rules[site] = rules_for(self.user_agent, text)
            except StatusError as error:
                # RFC 9309 2.3.1.3: unavailable (4xx) allows everything; a door that is shut means what it says.
                self._rules[site] = NOTHING if error.status in _FORBIDDEN else Rules()
        return self._rules[site]

    def _client(self, requests_per_second: float | None) -> HttpClient:
        limits = self.limits
        if requests_per_second is not None:
            limits = replace(limits, requests_per_second=requests_per_second)
        return HttpClient(self.table.name, limits, headers={"User-Agent": self.user_agent})


def _value(node: Any, path: str) -> str | None:  # noqa: ANN401  # selectolax's
    selector, _, attribute = path.partition("@")
    found = node.css_first(selector) if selector else node
    if found is None:
        return None
    text = found.attributes.get(attribute) if attribute else found.text(deep=True, separator=" ")
    return " ".join(text.split()) if text is not None else None
