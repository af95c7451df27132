"""What a long run says while it goes on: a moving bar on a terminal, plain lines everywhere else."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import TaskID

NAME_WIDTH = 10
"""Columns of a step's name."""

PLAIN_EVERY_S = 5.0
"""Shortest time between two lines of progress where there is no terminal."""

BAR_WIDTH = 24


class Step:
    """A step that is going on."""

    def __init__(self, show: Show, name: str) -> None:
        """Begin.

        Args:
            show: where it is told.
            name: one word or two.
        """
        self._show = show
        self.name = name
        self._started = show.clock()
        self._result = ""

    @property
    def seconds(self) -> float:
        """How long it has taken, s."""
        return self._show.clock() - self._started

    def note(self, text: str) -> None:
        """Say something that stays on the screen."""
        self._show.line(f"{'':<{NAME_WIDTH}}  {text}")

    def progress(self, text: str, share: float | None = None) -> None:
        """Say how far it is: at once on a terminal, in a line now and then elsewhere.

        Args:
            text: a few words.
            share: 0 to 1, or `None` where nobody knows.
        """
        self._show.progress(self, text, share)

    def result(self, text: str) -> None:
        """Say what came of it, to be shown at its end."""
        self._result = text

    def end(self, said: str | None = None) -> None:
        """Show what came of it, and how long it took.

        Args:
            said: instead of the result.
        """
        self._show.line(f"{self.name:<{NAME_WIDTH}}  {said or self._result}  [{self.seconds:.1f} s]")


class Show:
    """Where steps are told: a terminal, a pipe, or nowhere.

    Attributes:
        clock: monotonic seconds.
        at: name of the step that goes on or that failed.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        quiet: bool = False,
        terminal: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Say nothing yet.

        Args:
            stream: what is written to.
            quiet: write nothing at all.
            terminal: whether somebody watches; `None` asks the stream.
            clock: monotonic seconds.
        """
        self._console = Console(
            file=stream,
            quiet=quiet,
            highlight=False,
            soft_wrap=True,
            markup=False,
            emoji=False,
            force_terminal=terminal,
        )
        self._moves = self._console.is_terminal and not quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._said = clock()
        self.clock = clock
        self.at = ""

    def line(self, text: str) -> None:
        """One line that stays."""
        self._said = self.clock()
        console = self._bar.console if self._bar else self._console
        console.print(text)

    @contextmanager
    def step(self, name: str, what: str) -> Iterator[Step]:
        """A step: shown when it begins, and with its result and duration when it ends.

        Args:
            name: one word or two.
            what: what it is about to do.
        """
        step = Step(self, name)
        self.at = name
        try:
            if self._moves:
                self._move(step, what, None)
            else:
                self.line(f"{name:<{NAME_WIDTH}}  {what} ...")
            yield step
        except Exception:
            self._rest()
            step.end("FAILED")
            raise
        except BaseException:  # a signal: what still runs is ended by whoever started it
            self._rest()
            step.end("interrupted; ending what runs")
            raise
        self._rest()
        step.end()

    def progress(self, step: Step, text: str, share: float | None) -> None:
        """Draw the bar anew, or print a line when there was none for a while."""
        if self._moves:
            self._move(step, text, share)
        elif self.clock() - self._said >= PLAIN_EVERY_S:
            known = "" if share is None else f"  {share:.0%}"
            step.note(f"{text}{known}  [{step.seconds:.0f} s]")

    def _move(self, step: Step, text: str, share: float | None) -> None:
        if self._bar is None:
            one_line = Column(no_wrap=True, overflow="ellipsis")
            words = TextColumn("{task.description}", table_column=one_line)
            spinner, bar, time_ = SpinnerColumn(), BarColumn(bar_width=BAR_WIDTH), TimeElapsedColumn()
            self._bar = Progress(spinner, bar, time_, words, console=self._console, transient=True)
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        assert self._task is not None
        total = None if share is None else 1.0
        self._bar.update(self._task, description=f"{step.name}  {text}", total=total, completed=share or 0.0)

    def _rest(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
