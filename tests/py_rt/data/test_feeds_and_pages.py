from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from py_rt.data.ingestion.catalog import source_of
from py_rt.data.ingestion.definition import DefinitionError, read_definition
from py_rt.data.ingestion.ingest import ingest
from py_rt.data.ingestion.received import Received
from py_rt.data.storage import Lake, scan
from tests.py_rt.data.loopback import Asked, Reply, serving

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt.data.ingestion.source import PartitionedSource

NOW = 1_750_000_000 * 10**9
FAST = "requests_per_second = 1000\nattempts = 2\nwait_max_s = 0.02\n"


def define(folder: Path, text: str) -> PartitionedSource:
    path = folder / "news.toml"
    path.write_text(text)
    return source_of(read_definition(path))


def feed(*numbers: int) -> bytes:
    items = "".join(
        f"<item><guid>n{number}</guid><title>Headline {number}</title><description>&lt;b&gt;x&lt;/b&gt;</description>"
        f"<pubDate>Tue, 02 Jan 2024 00:00:{number:02} +0100</pubDate></item>"
        for number in numbers
    )
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>t</title>{items}</channel></rss>'.encode()


def rss(url: str, more: str = "") -> str:
    return f'kind = "rss"\npartition = "next"\n[options]\nurl = "{url}/feed"\n{FAST}{more}'


def test_each_item_of_a_feed_comes_once_however_often_it_is_shown(tmp_path: Path) -> None:
    shown = [1, 2, 3]
    with serving(lambda _asked: Reply(feed(*shown), headers={"Content-Type": "application/rss+xml"})) as server:
        source = define(tmp_path, rss(server.url))
        received, lake = Received(tmp_path / "landing", "news"), Lake(str(tmp_path / "lake"))
        assert [step.rows for step in ingest(source, None, received, lake, lambda: NOW).steps] == [3, 0]
        assert [step.outcome for step in ingest(source, None, received, lake, lambda: NOW).steps] == ["nothing_new"]
        shown[:] = [2, 3, 4, 5]
        assert [step.rows for step in ingest(source, None, received, lake, lambda: NOW + 1).steps] == [2, 0]
        shown[:] = [1, 5]  # an old one comes back
        assert [step.rows for step in ingest(source, None, received, lake, lambda: NOW + 2).steps] == [0]
    rows = scan(lake.uri("raw", "news")).sort("item_id").collect()
    assert rows["item_id"].to_list() == ["n1", "n2", "n3", "n4", "n5"]
    assert rows["ts_known"].to_list() == [NOW, NOW, NOW, NOW + 1, NOW + 1]
    # 2024-01-02 00:00:01 +0100 is the evening before, UTC.
    assert rows["published"][0] == 1_704_150_001 * 10**9
    assert rows["summary"][0] == "<b>x</b>"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><body>log in</body></html>", "an HTML page"),
        (b'{"a": 1}', "is no RSS or Atom feed"),
        (feed(1, 2, 3)[:300], "is cut off or damaged XML"),
    ],
)
def test_what_is_no_feed_is_refused_and_the_next_run_heals(tmp_path: Path, body: bytes, words: str) -> None:
    bodies = [body, feed(1), feed(1)]
    with serving(lambda _asked: Reply(bodies.pop(0), headers={})) as server:
        source = define(tmp_path, rss(server.url))
        received = Received(tmp_path / "landing", "news")
        failed = ingest(source, None, received, None, lambda: NOW)
        assert words in failed.failed[0].problem
        assert failed.failed[0].problem.startswith("source news: 00000001/feed.xml: ")
        assert [step.rows for step in ingest(source, None, received, None, lambda: NOW).steps] == [1, 0]


def test_a_feed_by_days_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="a feed shows what is new only"):
        define(tmp_path, rss("http://127.0.0.1:9").replace('"next"', '"day"'))


PAGE = """<html><body><table><tr class="q" id="a"><td class="s">AAA</td><td class="p"> 1.25 </td></tr>
<tr class="q" id="b"><td class="s">BBB <i>x</i></td><td class="p">2</td></tr></table></body></html>"""

PAGES = """
kind = "pages"
partition = "key"
[options]
url = "{url}/quotes/{{key}}"
item = "tr.q"
keys = ["today", "private"]
attempts = 2
wait_max_s = {wait}
requests_per_second = 1000
[[column]]
name = "symbol"
from = "td.s"
[[column]]
name = "price"
from = "td.p"
type = "decimal"
[[column]]
name = "row"
from = "@id"
"""


def site(asked: Asked, robots: Reply) -> Reply:
    return robots if asked.path == "/robots.txt" else Reply(PAGE.encode(), headers={"Content-Type": "text/html"})


def plain(text: str, status: int = 200) -> Reply:
    return Reply(text.encode(), status, {"Content-Type": "text/plain"})


def test_values_are_taken_out_of_pages_that_robots_txt_allows(tmp_path: Path) -> None:
    robots = plain("User-agent: *\nDisallow: /quotes/private\n")
    with serving(lambda asked: site(asked, robots)) as server:
        source = define(tmp_path, PAGES.format(url=server.url, wait=0.02))
        received, lake = Received(tmp_path / "landing", "news"), Lake(str(tmp_path / "lake"))
        done = ingest(source, None, received, lake, lambda: NOW)
        assert [step.outcome for step in done.steps] == ["landed", "failed"]
        assert "/quotes/private is forbidden to py_rt by the site's robots.txt" in done.failed[0].problem
        assert server.paths == ["/robots.txt", "/quotes/today"]
    rows = scan(lake.uri("raw", "news")).collect().sort("symbol")
    assert rows.select("symbol", "price", "row").rows() == [("AAA", 125_000_000, "a"), ("BBB x", 200_000_000, "b")]


@pytest.mark.parametrize(
    ("robots", "outcome"),
    [
        (plain("none", 404), "landed"),
        (plain("no", 403), "failed"),
        (plain("broken", 503), "failed"),
        (plain("User-agent: py_rt\nDisallow: /\n"), "failed"),
        (plain("User-agent: py_rt\nAllow: /\n\nUser-agent: *\nDisallow: /\n"), "landed"),
    ],
    ids=["absent", "shut", "broken", "named", "others"],
)
def test_robots_txt_is_read_as_its_rules_say(tmp_path: Path, robots: Reply, outcome: str) -> None:
    with serving(lambda asked: site(asked, robots)) as server:
        source = define(tmp_path, PAGES.format(url=server.url, wait=0.02))
        done = ingest(source, ["today"], Received(tmp_path / "landing", "news"), None, lambda: NOW)
        assert [step.outcome for step in done.steps] == [outcome], done.failed
        assert ("/quotes/today" in server.paths) == (outcome == "landed")


def test_a_crawl_delay_is_kept(tmp_path: Path) -> None:
    robots = plain("User-agent: *\nCrawl-delay: 1\n")
    with serving(lambda asked: site(asked, robots)) as server:
        source = define(tmp_path, PAGES.format(url=server.url, wait=1))
        ingest(source, ["today", "yesterday"], Received(tmp_path / "landing", "news"), None, lambda: NOW)
    times = [asked.at for asked in server.asked if asked.path != "/robots.txt"]
    assert len(times) == 2
    assert times[1] - times[0] >= 0.99


@pytest.mark.parametrize("key", ["today", "private"])
def test_the_longest_rule_of_robots_txt_counts(tmp_path: Path, key: str) -> None:
    robots = plain("User-agent: *\nAllow: /\nDisallow: /quotes/private\nDisallow: /*/yesterday$\n")
    with serving(lambda asked: site(asked, robots)) as server:
        source = define(tmp_path, PAGES.format(url=server.url, wait=0.02))
        received = Received(tmp_path / "landing", "news")
        done = ingest(source, [key, "yesterday"], received, None, lambda: NOW)
        assert [step.outcome for step in done.steps] == ["landed" if key == "today" else "failed", "failed"]
        assert server.paths == ["/robots.txt", *(["/quotes/today"] if key == "today" else [])]


def test_a_crawl_delay_that_nobody_would_wait_for_is_refused(tmp_path: Path) -> None:
    robots = plain("User-agent: *\nCrawl-delay: 3600\n")
    with serving(lambda asked: site(asked, robots)) as server:
        source = define(tmp_path, PAGES.format(url=server.url, wait=0.02))
        done = ingest(source, ["today"], Received(tmp_path / "landing", "news"), None, lambda: NOW)
        assert server.paths == ["/robots.txt"]
    said = done.failed[0].problem
    assert "robots.txt asks for 3600 s between two requests, allowed are 0.02 s: raise wait_max_s" in said


def test_a_page_that_has_changed_is_refused(tmp_path: Path) -> None:
    def changed(asked: Asked) -> Reply:
        html = Reply(b"<html><p>We have moved</p></html>", headers={"Content-Type": "text/html"})
        return plain("") if asked.path == "/robots.txt" else html

    with serving(changed) as server:
        source = define(tmp_path, PAGES.format(url=server.url, wait=0.02))
        done = ingest(source, ["today"], Received(tmp_path / "landing", "news"), None, lambda: NOW)
    assert "source news: today/page.html: has no 'tr.q': the site has changed" in done.failed[0].problem


def test_a_page_whose_records_hold_no_value_any_more_is_refused(tmp_path: Path) -> None:
    pages = [b"<table><tr class=q><td class=x>1</td></tr></table>", PAGE.encode()]

    def changed(asked: Asked) -> Reply:
        return plain("") if asked.path == "/robots.txt" else Reply(pages.pop(0), headers={"Content-Type": "text/html"})

    text = PAGES.partition("[[column]]")[0] + '[[column]]\nname = "price"\nfrom = "td.p"\nnullable = true\n'
    with serving(changed) as server:
        source = define(tmp_path, text.format(url=server.url, wait=0.02))
        received = Received(tmp_path / "landing", "news")
        done = ingest(source, ["today"], received, None, lambda: NOW)
        said = "today/page.html: has 1 'tr.q', and in none of them 'td.p': the site has changed; mend the columns' from"
        assert said in done.failed[0].problem
        assert received.partitions() == []
        done = ingest(source, ["today"], received, None, lambda: NOW)
    assert [step.outcome for step in done.steps] == ["landed"]
