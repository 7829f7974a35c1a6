"""Listeners of running stages."""

from __future__ import annotations

import csv
import shutil

import pytest
import torch

from sre2l_core.errors import ArtifactError
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


def test_the_log_of_an_interrupted_run_is_that_of_one_run(tmp_path):
    through, resumed = tmp_path / "through.csv", tmp_path / "resumed.csv"
    log = CsvLog(through, every=1)
    for event in [*events(total=6), *events("validate", 2)]:
        log(event)
    again = events(total=6)[1:2]  # alone, as when one image of many was damaged
    for part in (events(total=6)[:4], events(total=6)[2:5], again, [*events(total=6)[3:], *events("validate", 2)]):
        log = CsvLog(resumed, every=1)
        for event in part:
            log(event)
    assert resumed.read_bytes() == through.read_bytes()


def test_rows_of_another_run_of_a_stage_give_way(tmp_path):
    log = CsvLog(tmp_path / "log.csv", every=1)
    for event in [*events("squeeze", 2), *events(total=4)]:
        log(event)
    log = CsvLog(tmp_path / "log.csv", every=1)
    for step in (2, 3):
        log(StepEvent("recover", step, 4, {"loss": 9.0}, f"group {step}"))
    rows = [line.split(",") for line in (tmp_path / "log.csv").read_text().splitlines()[1:]]
    assert [(row[0], row[2], row[4]) for row in rows] == [
        ("squeeze", "1", "1"),
        ("squeeze", "2", "0.5"),
        ("recover", "1", "1"),
        ("recover", "2", "9"),
        ("recover", "3", "9"),
    ]


@pytest.mark.parametrize("cut", [1, 2, 9, 21])
def test_a_row_that_a_full_disk_cut_off_is_written_again(tmp_path, cut):
    for name in ("whole", "cut"):
        log = CsvLog(tmp_path / name, every=1)
        for event in events(total=3):
            log(event)
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-cut])
    log = CsvLog(tmp_path / "cut", every=1)
    for event in events(total=3):
        log(event)
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_log_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match=r"cannot write .*file/log\.csv"):
        CsvLog(tmp_path / "file" / "log.csv", every=1)(events()[0])


def test_a_folder_that_vanishes_is_not_made_anew_for_a_log(tmp_path):
    log = CsvLog(tmp_path / "run" / "log.csv", every=1)
    first, second, *_ = events(total=4)
    log(first)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(ArtifactError, match=r"log\.csv: No such file or directory.*bring the folder back"):
        log(second)
    assert not (tmp_path / "run").exists()


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
