"""What a long run says while it goes on: a moving bar on a terminal, plain lines everywhere else."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME_WIDTH = 10
"""Columns of a step's name."""


class Step:
    """A step that is going on."""

    def __init__(self, show: Show, name: str) -> None:
        """Begin.

        Args:
            show: where it is told.
            name: one word or two.
        """
        self._show = show
        self._name = name
        self._started = time.monotonic()
        self._result = ""

    @property
    def seconds(self) -> float:
        """How long it has taken, s."""
        return time.monotonic() - self._started

    def note(self, text: str) -> None:
        """Say something that stays on the screen."""
        self._show.line(f"{'':<{NAME_WIDTH}}  {text}")

    def progress(self, text: str, share: float | None = None) -> None:
        """Say how far it is; only a terminal shows it.

        Args:
            text: a few words.
            share: 0 to 1, or `None` where nobody knows.
        """
        self._show.move(self._name, text, share)

    def result(self, text: str) -> None:
        """Say what came of it, to be shown at its end."""
        self._result = text

    def finish(self) -> None:
        """End it and show the result."""
        self._show.rest()
        self._show.line(f"{self._name:<{NAME_WIDTH}}  {self._result}  [{self.seconds:.1f} s]")


class Show:
    """Where steps are told: a terminal, a pipe, or nowhere."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        """Say nothing yet.

        Args:
            stream: what is written to.
            quiet: write nothing at all.
        """
        self._console = Console(file=stream, quiet=quiet, highlight=False, soft_wrap=True, markup=False)
        self._moves = self._console.is_terminal and not quiet
        self._bar: Progress | None = None
        self._task: Any = None

    def line(self, text: str) -> None:
        """One line that stays."""
        console = self._bar.console if self._bar else self._console
        console.print(text)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """A step: shown when it begins (by what it says), and with its result and duration when it ends well."""
        step = Step(self, name)
        try:
            self.move(name, "", None)
            yield step
        except BaseException:
            self.rest()
            raise
        step.finish()

    def move(self, name: str, text: str, share: float | None) -> None:
        """Draw the bar anew; nothing where nobody watches."""
        if not self._moves:
            return
        if self._bar is None:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30), TimeElapsedColumn())
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        described = f"{name:<{NAME_WIDTH - 2}}  {text}"
        total = None if share is None else 1.0
        self._bar.update(self._task, description=described, total=total, completed=share or 0.0)

    def rest(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
