"""What a site's `robots.txt` allows, as RFC 9309 says: the longest rule that matches counts, `*` and `$` included.

Source: https://www.rfc-editor.org/rfc/rfc9309. `Crawl-delay` is none of its words; it is read because sites use it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_ANY = "*"
_TOKEN = re.compile(r"[^\s/(]*")


@dataclass(slots=True)
class _Group:
    """Lines between those that name agents."""

    agents: set[str] = field(default_factory=set)
    rules: list[tuple[str, bool]] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rules:
    """What one agent may do on a site.

    Attributes:
        rules: pairs of a pattern and whether it allows.
        delay_s: between two requests, seconds; 0 where nothing is said.
    """

    rules: tuple[tuple[str, bool], ...] = ()
    delay_s: float = 0.0

    def allows(self, url: str) -> bool:
        r"""Whether an address may be asked for.

        >>> rules = rules_for("py_rt", "User-agent: *\nAllow: /\nDisallow: /private/\nDisallow: /*.html$")
        >>> [rules.allows(f"https://h{path}") for path in ("/a", "/private/b", "/a/b.html", "/a.html?q=1", "/private")]
        [True, False, False, True, True]
        """
        parts = urlsplit(url)
        path = _spelled((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), keeps="")
        if path == "/robots.txt":
            return True
        # The longest counts; of two that are as long, the one that allows.
        matching = [(len(pattern), allows) for pattern, allows in self.rules if _matches(pattern, path)]
        return max(matching, default=(0, True))[1]


NOTHING = Rules((("/", False),))
"""Of a site that gives no rules to anybody."""


def rules_for(user_agent: str, text: str) -> Rules:
    r"""The rules of one agent: those of every group that names it, else of those for all.

    Args:
        user_agent: as the site is told; its first word without a version is what a group names.
        text: of the file.

    >>> rules_for("py_rt/1.0 (a@b)", "User-agent: PY_RT\nUser-agent: x\nCrawl-delay: 2\nDisallow: /a # so")
    Rules(rules=(('/a', False),), delay_s=2.0)
    """
    groups = _groups(re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")))
    name = _token(user_agent)
    named = [group for group in groups if name in group.agents] or [group for group in groups if _ANY in group.agents]
    rules = tuple(rule for group in named for rule in group.rules)
    return Rules(rules, max((delay for group in named for delay in group.delays), default=0.0))


def _groups(lines: Iterable[str]) -> list[_Group]:
    groups: list[_Group] = []
    is_open = False  # whether a further agent belongs to the group; what the RFC does not know ends none
    for line in lines:
        key, found, value = (part.strip() for part in line.partition("#")[0].partition(":"))
        key = key.lower()
        if key == "user-agent" and found:
            if not is_open:
                groups.append(_Group())
            groups[-1].agents.add(_token(value))
            is_open = True
        elif key in {"allow", "disallow"} and groups:
            is_open = False
            if value:
                groups[-1].rules.append((_spelled(value, keeps="*$"), key == "allow"))
        elif key == "crawl-delay" and groups and (delay := _seconds(value)):
            groups[-1].delays.append(delay)
    return groups


def _token(agent: str) -> str:
    found = _TOKEN.match(agent.strip())
    return found[0].lower() if found else ""


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return seconds if isfinite(seconds) and seconds > 0 else 0.0


def _spelled(path: str, keeps: str) -> str:
    """A path in the one spelling in which paths are compared (RFC 9309, section 2.2.2).

    >>> _spelled("/%62ar/ツ%2fa*$", ""), _spelled("/a*/%2A$", "*$")
    ('/bar/%E3%83%84%2Fa%2A%24', '/a*/%2A$')
    """
    pieces = re.split(r"(%[0-9A-Fa-f]{2})", path)
    plain = f"/?&=:;,+@!()'~%#[]{keeps}"
    return "".join(_decoded(piece) if at % 2 else quote(piece, safe=plain) for at, piece in enumerate(pieces))


def _decoded(escape: str) -> str:
    letter = chr(int(escape[1:], 16))
    return letter if _UNRESERVED.fullmatch(letter) else escape.upper()


def _matches(pattern: str, path: str) -> bool:
    """Whether a path begins as a pattern says; in one pass, so that no pattern takes long."""
    is_whole = pattern.endswith("$")
    first, *others = pattern.removesuffix("$").replace("$", "%24").split(_ANY)
    if not path.startswith(first):
        return False
    at = len(first)
    last = others.pop() if is_whole and others else None
    for piece in others:
        at = path.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    if not is_whole:
        return True
    return at == len(path) if last is None else len(path) - at >= len(last) and path.endswith(last)
