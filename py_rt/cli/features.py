"""`py_rt features`: the catalogue of features, computed and checked on any file of bars."""

from __future__ import annotations

import json as json_text
from contextlib import contextmanager
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from py_rt.cli import bar_options as options
from py_rt.cli import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from py_rt.data.bar_columns import Given
    from py_rt.data.bar_files import BarFile
    from py_rt.ml.features.catalogue import Feature
    from py_rt.ml.features.model_set import ModelFrame
    from py_rt.ml.features.promises import Finding
    from py_rt.ml.features.sets import SetOverBars

FOUND = 3

app = typer.Typer(help="Features: the catalogue, computed and checked on any file of bars.", no_args_is_help=True)

_JSON = typer.Option("--json", help="One JSON document.")
_SET = typer.Option(
    "--set", help="A file of features (TOML), or a model's, instead of names of the catalogue.", metavar="FILE"
)
_IN = typer.Option("--in", help="Bars: CSV (plain, gzipped, or alone in a zip) or Parquet.", metavar="FILE")
_REFERENCE = typer.Option(help="Bars of a reference instrument, of the same opening times.", metavar="FILE")
_KNOWN = typer.Option(
    help="What became known beside the market: ts_known and columns such as earnings_per_share or sentiment.",
    metavar="FILE",
)
_KNOWN_SYMBOL = typer.Option(help="Whose rows of --known, where it has a column of symbols.", metavar="SYMBOL")
_CLOSE = typer.Option(
    help="When the venue closes, for --known: a calendar (XNYS), a time of day ('16:00 America/New_York') or 24/7. "
    "Without it a bar of a day or longer is given only what was known when it opened.",
    metavar="HOURS",
)
_MAX_AGE = typer.Option(
    help="A fact known for more days than this is too old; without it 400, or what a model's file declares.", min=1
)
_WINDOW = typer.Option(
    help="Longest restart window, bars; without it the longest with which the service keeps enough bars.", min=0
)
_NAMES = "Names of the catalogue, with commas between them; all: every one that the bars have the columns of."


@app.command("list")
def list_features(
    family: Annotated[str, typer.Option(help="Only this family, such as alpha158.")] = "",
    json: Annotated[bool, _JSON] = False,
) -> None:
    """List the catalogue.

    Example: py_rt features list --family technical
    """
    from py_rt.ml.features.catalogue import CatalogueError, catalogue

    with refusal.told(json=json, status=refusal.WRONG):
        families = sorted({feature.family for feature in catalogue().values()})
        if family and family not in families:
            raise CatalogueError(f"there is no family {family!r}; there are {', '.join(families)}")
        found = [feature for feature in catalogue().values() if not family or feature.family == family]
    if json:
        typer.echo(json_text.dumps(_facts(found)))
        return
    for feature in found:
        typer.echo(f"{feature.name:32} {feature.family:10} {feature.what}")


@app.command()
def functions(json: Annotated[bool, _JSON] = False) -> None:
    """List what expressions know: columns and functions.

    Example: py_rt features functions
    """
    import py_rt_core

    known = py_rt_core.feature_functions()
    if json:
        named = [{"name": name, "arguments": arguments, "what": what} for name, arguments, what in known]
        typer.echo(json_text.dumps({"columns": py_rt_core.feature_inputs(), "functions": named}))
        return
    typer.echo(f"columns    {', '.join(py_rt_core.feature_inputs())}")
    typer.echo("operators  + - * / ** < <= > >= == != and or not ( )")
    for name, arguments, what in known:
        typer.echo(f"{f'{name}({arguments})':36} {what}")


@app.command(epilog="Exit status: 0 done; 2 the name is refused, or no bundle takes the feature.")
def explain(
    name: Annotated[str, typer.Argument(help="Of the catalogue.", metavar="NAME")],
    expanded: Annotated[bool, typer.Option(help="As a table of a model's feature file: of columns only.")] = False,
    window: Annotated[int, _WINDOW] = 0,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Say what a feature is: formula, source, unit, inputs, how many bars it needs, whether the service can run it.

    Example: py_rt features explain rsi_14

    Example: py_rt features explain ema_200 --expanded >> features.toml
    """
    from py_rt.ml.features.catalogue import CatalogueError
    from py_rt.ml.features.expanded import expand, for_bundle
    from py_rt.ml.features.expressions import chosen

    with refusal.told(json=json, status=refusal.WRONG):
        (feature,) = chosen([name])
        written = expand(feature, window) if window else for_bundle(feature)
        if expanded and written.refusal:
            raise CatalogueError(f"feature {name}: no bundle takes it: {written.refusal}")
    if expanded:
        table = written.to_toml(feature)
        typer.echo(json_text.dumps(asdict(written) | {"toml": table}) if json else table)
        return
    (facts,) = _facts([feature])
    if json:
        typer.echo(json_text.dumps(facts))
        return
    for key, value in facts.items():
        typer.echo(f"{key:11} {', '.join(value) if isinstance(value, list) else value}")


@app.command(epilog="Exit status: 0 done; 2 a name, a set or a file is refused.")
def compute(  # noqa: PLR0913, PLR0917  # the options of one command
    bars: Annotated[Path, _IN],
    out: Annotated[Path, typer.Option(help="Where to: .csv, .csv.gz or .parquet.", metavar="FILE")],
    names: Annotated[str, typer.Argument(help=_NAMES, metavar="NAME[,NAME...]")] = "",
    features: Annotated[Path | None, _SET] = None,
    incremental: Annotated[bool, typer.Option(help="Bar by bar, as the service does: the same bits.")] = False,
    reference: Annotated[Path | None, _REFERENCE] = None,
    known: Annotated[Path | None, _KNOWN] = None,
    known_symbol: Annotated[str, _KNOWN_SYMBOL] = "",
    close: Annotated[str, _CLOSE] = "",
    max_age_days: Annotated[int | None, _MAX_AGE] = None,
    time_zone: Annotated[str, options.ZONE] = "UTC",
    symbol: Annotated[str, options.SYMBOL] = "",
    column: Annotated[list[str] | None, options.COLUMN] = None,
    day_first: Annotated[bool | None, options.DAY_FIRST] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Compute features of a file of bars: its column of times, a column for each feature, and is_warm.

    Example: py_rt features compute rsi_14,atr_14 --in bars.csv --out features.parquet

    Example: py_rt features compute --set mine.toml --in bars.csv.gz --out features.csv --incremental

    Rows stand as in the file; each is taken to follow the one above it (nights and holidays are no holes). A value is
    missing until there are enough bars. Once is_warm, no bit of a value depends on where the file begins or ends:
    recursions restart on a grid of time, after which less than 1e-12 of what came before is left (but for KAMA, the
    parabolic stop and CUSUM, which forget at their own pace).
    """
    from py_rt.ml.features.promises import without_values

    with refusal.told(json=json, status=refusal.WRONG), _of(bars):
        _refuse_to_overwrite(out, bars, reference, known, features)
        given = options.given(time_zone, symbol, column, day_first=day_first)
        file = _with_known(
            _bars(bars, reference, given), known, max_age_days, time_zone, features, symbol=known_symbol, close=close
        )
        frame = _over(file, names, features)
        _refuse_name_of_time(file, frame.names)
        made = file.in_file_order(frame.compute(one_by_one=incremental))
        noteworthy = _noteworthy(frame, without_values(made))
        _write(made.insert_column(0, file.time), out)
    warm = int(made["is_warm"].sum())
    facts = {"ok": True, "rows": made.height, "warm_rows": warm, "features": list(frame.names), "out": str(out)}
    if json:
        typer.echo(json_text.dumps(facts | {"warmup": frame.warmup} | noteworthy))
        return
    _note(noteworthy)
    typer.echo(f"{len(frame.names)} features of {made.height} bars, {warm} rows warm (after {frame.warmup}): {out}")


@app.command(epilog="Exit status: 0 nothing found; 2 a name, a set or a file is refused; 3 a feature breaks a promise.")
def check(  # noqa: PLR0913, PLR0917  # the options of one command
    bars: Annotated[Path, _IN],
    names: Annotated[str, typer.Argument(help=_NAMES, metavar="NAME[,NAME...]")] = "",
    features: Annotated[Path | None, _SET] = None,
    reference: Annotated[Path | None, _REFERENCE] = None,
    known: Annotated[Path | None, _KNOWN] = None,
    known_symbol: Annotated[str, _KNOWN_SYMBOL] = "",
    close: Annotated[str, _CLOSE] = "",
    max_age_days: Annotated[int | None, _MAX_AGE] = None,
    time_zone: Annotated[str, options.ZONE] = "UTC",
    symbol: Annotated[str, options.SYMBOL] = "",
    column: Annotated[list[str] | None, options.COLUMN] = None,
    day_first: Annotated[bool | None, options.DAY_FIRST] = None,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Look for features that know what comes after a bar, or that never forget what came long before.

    Example: py_rt features check --set mine.toml --in bars.csv

    Each is computed anew on bars cut off behind some rows, and on bars that begin later: a value must have the
    same bits there. Python, which says no warm-up, must agree in the newest eighth but for what running sums leave.
    """
    with refusal.told(json=json, status=refusal.WRONG), _of(bars):
        given = options.given(time_zone, symbol, column, day_first=day_first)
        file = _with_known(
            _bars(bars, reference, given), known, max_age_days, time_zone, features, symbol=known_symbol, close=close
        )
        frame = _over(file, names, features)
        trial = frame.check()
        noteworthy = _noteworthy(frame, trial.valueless)
    found, rows = trial.findings, file.bars.height
    # By its time a bar is found in a file that begins with the newest one, too.
    times = file.in_file_order(file.time.to_frame()).to_series()
    if json:
        facts = {"ok": not found, "features": list(frame.names), "rows": rows, "warmup": frame.warmup}
        facts |= {"rows_cut": trial.rows_cut, "rows_begun": trial.rows_begun, "warm_up_untried": list(trial.untried)}
        facts["failing"] = list(trial.failing)
        told = [_found(one) | {"time": str(times[one.row])} for one in found]
        typer.echo(json_text.dumps(facts | noteworthy | {"findings": told}))
    else:
        _note(noteworthy)
        for one in found:
            where = f"bar {one.row} ({times[one.row]})"
            typer.echo(f"{one.feature}: {one.rule} at {where}: {one.whole!r} on all bars, {one.cut!r} on fewer")
        for one_failing in trial.failing:
            typer.echo(f"tried on more bars only: {one_failing}")
        if trial.untried:
            typer.echo(f"too few bars to try whether these forget: {', '.join(trial.untried)}")
        tried = f"cut off behind {trial.rows_cut} rows, begun at {trial.rows_begun}"
        typer.echo(f"{len(frame.names)} features of {rows} bars, {tried}: {len(found)} findings")
    if found:
        raise typer.Exit(FOUND)


def _found(finding: Finding) -> dict[str, object]:
    """A finding for JSON, which has no word for what is no finite number."""
    return {name: None if isinstance(it, float) and not isfinite(it) else it for name, it in asdict(finding).items()}


def _refuse_to_overwrite(out: Path, *read: Path | None) -> None:
    from py_rt.ml.features.catalogue import CatalogueError

    for path in read:
        if path is not None and out.resolve() == path.resolve():
            raise CatalogueError(f"{out} is read here, and would be lost; give --out another name")


def _refuse_name_of_time(file: BarFile, names: Sequence[str]) -> None:
    from py_rt.ml.features.catalogue import CatalogueError

    if file.time.name in names:
        raise CatalogueError(f"feature {file.time.name} has the name of the file's column of times; give it another")


def _over(file: BarFile, names: str, features: Path | None) -> SetOverBars | ModelFrame:
    from py_rt.ml.features.catalogue import CatalogueError
    from py_rt.ml.features.model_set import ModelFrame, is_model_file
    from py_rt.ml.features.sets import SetOverBars

    if features is not None and not names and is_model_file(features):
        return ModelFrame(features, file)
    wanted = _chosen(names, features, file.bars.columns)
    try:
        return SetOverBars(wanted, file.bars)
    except CatalogueError as error:
        if features is None:
            raise
        raise CatalogueError(f"{features}: {error}") from error


@contextmanager
def _of(bars: Path) -> Iterator[None]:
    """Say which file it is that lacks a column."""
    from py_rt.ml.features.catalogue import CatalogueError
    from py_rt.ml.features.expressions import AbsentColumnError

    try:
        yield
    except AbsentColumnError as error:
        raise CatalogueError(f"{bars.name}: {error}") from error


def _chosen(names: str, file: Path | None, columns: Sequence[str]) -> Sequence[Feature]:
    from py_rt.ml.features.catalogue import CatalogueError, read_features
    from py_rt.ml.features.expressions import chosen, readable

    if bool(names) == (file is not None):
        raise CatalogueError("name features of the catalogue, or a file of them with --set FILE")
    if file is not None:
        return read_features(file)
    if names == "all":
        return readable(columns)
    return chosen([name.strip() for name in names.split(",")])


def _bars(path: Path, reference: Path | None, given: Given) -> BarFile:
    from py_rt.data.bar_files import read_bar_file, with_reference

    file = read_bar_file(path, given)
    if reference is not None:
        file = with_reference(file, read_bar_file(reference, replace(given, symbol="", columns={})))
    return file


def _with_known(  # the options of both commands
    file: BarFile,
    known: Path | None,
    max_age_days: int | None,
    time_zone: str,
    features: Path | None,
    *,
    symbol: str,
    close: str,
) -> BarFile:
    from py_rt.ml.features.catalogue import CatalogueError
    from py_rt.ml.features.closes import ALWAYS
    from py_rt.ml.features.known import with_known
    from py_rt.ml.features.model_set import is_model_file
    from py_rt.ml.features.technical import FeatureSet

    if known is not None:
        is_model = features is not None and is_model_file(features)
        declared = FeatureSet.from_toml(features).slow if features is not None and is_model else ()
        # The service decides where a bar's span ends.
        hours = close or (ALWAYS if is_model else "")
        return with_known(file, known, max_age_days, time_zone, symbol=symbol, close=hours, declared=declared)
    if symbol or close:
        raise CatalogueError("--known-symbol and --close speak of the facts of --known FILE, which is not given")
    return file


def _facts(features: Sequence[Feature]) -> list[dict[str, object]]:
    """What each is and needs, and whether the service can run it."""
    from py_rt.ml.features.expanded import expand, online, told
    from py_rt.ml.features.expressions import Expressions

    facts: list[dict[str, object]] = []
    for feature, needs in zip(features, Expressions(features).needs, strict=True):
        words = ("name", "what", "expression", "family", "source", "ta_lib")
        said: dict[str, object] = {word: getattr(feature, word) for word in words if getattr(feature, word)}
        restarts = [told(one) for one in expand(feature).restarts]
        facts.append(
            said | asdict(needs) | {"inputs": list(needs.inputs), "restarts": restarts, "online": online(feature)}
        )
    return facts


def _write(frame: pl.DataFrame, out: Path) -> None:
    from py_rt.data.bar_files import write_table

    write_table(frame, out)


def _noteworthy(frame: SetOverBars | ModelFrame, valueless: Sequence[str]) -> dict[str, list[str]]:
    """What is no fault and may be none of the user's intentions, for `_note`."""
    from py_rt.ml.features.catalogue import redefined

    return {"valueless": list(valueless), "redefined": redefined(frame.features)}


def _note(facts: dict[str, list[str]]) -> None:
    if facts["valueless"]:
        typer.echo(f"no bar has a value of: {', '.join(facts['valueless'])}")
    if facts["redefined"]:
        typer.echo(f"defined otherwise in the catalogue, the file's own count: {', '.join(facts['redefined'])}")
