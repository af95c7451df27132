"""The examples of RFC 9309, and what a hostile file may hold."""

from __future__ import annotations

import time

import pytest

from py_rt.data.ingestion.robots import rules_for


def allowed(text: str, *paths: str, agent: str = "ExampleBot") -> list[bool]:
    rules = rules_for(agent, text)
    return [rules.allows(f"https://example.com{path}") for path in paths]


# Section 5.1.
SIMPLE = """
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot
"""


@pytest.mark.parametrize(
    ("agent", "wanted"),
    [
        ("otherbot", [False, False, True, False, True]),
        ("foobot", [True, True, False, False, False]),
        ("BarBot/2.1 (a@example.com)", [False, True, True, True, True]),
        ("bazbot", [False, True, True, True, True]),
        ("quxbot", [True] * 5),
    ],
)
def test_the_simple_example(agent: str, wanted: list[bool]) -> None:
    paths = ("/example/page.html", "/example/allowed.gif", "/publications/", "/a/b.gif", "/a/b.gif?size=1")
    assert allowed(SIMPLE, *paths, agent=agent) == wanted


def test_the_longest_match() -> None:
    text = "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"  # section 5.2
    paths = ("/example/page/", "/example/page/disallowed.gif", "/example/page/other.gif")
    assert allowed(text, *paths, agent="foobot") == [True, False, True]
    for lines in ("Allow: /a\nDisallow: /a", "Disallow: /a\nAllow: /a"):
        assert allowed(f"User-agent: *\n{lines}", "/a") == [True]


def test_groups_of_one_agent_are_one() -> None:
    text = """
user-agent: ExampleBot
disallow: /foo
disallow: /bar

user-agent: OtherBot
disallow: /none

user-agent: ExampleBot
disallow: /baz
"""  # section 2.2.1
    assert allowed(text, "/foo", "/bar", "/baz", "/none") == [False, False, False, True]
    assert allowed(text, "/foo", "/none", agent="ThirdBot") == [True, True]
    assert allowed("User-agent: Example\nDisallow: /", "/foo") == [True]  # another name, however it begins


@pytest.mark.parametrize(
    ("rule", "path", "is_matched"),
    [
        # Section 2.2.2, the table of encodings.
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz", True),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar", False),
        ("/foo/bar?baz=https%3A%2F%2Ffoo.bar", "/foo/bar?baz=https%3a%2f%2Ffoo.bar", True),
        ("/foo/bar/\u30c4", "/foo/bar/%E3%83%84", True),
        ("/foo/bar/%E3%83%84", "/foo/bar/\u30c4", True),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", True),
        # Section 2.2.3, special characters.
        ("/path/file-with-a-%2A.html", "/path/file-with-a-*.html", True),
        ("/path/foo-%24", "/path/foo-$", True),
        ("/path/foo-%24", "/path/foo-", False),
        ("/this/*/exactly", "/this/path/exactly", True),
        ("/this/*/exactly", "/this/exactly", False),
        ("/this/path/exactly$", "/this/path/exactly", True),
        ("/this/path/exactly$", "/this/path/exactly/not", False),
        ("/*.html$", "/.html", True),
        ("/a*a$", "/a", False),
        ("/a$b", "/a$bc", True),
        ("*", "/anything", True),
        ("/Case", "/case", False),
    ],
)
def test_paths_match_as_they_are_written(rule: str, path: str, *, is_matched: bool) -> None:
    assert allowed(f"User-agent: *\nDisallow: {rule}", path) == [not is_matched]


def test_what_is_no_rule_ends_no_group() -> None:
    text = "\ufeffUser-agent: ExampleBot # us\rSitemap: https://h/s\r\nnothing\nUser-agent: x\nDisallow: / # all\n"
    assert allowed(text, "/a", "/robots.txt") == [False, True]
    assert allowed("Disallow: /\nUser-agent: *\nDisallow:\n", "/a") == [True]


@pytest.mark.parametrize(("text", "seconds"), [("2.5", 2.5), ("nan", 0), ("inf", 0), ("-3", 0), ("soon", 0)])
def test_a_delay_is_a_number(text: str, seconds: float) -> None:
    assert rules_for("ExampleBot", f"User-agent: *\nCrawl-delay: {text}\n").delay_s == seconds


def test_no_pattern_takes_long() -> None:
    begin = time.process_time()
    assert allowed("User-agent: *\nDisallow: /" + "*a" * 200 + "b$", "/" + "a" * 20_000) == [True]
    assert time.process_time() - begin < 1.0
