"""Steps on a terminal, on a pipe, and nowhere."""

from __future__ import annotations

import io

import pytest

from py_rt.demo.show import PLAIN_EVERY_S, Show
from py_rt.demo.signals import StoppedBySignal


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_pipe_hears_begin_notes_and_result_in_plain_lines() -> None:
    out, clock = io.StringIO(), Clock()
    with Show(out, clock=clock).step("assets", "tables and models") as step:
        step.note("raw_bars  1.0 s")
        clock.now += 2.5
        step.result("15 made")
    assert out.getvalue().splitlines() == [
        "assets      tables and models ...",
        "            raw_bars  1.0 s",
        "assets      15 made  [2.5 s]",
    ]


def test_a_pipe_hears_of_progress_now_and_then() -> None:
    out, clock = io.StringIO(), Clock()
    with Show(out, clock=clock).step("trading", "on paper") as step:
        for number in range(121):
            step.progress(f"{number} orders", number / 120)
            clock.now += PLAIN_EVERY_S / 40
        step.result("done")
    said = out.getvalue().splitlines()
    assert said[1:-1] == [
        "            40 orders  33%  [5 s]",
        "            80 orders  67%  [10 s]",
        "            120 orders  100%  [15 s]",
    ]


def test_a_terminal_has_a_bar_that_leaves_nothing_but_results() -> None:
    out = io.StringIO()
    show = Show(out, terminal=True)
    with show.step("trading", "on paper") as step:
        step.progress("31 orders", 0.5)
        step.note("swapped")
        step.result("50 orders")
    said = out.getvalue()
    assert "\x1b[" in said
    assert "━" in said
    assert "31 orders" in said
    assert "swapped" in said
    last = said.rsplit("\x1b[2K", 1)[-1]
    assert last.strip().startswith("trading     50 orders")
    assert said.count("\x1b[?25l") == said.count("\x1b[?25h"), "the cursor is shown again"


def test_what_looks_like_markup_or_numbers_is_left_as_it_is() -> None:
    out = io.StringIO()
    Show(out, terminal=True).line("[red]42[/red] :smile:")
    assert out.getvalue() == "[red]42[/red] :smile:\n"


def test_long_lines_are_not_broken() -> None:
    out = io.StringIO()
    Show(out).line("x" * 500)
    assert out.getvalue() == "x" * 500 + "\n"


def test_quiet_says_nothing() -> None:
    out = io.StringIO()
    with Show(out, quiet=True, terminal=True).step("assets", "tables") as step:
        step.progress("half", 0.5)
        step.note("a note")
        step.result("made")
    assert not out.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    ("error", "said"),
    [(ValueError("no"), "FAILED"), (StoppedBySignal(2), "interrupted; ending what runs")],
)
def test_a_step_that_does_not_end_well_says_so_and_is_remembered(
    error: BaseException, said: str, *, terminal: bool
) -> None:
    out = io.StringIO()
    show = Show(out, terminal=terminal, clock=Clock())
    with pytest.raises(type(error)), show.step("deploy", "approve"):
        raise error
    assert out.getvalue().rsplit("\x1b[2K", 1)[-1].strip().splitlines()[-1] == f"deploy      {said}  [0.0 s]"
    assert show.at == "deploy"
