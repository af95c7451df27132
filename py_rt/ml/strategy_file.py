"""What a strategy file says about its model: at which probabilities the strategy decides."""

from __future__ import annotations

import tomllib

from py_rt.errors import PyRtError


class StrategyFileError(PyRtError):
    """A strategy file that does not say at which probabilities it decides."""


def decided_at(text: str) -> tuple[float, float]:
    r"""The probability below which a strategy leaves, and that at or above which it enters.

    Args:
        text: of the strategy file; the engine's own validator judges the rest of it.

    Raises:
        StrategyFileError: it has no two such numbers.

    >>> decided_at("[parameters]\nentry_threshold = 0.50\nexit_threshold = 0.48\n")
    (0.48, 0.5)
    """
    try:
        parameters = tomllib.loads(text)["parameters"]
        return float(parameters["exit_threshold"]), float(parameters["entry_threshold"])
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        wanted = "it needs numbers entry_threshold and exit_threshold under [parameters]"
        raise StrategyFileError(f"the strategy file does not say when it decides: {error!r}; {wanted}") from error
