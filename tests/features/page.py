"""The page of features: every one of the catalogue, and what expressions may say.

python tests/features/page.py              prints it
python tests/features/page.py --write      writes docs/reference/features.md
"""

from __future__ import annotations

import argparse
import sys
from itertools import groupby
from pathlib import Path

import py_rt_core

from py_rt.ml.features.catalogue import Feature, catalogue
from py_rt.ml.features.expanded import expand, online
from py_rt.ml.features.expressions import Expressions, Needs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "features.md"

HEAD = """# Features

<!-- written by tests/features/page.py, not by hand -->

{count} features, each an expression in `config/features/catalogue/`, computed by `engine::signals::program`: over
columns of bars for research, bar by bar in the service, with the same bits. `py_rt features` lists, explains,
computes and checks them on any file of bars; [the guide](../guides/features.md) shows how to write your own and take
it live.

*Lookback*: bars until there is a value. *Warm*: bars until the value is the same, to its last bit, wherever the bars
began. *Restart*: recursions (exponential averages and their kin) begin anew on a grid of so many bars for it, after
which less than 1e-12 of what came before is left (KAMA, the parabolic stop and CUSUM forget at their market's pace
instead). *Online*: whether a bundle takes the feature, and with which restart
windows where the service keeps too few bars for its own; `py_rt features explain NAME --expanded` writes it out.
A window's sums are never taken back from, so nothing drifts: a deviation of prices near 60,000 that hardly move is
right to 1e-12.

Where TA-Lib defines the same, the values agree within 1e-9 (relative, or to the usual size of the values) from the
first one on: `tests/py_rt/ml/test_features_catalogue.py`. Exceptions:

- slopes and angles of regressions, CORREL, BETA, CCI, APO and PPO in a market that hardly moves: TA-Lib's running sums
  of raw prices lose digits, these do not. Differences of exponential averages (MACD, TRIX, bull and bear power) keep
  what the last bit of a price leaves, here and there: 2e-8 where a price of 60,000 moves by cents; ROC 1.3e-9;
- MACD, the fast stochastic and STOCHRSI have values before TA-Lib's first ones, which wait for their signals;
- where a number of the input is missing, a window that holds it is unknown and a recursion begins anew behind it;
  TA-Lib is unknown from there on, or compares with nothing as if it were a number;
- `kama_*` and `parabolic_sar` forget at the pace of the market and not at a known one: their restart windows (2,048 and
  512 bars) are long for usual markets, but after a fall to a two-hundredth, or one wide bar in a market that then moves
  sideways with equal ranges, TA-Lib still remembers what was before and these do not (1e-4 and 1e-2 were seen);
- in a halt, ratios of recursive averages (RSI, CMO, DI, DX, ADX, TSI) lose digits with what fades (2e-9 was seen) and
  say 0 once their restart window lies within the halt: nothing is left to compare, where TA-Lib compares what has not
  quite faded. STOCHRSI is 0 then, and there not
  even rounding is compared. What is below 1e-12 of the movement or price before (ATR, NATR, directional movement, MACD,
  TRIX, the sums of TA-Lib's slow stochastic and MFI) is 0 or rounding here and a rest there;
- MFI asks whether the typical price rose, fell or stayed. Where it stayed but for last bits of its mean, the answer of
  floating-point prices is chance; in whole units of 1e-8 it stayed, and the bar's money counts on neither side;
- prices of more than eight decimal places (`4.202109985351562`, or a `0.3` that was computed as `0.1 + 0.2`), and those
  above 9e7 with more digits than a double has in units of 1e-8, have other last bits there. Where they decide which of
  two movements or ranges is the larger, one side has it and the other not: directional movement (DM, DI, DX, ADX,
  ADXR), `rsi_2`, WILLR and candle patterns (`long_line`, `spinning_top`, `high_wave`, `doji_star` and their kin). A
  wrong tie of directional movement takes its window to fade;
- ROC where the price before is 0 and NATR where the close is: TA-Lib says 0, here the value is unknown; so is BETA
  while a price of 0 is in its window. MFI of prices below 0 differs, and means nothing in either;
- a restart window that you shorten (`ema(close, 200, 512)`) leaves more than 1e-12 of the seed:
  `py_rt features explain NAME --expanded --window N` says how much.

The fall and rise of highs and lows (`up_move`, `down_move`) are taken in floating-point prices, so that ties of
directional movement fall as TA-Lib's do.

Where a market stands still or trades nothing, what is divided by movement or volume says what its words say: 0 as a
rule, 0.5 in the middle of a range, 1 for as usual. Unknown there are only `rsqr_*`, `corr_*` and `cord_*`, as in Qlib
(`cord_*` after every bar without volume, until it has left the window), and `amihud_*` where nothing was traded at all.

## What expressions may say

Columns: {inputs}. Prices and quantities have units; a sum or comparison of unlike ones is refused, a bare number
takes the unit of what it meets. `+ - * / **`, `< <= > >= == !=`, `and or not`, names of other features, and:

| function | gives |
|---|---|
{functions}

`n` is a length in bars as written, `w` a restart window. What has no value (a division by zero, the logarithm of a
negative number) is unknown, and so is what is made of it, but for `known(x, otherwise)`.
"""


def page() -> str:
    """The page's text."""
    features = list(catalogue().values())
    needs = dict(zip((feature.name for feature in features), Expressions(features).needs, strict=True))
    functions = [f"| `{name}({arguments})` | {what} |" for name, arguments, what in py_rt_core.feature_functions()]
    inputs = ", ".join(f"`{name}`" for name in py_rt_core.feature_inputs())
    parts = [HEAD.format(count=len(features), inputs=inputs, functions="\n".join(functions))]
    for family, members in groupby(features, key=lambda feature: feature.family):
        heads = "name | what | formula | unit | lookback | warm | restart | online | reads | source"
        parts.append(f"\n## {family}\n\n| {heads} |\n|{'---|' * len(heads.split(' | '))}\n")
        parts.extend(_row(feature, needs[feature.name]) for feature in members)
    return "".join(parts)


def _row(feature: Feature, needs: Needs) -> str:
    source = f"TA-Lib `{feature.ta_lib}`" if feature.ta_lib else feature.source
    cells = [
        f"`{feature.name}`",
        feature.what,
        f"`{feature.expression}`",
        needs.unit.replace("*", "\\*"),
        str(needs.lookback),
        str(needs.warmup),
        ", ".join(f"{one.function} {one.window}" for one in expand(feature).restarts),
        online(feature),
        ", ".join(needs.inputs),
        source,
    ]
    return f"| {' | '.join(cells)} |\n"


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())


if __name__ == "__main__":
    main()
