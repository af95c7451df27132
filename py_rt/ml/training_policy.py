"""What training does beside the model's own parameters: how rows weigh, and how features are normalized.

Both stand in `config/training.toml`, and by default neither is done. Weights by uniqueness matter where labels live for
different times, as those of a triple barrier (`py_rt.ml.label_rule`, the same file); forward returns all live equally
long and overlap equally, so that all of them would weigh the same. Trees split by order, which no z-score changes:
normalize for models that measure distances.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from py_rt.data.normalization import METHODS, TAIL
from py_rt.errors import PyRtError
from py_rt.ml.features.normalized import Wish
from py_rt.ml.label_rule import LabelRule
from py_rt.ml.labels import LabelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Weights = Literal["equal", "uniqueness"]
WEIGHTS: tuple[Weights, ...] = get_args(Weights)

_KEYS = ("sample_weights", "oldest_weight", "normalize", "label")


class PolicyError(PyRtError):
    """A file of training policies that is refused."""


@dataclass(frozen=True, slots=True)
class TrainingPolicy:
    """How a model is trained.

    Attributes:
        sample_weights: whether all rows count the same, or by how much their labels tell alone.
        oldest_weight: of `uniqueness`, how much the oldest row counts; see `py_rt.ml.weights.time_decay`.
        normalize: wishes by feature.

    Raises:
        PolicyError: no such weights, or an oldest weight out of range.
    """

    sample_weights: Weights = "equal"
    oldest_weight: float = 1.0
    normalize: Mapping[str, Wish] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.sample_weights not in WEIGHTS:
            raise PolicyError(f"sample_weights is {self.sample_weights!r}; allowed are {', '.join(WEIGHTS)}")
        if not -1 < self.oldest_weight <= 1:
            raise PolicyError(f"oldest_weight is {self.oldest_weight}; allowed is above -1 and at most 1")
        if self.sample_weights == "equal" and self.oldest_weight != 1:
            raise PolicyError("oldest_weight needs sample_weights = 'uniqueness': equal rows all count 1")

    @classmethod
    def read(cls, path: Path) -> TrainingPolicy:
        """Read a file.

        Raises:
            PolicyError: it cannot be read, or says something else; path and key are named.
        """
        try:
            facts = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise PolicyError(f"{path} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise PolicyError(f"{path} is no TOML: {error}") from error
        unknown = sorted(facts.keys() - set(_KEYS))
        if unknown:
            raise PolicyError(f"{path}: {', '.join(unknown)}: allowed are {', '.join(_KEYS)}")
        oldest, wishes = facts.get("oldest_weight", 1.0), facts.get("normalize", {})
        if isinstance(oldest, bool) or not isinstance(oldest, int | float) or not isinstance(wishes, dict):
            raise PolicyError(f"{path}: oldest_weight is a number, normalize a table of features")
        try:
            LabelRule.of(facts.get("label", {}))
            made = {name: _wish(name, said) for name, said in wishes.items()}
            return cls(facts.get("sample_weights", "equal"), float(oldest), made)
        except (PolicyError, LabelError) as error:
            raise PolicyError(f"{path}: {error}") from error


def _wish(name: str, said: Any) -> Wish:  # noqa: ANN401
    """`"z_score"`, or `{ method = "winsorized", tail = 0.01 }`."""
    facts = {"method": said} if isinstance(said, str) else said
    if not isinstance(facts, dict) or not {"method"} <= facts.keys() <= {"method", "tail"}:
        raise PolicyError(f"normalize.{name}: is {said!r}; wanted a method, or a table of method and tail")
    method, tail = facts["method"], facts.get("tail", TAIL)
    if method not in METHODS:
        raise PolicyError(f"normalize.{name}: no method is called {method!r}; there are {', '.join(METHODS)}")
    if "tail" in facts and method != "winsorized":
        raise PolicyError(f"normalize.{name}: only winsorized has a tail")
    if isinstance(tail, bool) or not isinstance(tail, int | float) or not 0 <= tail < 0.5:
        raise PolicyError(f"normalize.{name}: tail is {tail!r}; allowed is 0 to below 0.5")
    return Wish(method, float(tail))
