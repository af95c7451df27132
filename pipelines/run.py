"""Materialise from a shell or from Python, in this process, with progress line by line.

    python -m pipelines.run --job main_job --json
    python -m pipelines.run --select raw_bars,staged_bars --partition 2021-10-27
    python -m pipelines.run --select 'group:cleaned' --partition-range 2021-10-01...2021-10-31
    python -m pipelines.run --job main_job --reuse

Without days, everything that the source of bars covers is made. With `--json`, standard output is one JSON object per
line (`pipelines.progress` lists them), the last of them the summary; else it is text for people. With `--reuse`, only
what is missing or stale is made, and each asset says why it is made again.

Exit status: 0 all made and every check passed or only warned; 1 a step failed; 2 the wish was wrong; 3 a check failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from pipelines.expectation_process import expectation_runner
from py_rt.errors import PyRtError, RunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.execution import Summary, materialize

__all__ = ["Summary", "main", "materialize"]

_EXPECTED = ("raw", "staged_bars", "cleaned", "features", "labels", "*", "+")
"""Words of a selection that has suites of expectations to run."""


def __getattr__(name: str) -> object:
    """Give `materialize` and `Summary` on first use: Dagster takes seconds to import."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from pipelines import execution

    return getattr(execution, name)


def _parser() -> argparse.ArgumentParser:
    description, _, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.run",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--select", metavar="KEYS", help="asset keys separated by commas, or Dagster's selection syntax")
    what.add_argument("--job", metavar="NAME", help="main_job: the whole chain")
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--partition", metavar="P", help="one day, such as 2021-10-27")
    when.add_argument("--partition-range", metavar="A...B", help="days from A to B, both included")
    parser.add_argument("--reuse", action="store_true", help="make only what is missing or stale, and say why")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    wish = _parser().parse_args(arguments)
    if not wish.reuse and (wish.job or any(word in wish.select for word in _EXPECTED)):
        expectation_runner.warm_up()  # takes seconds, and its checks stand all along the chain

    from pipelines import execution  # heavy, so after the child was started
    from pipelines.progress import text_line

    def show(line: dict[str, Any]) -> None:
        text = json.dumps(line, default=str) if wish.json else text_line(line)
        if text is not None:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    try:
        summary = execution.materialize(
            wish.select,
            job=wish.job,
            partition=wish.partition,
            partition_range=wish.partition_range,
            reuse=wish.reuse,
            on_event=show,
        )
    except PyRtError as error:
        show({"event": "error", "error": str(error), "kind": type(error).__name__})
        sys.stderr.write(f"{error}\n")
        return execution.WRONG_WISH if isinstance(error, RunError) else execution.STEP_FAILED
    finally:
        expectation_runner.close()
    return summary.exit_status


if __name__ == "__main__":
    sys.exit(main())
