"""`py_rt features`: the catalogue of features, computed and checked on any file of bars."""

from __future__ import annotations

import json as json_text
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from py_rt.errors import PyRtError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from py_rt.data.bar_files import BarFile
    from py_rt.ml.features.catalogue import Feature
    from py_rt.ml.features.model_set import ModelFrame
    from py_rt.ml.features.sets import SetOverBars

WRONG, FOUND = 2, 3

app = typer.Typer(help="Features: the catalogue, computed and checked on any file of bars.", no_args_is_help=True)

_JSON = typer.Option("--json", help="One JSON document.")
_SET = typer.Option(
    "--set", help="A file of features (TOML), or a model's, instead of names of the catalogue.", metavar="FILE"
)
_IN = typer.Option("--in", help="Bars: CSV, gzipped CSV or Parquet.", metavar="FILE")
_ZONE = typer.Option(help="IANA time zone of times that say none.", metavar="ZONE")
_REFERENCE = typer.Option(help="Bars of a reference instrument, of the same opening times.", metavar="FILE")
_KNOWN = typer.Option(
    help="What became known beside the market: ts_known and columns such as earnings_per_share or sentiment.",
    metavar="FILE",
)
_MAX_AGE = typer.Option(help="A fact known for more days than this is too old.", min=1)
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

    with _told(json=json):
        families = sorted({feature.family for feature in catalogue().values()})
        if family and family not in families:
            raise CatalogueError(f"there is no family {family!r}; there are {', '.join(families)}")
        found = [feature for feature in catalogue().values() if not family or feature.family == family]
    if json:
        typer.echo(json_text.dumps([_facts(feature) for feature in found]))
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


@app.command()
def explain(
    name: Annotated[str, typer.Argument(help="Of the catalogue.", metavar="NAME")],
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Say what a feature is: formula, source, unit, inputs, how many bars it needs.

    Example: py_rt features explain rsi_14
    """
    from py_rt.ml.features.expressions import Expressions, chosen

    with _told(json=json):
        (feature,) = chosen([name])
        (needs,) = Expressions([feature]).needs
    facts = _facts(feature) | asdict(needs)
    if json:
        typer.echo(json_text.dumps(facts))
        return
    for key, value in facts.items():
        typer.echo(f"{key:11} {', '.join(value) if isinstance(value, tuple) else value}")


@app.command(epilog="Exit status: 0 done; 2 a name, a set or a file is refused.")
def compute(  # noqa: PLR0913, PLR0917  # the options of one command
    bars: Annotated[Path, _IN],
    out: Annotated[Path, typer.Option(help="Where to: .csv, .csv.gz or .parquet.", metavar="FILE")],
    names: Annotated[str, typer.Argument(help=_NAMES, metavar="NAME[,NAME...]")] = "",
    features: Annotated[Path | None, _SET] = None,
    incremental: Annotated[bool, typer.Option(help="Bar by bar, as the service does: the same bits.")] = False,
    reference: Annotated[Path | None, _REFERENCE] = None,
    known: Annotated[Path | None, _KNOWN] = None,
    max_age_days: Annotated[int, _MAX_AGE] = 400,
    time_zone: Annotated[str, _ZONE] = "UTC",
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Compute features of a file of bars: its column of times, a column for each feature, and is_warm.

    Example: py_rt features compute rsi_14,atr_14 --in bars.csv --out features.parquet
    Example: py_rt features compute --set mine.toml --in bars.csv.gz --out features.csv --incremental

    Rows stand as in the file; each is taken to follow the one above it (nights and holidays are no holes). A value is
    missing until there are enough bars. Recursions restart on a grid that is counted from the file's first row; once
    is_warm, less than 1e-12 of what came before is left in any value (but for KAMA and the parabolic stop, which forget
    at their own pace).
    """
    with _told(json=json):
        _refuse_to_overwrite(out, bars, reference, known, features)
        file = _bars(bars, reference, known, max_age_days, time_zone, features)
        frame = _over(file, names, features)
        made = file.in_file_order(frame.compute(one_by_one=incremental))
        _write(made.insert_column(0, file.time), out)
    warm = int(made["is_warm"].sum())
    facts = {"ok": True, "rows": made.height, "warm_rows": warm, "features": list(frame.names), "out": str(out)}
    text = f"{len(frame.names)} features of {made.height} bars, {warm} rows warm (after {frame.warmup}): {out}"
    typer.echo(json_text.dumps(facts | {"warmup": frame.warmup}) if json else text)


@app.command(epilog="Exit status: 0 nothing found; 2 a name, a set or a file is refused; 3 a feature breaks a promise.")
def check(  # the options of one command
    bars: Annotated[Path, _IN],
    names: Annotated[str, typer.Argument(help=_NAMES, metavar="NAME[,NAME...]")] = "",
    features: Annotated[Path | None, _SET] = None,
    reference: Annotated[Path | None, _REFERENCE] = None,
    known: Annotated[Path | None, _KNOWN] = None,
    max_age_days: Annotated[int, _MAX_AGE] = 400,
    time_zone: Annotated[str, _ZONE] = "UTC",
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Look for features that know what comes after a bar, or that never forget what came long before.

    Example: py_rt features check --set mine.toml --in bars.csv

    Each is computed anew on bars cut off behind some rows, and on bars that begin later: a value must have the
    same bits there.
    """
    with _told(json=json):
        file = _bars(bars, reference, known, max_age_days, time_zone, features)
        frame = _over(file, names, features)
        found = frame.findings()
    untried = frame.untried()
    if json:
        facts = {"ok": not found, "features": list(frame.names), "rows": file.bars.height, "warmup": frame.warmup}
        typer.echo(json_text.dumps(facts | {"warm_up_untried": untried, "findings": [asdict(one) for one in found]}))
    else:
        for one in found:
            typer.echo(f"{one.feature}: {one.rule} at row {one.row}: {one.whole!r} on all bars, {one.cut!r} on fewer")
        if untried:
            typer.echo(f"too few bars to try whether these forget, or they are Python: {', '.join(untried)}")
        typer.echo(f"{len(frame.names)} features of {file.bars.height} bars: {len(found)} findings")
    if found:
        raise typer.Exit(FOUND)


def _refuse_to_overwrite(out: Path, *read: Path | None) -> None:
    from py_rt.ml.features.catalogue import CatalogueError

    for path in read:
        if path is not None and out.resolve() == path.resolve():
            raise CatalogueError(f"{out} is read here, and would be lost; give --out another name")


def _over(file: BarFile, names: str, features: Path | None) -> SetOverBars | ModelFrame:
    from py_rt.ml.features.model_set import ModelFrame, is_model_file
    from py_rt.ml.features.sets import SetOverBars

    if features is not None and not names and is_model_file(features):
        return ModelFrame(features, file)
    return SetOverBars(_chosen(names, features, file.bars.columns), file.bars)


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


def _bars(  # the options of both commands
    path: Path,
    reference: Path | None,
    known: Path | None,
    max_age_days: int,
    time_zone: str,
    features: Path | None,
) -> BarFile:
    from py_rt.data.bar_files import read_bar_file, with_reference
    from py_rt.ml.features.model_set import is_model_file
    from py_rt.ml.features.technical import FeatureSet

    file = read_bar_file(path, time_zone)
    if reference is not None:
        file = with_reference(file, read_bar_file(reference, time_zone))
    if known is not None:
        from py_rt.ml.features.known import with_known

        is_model = features is not None and is_model_file(features)
        declared = FeatureSet.from_toml(features).slow if features is not None and is_model else ()
        file = with_known(file, known, max_age_days, time_zone, declared)
    return file


def _facts(feature: Feature) -> dict[str, str]:
    return {key: text for key, text in asdict(feature).items() if text}


def _write(frame: pl.DataFrame, out: Path) -> None:
    from py_rt.data.bar_files import write_table

    write_table(frame, out)


@contextmanager
def _told(*, json: bool) -> Iterator[None]:
    try:
        yield
    except PyRtError as error:
        if json:
            typer.echo(json_text.dumps({"ok": False, "error": str(error)}))
        else:
            typer.echo(str(error), err=True)
        raise typer.Exit(WRONG) from error
