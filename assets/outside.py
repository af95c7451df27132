"""What an asset hangs on besides its code and the assets it reads: files of a source, recordings, keys, the ledger.

The graph does not know these. A module of assets names them in `OUTSIDE`: for an asset, the question whether anything
out there has changed since it was made. `pipelines.staleness` asks before it reuses what was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from py_rt.bundle import keys
from py_rt.data.ingestion.landing import day_hashes, offer_hash

if TYPE_CHECKING:
    from pathlib import Path

    from py_rt.backtesting.ledger import LedgerHead, TrialLedger
    from py_rt.bundle.store import BundleStore
    from py_rt.data.cleaning import BarRules
    from py_rt.data.ingestion.market_data import Source
    from py_rt.data.ingestion.recordings import Recordings


@dataclass(frozen=True)
class Made:
    """A materialisation, as the event log keeps it.

    Attributes:
        partition: its key, or `None`.
        metadata: plain values by name.
    """

    partition: str | None
    metadata: Mapping[str, Any]


class Outside:
    """The world outside of the graph; what is costly to look at is looked at once, until it is forgotten."""

    def __init__(self, resources: Mapping[str, Any]) -> None:
        """Look at nothing yet.

        Args:
            resources: of the run, by name.
        """
        self._source: Source = resources["market_source"]
        self._ledger: TrialLedger = resources["ledger"]
        self._key_folder: Path = resources["key_folder"]
        self.rules: BarRules = resources["bar_rules"]
        self.store: BundleStore = resources["bundle_store"]
        self.reports: Path = resources["reports"]
        self.recorded_wires: Recordings = resources["recorded_wires"]

    def forget(self) -> None:
        """Look again at what a run changes; the source's files are not among that."""
        self.__dict__.pop("trials", None)

    @cached_property
    def offered_days(self) -> Mapping[str, str]:
        """A hash of the bars that the source offers, by day."""
        return day_hashes(self._source.bars())

    @cached_property
    def offered_daily_bars(self) -> str:
        """A hash of the daily bars that the source offers."""
        return offer_hash(self._source.daily_bars())

    @cached_property
    def trials(self) -> Mapping[str, frozenset[str]]:
        """Ids of the ledger's trials by data set."""
        found: dict[str, set[str]] = {}
        for trial in self._ledger.trials():
            found.setdefault(trial.dataset_id, set()).add(trial.trial_id)
        return {dataset: frozenset(ids) for dataset, ids in found.items()}

    def anchor(self, datasets: Iterable[str]) -> LedgerHead:
        """Where the ledger holds every trial of the data sets."""
        return self._ledger.anchor(datasets)

    @cached_property
    def builder(self) -> str | None:
        """Id of the key that signs candidates here, if there is one."""
        path = keys.key_path(self._key_folder, "builder")
        return keys.SigningKey.load(path).key_id if path.exists() else None


Question = Callable[[Outside, Made], str | None]
"""Says in a few words what has changed outside since, or `None`."""
