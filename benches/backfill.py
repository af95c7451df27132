"""A thousand daily partitions of an added source in one backfill run: landed, read, checked, published.

    python benches/backfill.py                     a row of JSON: seconds, and the peak memory of the run's process
    python benches/backfill.py --days 100 --rows 1_000

The source is a definition in TOML over a folder of CSV files, one a day, made with a fixed seed. The run is the one
that a person starts: `python -m pipelines.run` with a range of partitions, in a process of its own, with the asset's
four checks. A second run of the same range, which finds everything landed, stands among the facts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

from benches.figures import Figures, Line
from benches.programs import ROOT, BenchError

DAYS, ROWS = 1_000, 96
FIRST = date(2021, 1, 1)
SEED = 20_240_405
NAME = "backfilled"
KB_OF_MB = 1_024

DEFINITION = f"""
kind = "files"
description = "Prices of a day"
first_day = {FIRST}
key = ["ts"]

[options]
folder = "$BACKFILL_FOLDER"
pattern = "{{date}}.csv"
format = "csv"

[[column]]
name = "ts"
type = "time"

[[column]]
name = "price"
type = "decimal"

[[column]]
name = "quantity"
type = "decimal"

[known]
column = "ts"

[expect]
rows_min = {{rows}}
rows_max = {{rows}}
"""


def lay(folder: Path, days: int, rows: int) -> None:
    """Write the definition, and a file a day."""
    sources, dropped = folder / "config" / "sources", folder / "dropped"
    sources.mkdir(parents=True)
    dropped.mkdir()
    (sources / f"{NAME}.toml").write_text(DEFINITION.replace("{rows}", str(rows)), encoding="utf-8")
    seeded = random.Random(SEED)  # noqa: S311  # prices, no secrets
    for number in range(days):
        day = FIRST + timedelta(days=number)
        times = (f"{day}T{at * 86_400 // rows // 3_600:02}:{at * 86_400 // rows // 60 % 60:02}" for at in range(rows))
        lines = (f"{at}:00Z,{seeded.randrange(10**6, 10**7)}.25,0.{seeded.randrange(10**8):08}" for at in times)
        (dropped / f"{day}.csv").write_text("\n".join(("ts,price,quantity", *lines, "")), encoding="utf-8")


def backfill(folder: Path, days: int) -> tuple[float, float]:
    """Make all partitions in one run; seconds, and the peak of its process in MB.

    Raises:
        BenchError: it does not end well, or in more than one run.
    """
    last = FIRST + timedelta(days=days - 1)
    line = [sys.executable, "-m", "pipelines.run", "--select", NAME, "--partition-range", f"{FIRST}...{last}", "--json"]
    environ = {**os.environ, "PY_RT_HOME": str(folder / "home"), "BACKFILL_FOLDER": str(folder / "dropped")}
    environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    started = time.perf_counter()
    with (folder / "said").open("w+b") as said:
        running = subprocess.Popen(line, cwd=folder, env=environ, stdout=said, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
        took = time.perf_counter() - started
        said.seek(0)
        text = said.read().decode("utf-8", "replace")
    if running.returncode != 0:
        raise BenchError(f"the backfill ended with {running.returncode}:\n{text[-2_000:]}")
    return took, used.ru_maxrss / KB_OF_MB


def stored(folder: Path) -> tuple[int, int]:
    """Days and rows of the table."""
    from py_rt.data.storage import Lake, rows_by_partition

    found = rows_by_partition(Lake(str(folder / "home" / "lake")).uri("raw", NAME))
    return len(found), sum(found.values())


def run(days: int = DAYS, rows: int = ROWS) -> Line:
    """One backfill, and one rerun.

    Raises:
        BenchError: a run does not end well, or not every row is in the table.
    """
    with tempfile.TemporaryDirectory(prefix="py_rt-backfill-") as name:
        folder = Path(name)
        lay(folder, days, rows)
        took, peak_mb = backfill(folder, days)
        if stored(folder) != (days, days * rows):
            raise BenchError(f"the table holds {stored(folder)} days and rows, wanted are {(days, days * rows)}")
        again, again_mb = backfill(folder, days)
    facts = {"partitions": float(days), "rows": float(days * rows), "peak_mb": peak_mb}
    facts |= {"rerun_s": again, "rerun_peak_mb": again_mb}
    subject = f"{days} daily partitions of an added source, one run"
    return Line("backfill", "s", subject, Figures.of([took]), None, None, None, facts)


def main() -> int:
    """Print the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--rows", type=int, default=ROWS, help="of each day, at most 1440")
    asked = parser.parse_args()
    if asked.days < 1 or not 1 <= asked.rows <= 24 * 60:
        parser.error("a number of days is 1 or more, one of rows 1 to 1440")
    print(json.dumps(asdict(run(asked.days, asked.rows))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
