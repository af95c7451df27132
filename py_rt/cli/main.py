"""The command `py_rt`: one file per noun, each a thin door to a room of the library or to a child process.

Exit status: 0 done; 1 it failed; 2 the command line or a file was wrong; 3 a check of the data failed, or the service
refused; 4 a service did not answer, so that what became of the command is not known; 5 no service runs there. What
judges recordings (`parity`, `replay`, `feed check`) ends with 1 when it found something wrong.
"""

from __future__ import annotations

from typing import Annotated

import typer

import py_rt
from py_rt.cli import (
    bundle,
    config,
    data,
    demo,
    doctor,
    features,
    feed,
    keys,
    lake,
    record,
    replay,
    run,
    service,
    ui,
    venue,
)

OK, FAILED, WRONG, CHECK_FAILED = 0, 1, 2, 3

_EPILOG = (
    "Exit status: 0 done; 1 failed; 2 wrong command line or file; 3 a check of the data failed, or the service "
    "refused; 4 a service did not answer: what became of the command is not known; 5 no service runs there."
)

app = typer.Typer(
    name="py_rt",
    help="Research in Python, execution in Rust.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("run")(run.run)
app.command("ui")(ui.ui)
app.command("record")(feed.record)
app.command("replay")(replay.replay)
app.command("parity")(record.parity)
app.command("trace")(record.trace)
service.add_to(app)
app.add_typer(config.app, name="config")
app.add_typer(bundle.app, name="bundle")
app.add_typer(data.app, name="data")
app.add_typer(features.app, name="features")
app.add_typer(doctor.app, name="doctor")
app.add_typer(feed.app, name="feed")
app.add_typer(keys.app, name="keys")
app.add_typer(lake.app, name="lake")
app.add_typer(venue.app, name="venue")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"py_rt {py_rt.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Research in Python, execution in Rust."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: what follows the command's name; `None` reads the process's own.
    """
    try:
        status = app(args=arguments, standalone_mode=False)
    except typer.Exit as leaving:
        return leaving.exit_code
    except typer.Abort:
        return FAILED
    except Exception as error:
        # click's usage errors know how to show themselves; anything else is a defect and keeps its traceback.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return WRONG
    return status if isinstance(status, int) else OK
