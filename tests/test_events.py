"""Listeners of running stages."""

from __future__ import annotations

import csv

import pytest
import torch

from sre2l_core.events import CsvLog, StepEvent, ignore, progress_bar, tell_all


def events(stage="recover", total=5):
    return [StepEvent(stage, n, total, {"loss": torch.tensor(1.0 / n)}, f"group {n}") for n in range(1, total + 1)]


class Untouchable:
    def __float__(self):
        raise AssertionError("waited for the device")


def test_nobody_waits_for_metrics_that_nobody_asked_for():
    event = StepEvent("recover", 3, 7, {"loss": Untouchable()})
    for listener in (ignore, tell_all(ignore, ignore)):
        listener(event)
    with progress_bar(every=2) as bar:
        bar(event)
    with pytest.raises(AssertionError, match="waited"):
        event.value("loss")


def test_csv_rows_and_header(tmp_path):
    path = tmp_path / "new" / "log.csv"
    for event in events():
        CsvLog(path, every=2)(event)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["stage", "note", "step", "metric", "value"]
    assert rows[1:] == [
        ["recover", "group 2", "2", "loss", "0.5"],
        ["recover", "group 4", "4", "loss", "0.25"],
        ["recover", "group 5", "5", "loss", "0.2"],
    ]


def test_several_listeners_are_told_in_order():
    heard = []
    tell_all(lambda event: heard.append(("a", event.step)), lambda event: heard.append(("b", event.step)))(events()[0])
    assert heard == [("a", 1), ("b", 1)]


def test_progress_bars_count_and_close(capsys):
    with progress_bar(every=1) as bar:
        for event in [*events(), *events("validate", 3)]:
            bar(event)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "recover" in shown.err
    assert "5/5" in shown.err
    assert "0.333" in shown.err
    assert "3/3" in shown.err
