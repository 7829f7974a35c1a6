"""Every benchmark runs with tiny settings, prints a table and writes JSON; how fast it was is not asked here."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RUNS = {
    "recover_step": "--networks convnet@16 --batch 2 --no-memory",
    "relabel": "--networks convnet@16:8 --images 6 --epochs 1 --batch 4",
    "validate": "--networks convnet@16:8 --images 6 --batch 3",
    "labels": "--images 16",
    "label_store": "--images 16 --classes 10 --epochs 1 --batch-size 8 --no-memory",
    "scaling": "--no-memory --shrink 4 --knobs ipc",
    "scale": "--workers 1 --batches 2 --steps 2 --resolution 16",
    "end_to_end": "--smoke",
    "precision": "--smoke --recoveries 2 --students 1",
    "parametrisations": "--smoke --only digits --recoveries 2 --students 1",
}


@pytest.fixture
def program(monkeypatch):
    """Return a function that imports a benchmark as its own folder sees it."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.delenv("SRE2L_DATA", raising=False)
    return import_module


@pytest.mark.parametrize("name", RUNS)
def test_it_runs_and_records(program, name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    program(name).main([*RUNS[name].split(), "--device", "cpu", "--rounds", "1", "--out", str(tmp_path)])
    assert torch.get_num_threads() == threads
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    record = json.loads((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    assert len(printed) == len(record["rows"]) + 2
    assert len({line.count("|") for line in printed}) == 1
    assert record["benchmark"] == name
    assert {"cpu", "cores", "threads", "versions", "date"} <= record["machine"].keys()
    assert "torch" in record["machine"]["versions"]
    assert all(row.keys() == record["rows"][0].keys() for row in record["rows"])


@pytest.mark.parametrize("name", RUNS)
def test_help_says_what_it_measures(program, name, capsys):
    module = program(name)
    with pytest.raises(SystemExit, match="0"):
        module.main(["--help"])
    shown = capsys.readouterr().out
    assert module.__doc__.strip().splitlines()[0] in shown
    assert "--rounds" in shown


def test_the_textbook_computes_the_same_loss(program):
    """A yardstick that does something else would prove nothing."""
    recover_step, textbook = program("recover_step"), program("textbook")
    teacher = recover_step.network("resnet10", 16, 10, width=8)
    config = recover_step.RecoverConfig(ipc=1, steps=10, crop="none", flip=0, group_size=10)
    group = recover_step.plan(config, teacher.spec)[0]
    plain = textbook.TextbookRecovery(
        teacher.net, teacher.spec, torch.tensor(group.labels), config, torch.device("cpu")
    )
    plain.augment = lambda images: images
    ours = recover_step.Recovery(teacher, [group], config, runtime=recover_step.Runtime(torch.device("cpu")))
    with torch.no_grad():
        plain.images.copy_(ours.images)
    for _ in range(3):
        assert plain.step() == pytest.approx(ours.step().value("loss"), rel=1e-3)


def test_alternating_and_ratios(program):
    harness, calls = program("harness"), []
    programs = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = harness.alternate(programs, 3, torch.device("cpu"), warmup=1)
    assert "".join(calls) == "ab" + "ab" * 3
    assert [len(spent) for spent in times.values()] == [3, 3]
    assert harness.ratio([2.0, 6.0, 40.0], [1.0, 2.0, 10.0]) == 3.0


def test_operations_are_counted_without_bookkeeping(program):
    harness, x = program("harness"), torch.ones(4, 4)
    assert harness.launches(lambda: (x[None, :2].transpose(1, 2) * 2).exp(), torch.device("cpu")) == 2
    assert harness.flops_per_image(torch.nn.Conv2d(3, 5, 3, bias=False), (3, 8, 8), backward=False) == 2 * 27 * 5 * 36
