"""An expression written out as a bundle takes it: names of columns only, and every restart window as a number.

The service keeps so many bars for a new start that a long recursion is not warm after them; such a one gets a shorter
window here, and it is told what share of its seed is left in its values then. Whether a bundle takes
the text is not decided here: the validator of feature files is asked.
"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import py_rt_core

from py_rt.ml.features.catalogue import CatalogueError
from py_rt.ml.features.expressions import Expressions, meanings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from py_rt.ml.features.catalogue import Feature

WINDOW_STEP = 16
"""Restart windows are whole multiples, as the engine's own are."""
WINDOW_MAX = 16_384
"""Longest restart window, bars."""
_IF = "if_"
"""`if` is a word of Python, whose grammar reads expressions otherwise as they are meant."""


@dataclass(frozen=True, slots=True, order=True)
class Restart:
    """A recursion of an expression.

    Attributes:
        function: its name.
        window: bars after which it restarts, at least; at most one less than twice as many lie behind a value.
        left: share of its seed that is left at most; `None` where it forgets at its own pace.
    """

    function: str
    window: int
    left: float | None


@dataclass(frozen=True, slots=True)
class Expanded:
    """A feature as a bundle takes it.

    Attributes:
        expression: of columns only.
        unit: of its values.
        warmup: bars until they are the same wherever the bars began.
        restarts: its recursions, each once.
        slow: names and units of the slow parameters that it reads, which a feature file declares.
        refusal: why a bundle does not take it; nothing where it does.
    """

    expression: str
    unit: str
    warmup: int
    restarts: tuple[Restart, ...]
    slow: tuple[tuple[str, str], ...]
    refusal: str

    def to_toml(self, feature: Feature) -> str:
        """A table `[[feature]]` of a model's feature file, or of a set."""
        said = [f"# {feature.what}" if feature.what else "", *(f"# {told(one)}" for one in self.restarts)]
        said += [f'# reads {name}: a table [[slow]] declares it once, with unit = "{unit}"' for name, unit in self.slow]
        table = f'[[feature]]\nname = "{feature.name}"\nkind = "expression"\n'
        return "\n".join([*filter(None, said), f'{table}expression = "{self.expression}"\nunit = "{self.unit}"\n'])


def told(restart: Restart) -> str:
    """A restart in words."""
    left = "forgets at its own pace" if restart.left is None else f"at most {restart.left:.0e} of its seed is left"
    return f"{restart.function} restarts after {restart.window} bars: {left}"


def expand(feature: Feature, window: int = WINDOW_MAX) -> Expanded:
    """Write a feature out.

    Args:
        feature: an expression of the catalogue or of a set.
        window: longest restart window that is wanted; one that must be longer than this to begin at all stays so long.

    Raises:
        CatalogueError: it is arbitrary Python, or its expression is refused.
    """
    if feature.python:
        raise CatalogueError(f"feature {feature.name}: is arbitrary Python, which the service cannot run")
    (needs,) = Expressions([feature]).needs
    definitions, columns = meanings([feature])
    writer = _Writer(definitions, {*py_rt_core.feature_inputs(), *(name for name, _ in columns)}, window)
    text = _text(writer.visit(_parsed(feature.expression)))
    slow = tuple((name, unit) for name, unit in columns if name in needs.inputs)
    try:
        ((_, _, warmup, _),) = py_rt_core.FeatureProgram([text], {}, columns).describe()
        refusal = _refusal(text, needs.unit, slow)
    except py_rt_core.CoreError as error:
        warmup, refusal = needs.warmup, str(error).rpartition(": ")[2]
    return Expanded(text, needs.unit, warmup, tuple(sorted(writer.restarts)), slow, refusal)


def for_bundle(feature: Feature) -> Expanded:
    """Write a feature out with the longest restart windows with which a bundle takes it; as it is where it takes none.

    Raises:
        CatalogueError: as for :func:`expand`.
    """
    whole = expand(feature)
    if not whole.refusal or not whole.restarts or expand(feature, WINDOW_STEP).refusal:
        return whole
    # The shortest one is taken, the longest is not.
    taken, refused = WINDOW_STEP, WINDOW_MAX
    while refused - taken > WINDOW_STEP:
        between = (taken + refused) // 2 // WINDOW_STEP * WINDOW_STEP
        taken, refused = (taken, between) if expand(feature, between).refusal else (between, refused)
    return expand(feature, taken)


def online(feature: Feature) -> str:
    """Whether the service can run a feature: `yes`, when what is told to it, with which restart window, or why not."""
    whole = expand(feature)
    if not whole.refusal:
        return f"when told {', '.join(name for name, _ in whole.slow)}" if whole.slow else "yes"
    taken = for_bundle(feature)
    if taken.refusal:
        return f"no: {taken.refusal.partition(';')[0].replace('the column', 'reads')}"
    most = max(restart.window for restart in taken.restarts)
    return f"with restart windows of {most} at most"


class _Writer(ast.NodeTransformer):
    """Puts definitions in the place of names, and restart windows where there are none."""

    def __init__(self, definitions: Mapping[str, str], columns: set[str], window: int) -> None:
        self._definitions, self._columns, self._window = definitions, columns, window
        self._done: dict[str, ast.expr] = {}
        self.restarts: set[Restart] = set()

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self._columns:
            return node
        if node.id not in self._done:
            self._done[node.id] = self.visit(_parsed(self._definitions[node.id]))
        return self._done[node.id]

    def visit_Call(self, node: ast.Call) -> ast.expr:
        assert isinstance(node.func, ast.Name)
        node.args = [self.visit(argument) for argument in node.args]
        name, needed = node.func.id, _restarting().get(node.func.id)
        if needed is None:
            return node
        numbers = tuple(_number(argument) for argument in node.args[:needed])
        usual = _usual_window(name, numbers)
        own = _number(node.args[needed]) if len(node.args) > needed else None
        length = int(numbers[1]) if numbers[1] is not None and float(numbers[1]).is_integer() else 1
        window = max(min(int(own) if own is not None else usual, self._window), length + 1, 2)
        node.args[needed:] = [ast.Constant(window)]
        kept = _kept(name, numbers)
        self.restarts.add(Restart(name, window, None if kept is None else kept ** (window - length)))
        return node


@cache
def _restarting() -> dict[str, int]:
    """Functions that take a restart window, and how many arguments stand before it."""
    return {
        name: len(arguments.partition(" [")[0].split(","))
        for name, arguments, _ in py_rt_core.feature_functions()
        if arguments.endswith("[, w]")
    }


@cache
def _usual_window(name: str, numbers: tuple[float | None, ...]) -> int:
    """The restart window that the engine takes by itself: half of what it makes the warm-up."""
    arguments = ", ".join("close / open" if number is None else repr(number) for number in numbers)
    try:
        ((_, _, warmup, _),) = py_rt_core.FeatureProgram([f"{name}({arguments})"], {}).describe()
    except py_rt_core.CoreError:
        # It forgets too slowly for any: the one that it was given counts.
        return WINDOW_MAX
    return int(warmup) // 2


def _kept(name: str, numbers: tuple[float | None, ...]) -> float | None:
    """Share of a seed that one more bar leaves; `None` of a recursion that forgets as its market lets it."""
    match name, numbers:
        case "ema", (_, float() | int() as length):
            return 1 - 2 / (length + 1)
        case (("wilder" | "wilder_sum"), (_, float() | int() as length)):
            return 1 - 1 / length
        case "smooth", (_, float() | int() as weight):
            return 1 - weight
        case "regime", (*_, float() as stay_a, float() as stay_b):
            # R. Atar and O. Zeitouni, Exponential Stability for Nonlinear Filtering, 1997: of the odds' logarithm.
            stay, leave = math.sqrt(stay_a * stay_b), math.sqrt((1 - stay_a) * (1 - stay_b))
            return abs(stay - leave) / (stay + leave)
        case _:
            return None


def _refusal(text: str, unit: str, slow: Sequence[tuple[str, str]]) -> str:
    """What the validator of feature files has against it, where the slow parameters are declared."""
    tables = [f'[[slow]]\nname = "{name}"\nunit = "{of}"\nmax_age_seconds = 60\n' for name, of in slow]
    tables.append(f'[[feature]]\nname = "x"\nkind = "expression"\nexpression = "{text}"\nunit = "{unit}"\n')
    try:
        py_rt_core.feature_spec_json("bar_seconds = 60\n" + "".join(tables), "expanded")
    except py_rt_core.CoreError as error:
        return str(error).partition(": found ")[2]
    return ""


def _parsed(expression: str) -> ast.expr:
    return ast.parse(re.sub(r"\bif\s*\(", f"{_IF}(", expression).strip(), mode="eval").body


def _text(node: ast.expr) -> str:
    text = ast.unparse(node).replace(f"{_IF}(", "if(")
    return text if len(text) <= _WIDE_MAX else re.sub(r" ?(\*\*|[-+*/,]|[<>=!]=|[<>]) ?", r"\1", text)


_WIDE_MAX = 1_024
"""Longer ones go without spaces, so that fewer of them are too long."""


def _number(node: ast.expr) -> float | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int | float) else None
