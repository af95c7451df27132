"""`py_rt run`: make assets."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer


def run(
    select: Annotated[str, typer.Option(help="Asset keys by commas, or Dagster's selection; default: all.")] = "",
    partition: Annotated[str, typer.Option(help="One day, such as 2021-10-27.")] = "",
    partition_range: Annotated[str, typer.Option(help="Days A...B, both included.")] = "",
    reuse: Annotated[bool, typer.Option("--reuse", help="Make only what is missing or stale, and say why.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Make the offline chain: raw, cleaned, features, models, backtests, candidate bundles.

    Example: py_rt run --select raw_bars,staged_bars --partition 2021-10-27
    """
    line = [sys.executable, "-m", "pipelines.run"]
    line += ["--select", select] if select else ["--job", "main_job"]
    line += ["--partition", partition] if partition else []
    line += ["--partition-range", partition_range] if partition_range else []
    line += ["--reuse"] if reuse else []
    line += ["--json"] if json else []
    # A child: it imports Dagster, which this package does not know.
    raise typer.Exit(subprocess.run(line, check=False).returncode)
