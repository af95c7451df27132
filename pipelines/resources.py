"""What assets are given: the lake, the folders, the source of bars, the rules of the instrument.

Read from the environment:

============================  ================================================================================
`PY_RT_HOME`                  folder of everything that is made; default `.py_rt` in the working folder
`PY_RT_LAKE`                  root of the tables, a folder or an `s3://` URL; default `<home>/lake`
`PY_RT_SOURCE`                source of bars: `bundled` (default), `local`, or one of an installed entry point
`PY_RT_SOURCE_<OPTION>`       an option of that source, for example `PY_RT_SOURCE_FOLDER` for `local`
`PY_RT_INSTRUMENT`            our name of the instrument; default `BTCUSDT`
`PY_RT_RECORDINGS`            folder that `py_rt record` writes into; default `<home>/recordings`
`PY_RT_REFERENCE`             folder of reference data (`py_rt.data.reference`); default `<home>/reference`
`PY_RT_RUN_FOLDER`            run folder of the service that bundles are deployed to; default: whichever runs in a
                              folder of `<home>/runs`
============================  ================================================================================
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.artifacts import ArtifactIOManager
from pipelines.expectation_process import expectation_runner
from pipelines.io_managers import DeltaIOManager
from py_rt.backtesting.ledger import TrialLedger
from py_rt.bridge.services import RunFolders
from py_rt.bundle.store import BundleStore
from py_rt.data.cleaning import BarRules
from py_rt.data.imputation import read_policies
from py_rt.data.ingestion.catalog import known_sources
from py_rt.data.ingestion.ingest import LANDING
from py_rt.data.ingestion.market_data import open_source
from py_rt.data.ingestion.recordings import Recordings
from py_rt.data.reference import Reference
from py_rt.data.schemas import CLEAN_BARS
from py_rt.data.storage import Lake
from py_rt.defaults import config_file, home_folder, lake_root, reference_folder
from py_rt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPTION_PREFIX = "PY_RT_SOURCE_"


def run_folders(environ: Mapping[str, str]) -> RunFolders:
    """Return where the service runs that bundles are deployed to.

    >>> str(run_folders({"PY_RT_HOME": "/srv/py_rt"}))
    '/srv/py_rt/runs/*/live.json'
    """
    only = environ.get("PY_RT_RUN_FOLDER")
    return RunFolders(home_folder(environ) / "runs", Path(only).expanduser().absolute() if only else None)


def recordings_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of recorded wires.

    >>> recordings_folder({"PY_RT_HOME": "/srv/py_rt"}).as_posix()
    '/srv/py_rt/recordings'
    >>> recordings_folder({"PY_RT_RECORDINGS": "/data/recordings"}).as_posix()
    '/data/recordings'
    """
    given = environ.get("PY_RT_RECORDINGS")
    return Path(given).expanduser().absolute() if given else home_folder(environ) / "recordings"


IMPUTATION = "imputation.toml"
"""The file of `config/` that says which columns are imputed how."""


def bar_rules(environ: Mapping[str, str]) -> BarRules:
    """Return what cleaning goes by: the instrument, and the policy of the volume in `config/imputation.toml`, if any.

    Raises:
        DataError: the file names a column that is not imputed, or a policy that cannot be.
    """
    path = config_file(IMPUTATION)
    tables = read_policies(path)
    columns = tables.get(CLEAN_BARS.name, {})
    if unknown := [name for name in columns if name != "volume"]:
        problem = f"{path}: {CLEAN_BARS.name}.{', '.join(unknown)}: of bars the volume is imputed, and nothing else"
        raise DataError(f"{problem}: a bar without prices is an empty one, at the close before it")
    sources = known_sources()
    if unknown := [name for name in tables if name not in {CLEAN_BARS.name, *sources}]:
        problem = f"{path}: {', '.join(unknown)}: imputed are {CLEAN_BARS.name} and tables of sources"
        raise DataError(f"{problem}; there are {', '.join(sources)}")
    return BarRules(instrument=environ.get("PY_RT_INSTRUMENT", "BTCUSDT"), volume=columns.get("volume"))


def make_resources(environ: Mapping[str, str] | None = None) -> dict[str, object]:
    """Make every resource by name.

    Args:
        environ: the variables above; `None` is the process's own.

    Raises:
        SourceError: the source or one of its options is not known.
    """
    environ = os.environ if environ is None else environ
    lake = Lake(lake_root(environ))
    artifacts = home_folder(environ) / "artifacts"
    options = {
        key[len(_OPTION_PREFIX) :].lower(): value for key, value in environ.items() if key.startswith(_OPTION_PREFIX)
    }
    return {
        "io_manager": DeltaIOManager(lake, artifacts),
        "bundle_store": BundleStore(home_folder(environ) / "bundles"),
        "key_folder": home_folder(environ) / "keys",
        "run_folders": run_folders(environ),
        "failure_file": home_folder(environ) / "failures.jsonl",
        "artifacts": ArtifactIOManager(artifacts),
        "ledger": TrialLedger(home_folder(environ) / "ledger" / "trials.jsonl"),
        "lake": lake,
        "reports": home_folder(environ) / "reports",
        "landing": home_folder(environ) / LANDING,
        "market_source": open_source(environ.get("PY_RT_SOURCE", "bundled"), options),
        "recorded_wires": Recordings(recordings_folder(environ)),
        "reference_data": Reference(reference_folder(environ)),
        "bar_rules": bar_rules(environ),
        "expectation_runner": expectation_runner,
    }
