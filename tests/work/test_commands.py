"""`--workers` and `--scheduler` on the command line: who has them, and what is said where they cannot be had."""

from __future__ import annotations

import os
import re

import pytest

from sre2l_core import storage
from sre2l_core.__main__ import main, parse
from sre2l_core.commands import Machine, Machines

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.fixture
def images(tiny_teacher, tiny_condensed, tmp_path):
    """The words of a small `relabel`."""
    tiny_teacher.save(tmp_path / "teacher")
    tiny_condensed.save(tmp_path / "condensed")
    folders = [f"--{name}={tmp_path / name}" for name in ("teacher", "condensed")]
    return ["relabel", *folders, f"--out={tmp_path / 'labels'}", "--epochs=3", "--preset=digits/smoke", "--device=cpu"]


def test_commands_whose_work_can_be_shared_take_workers():
    for command in ("recover", "relabel", "validate", "run", "paper"):
        needed = {"recover": ["--teacher", "t"], "validate": ["--condensed", "c"]}.get(command, [])
        place = [] if command == "paper" else ["--out", "x"]
        words = [command, *needed, *place, "--workers", "3", "--worker-threads", "2", "--patience", "60"]
        assert parse(words).machine == Machines(workers=3, worker_threads=2, patience=60.0)
    assert parse(["squeeze", "--out", "x"]).machine == Machine()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--workers", "1000"],
            rf"--workers must be within 1\.\.{CORES}, {CORES} cores of this machine .*\(got 1000\)",
        ),
        (["--workers", "0"], r"--workers must be within .*\(got 0\)"),
        (
            ["--workers", "1", "--worker-threads", "0"],
            r"threads and patience must be greater than 0 \(got 0 and None\)",
        ),
        (["--workers", "1", "--patience", "-3"], r"threads and patience must be greater than 0 \(got 1 and -3\.0\)"),
        (["--scheduler", "nowhere"], r"no Dask scheduler answers at 'nowhere' \(missing port"),
        (["--scheduler", "tcp://h:1", "--workers", "1"], r"give --workers, .* or --scheduler, .*: not both"),
    ],
)
def test_workers_that_cannot_be_had_are_said_in_a_line(words, said, images, capsys):
    assert main([*images, *words]) == 2
    shown = capsys.readouterr().err.strip().splitlines()
    assert len(shown) == 1
    assert re.search(said, shown[0]), shown


@pytest.mark.slow
def test_labels_by_workers(images, tmp_path, capsys):
    assert main([*images, "--workers", "1", "--patience", "300"]) == 0
    assert storage.read_manifest(tmp_path / "labels")["how"]["threads"] == 1
    assert storage.verify(tmp_path / "labels") == 3
    assert "3 views of 11 images" in capsys.readouterr().out
