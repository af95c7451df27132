"""Signals that end the demo."""

from __future__ import annotations

import signal

import pytest

from py_rt.demo.signals import ENDING, StoppedBySignal, stoppable


@pytest.mark.parametrize("number", ENDING)
def test_each_is_an_exception_of_its_own_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = {one: signal.getsignal(one) for one in ENDING}
    with pytest.raises(StoppedBySignal) as caught, stoppable():
        signal.raise_signal(number)
    assert caught.value.status == 128 + number
    assert {one: signal.getsignal(one) for one in ENDING} == before


def test_no_handler_of_errors_catches_it() -> None:
    assert not issubclass(StoppedBySignal, Exception)


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
