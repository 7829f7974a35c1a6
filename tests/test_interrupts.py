"""Signals between two steps, before them, and where a step lasts."""

from __future__ import annotations

import os
import signal
import time
from importlib import import_module

import pytest

from sre2l_core.interrupts import Interrupted, Interrupts


def ask(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_step_under_way_ends_first(number, status):
    stop, steps = Interrupts(), []

    def work():
        for step in range(5):
            if step == 2:
                ask(number)
            steps.append(step)
            stop(None)

    with stop.handled(), pytest.raises(Interrupted, match=signal.Signals(number).name) as caught:
        work()
    assert (steps, caught.value.status) == ([0, 1, 2], status)
    assert isinstance(caught.value, KeyboardInterrupt)


def test_before_the_first_step_and_when_asked_twice_it_is_at_once():
    stop = Interrupts()
    with stop.handled():
        with pytest.raises(Interrupted):
            ask()
        stop(None)
        ask()
        with pytest.raises(Interrupted):
            ask()


def test_a_step_that_lasts_is_cut(monkeypatch):
    monkeypatch.setattr("sre2l_core.interrupts.PATIENCE", 1)
    stop = Interrupts()
    with stop.handled():
        stop(None)
        ask()
        with pytest.raises(Interrupted):
            time.sleep(20)


def test_an_import_is_never_cut(tmp_path, monkeypatch):
    """C++ libraries abort when an exception comes while they are imported."""
    code = "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.3)\nwhole = True\n"
    (tmp_path / "slow_to_import.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with Interrupts().handled():
        module = import_module("slow_to_import")
        with pytest.raises(Interrupted, match="SIGTERM"):
            time.sleep(20)
    assert module.whole


def test_what_was_before_comes_back_and_what_the_caller_ignores_stays_ignored():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interrupts().handled():
            ask(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert before == {number: signal.getsignal(number) for number in before}
