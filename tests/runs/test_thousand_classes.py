"""All of ImageNet's classes from pictures to a table, under a memory limit that the operating system sets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import thousand_classes
from PIL import Image

from sre2l_core import storage
from sre2l_core.artifacts import CondensedSet, Score
from sre2l_core.data.imagenet import wnids

MEBIBYTES = 200
"""About a hundred of them are what torch loads when it first optimises; all labels at once are 153."""


@pytest.fixture
def pictures(tmp_path):
    """Two pictures of noise to learn from and one to judge for each class."""
    random = np.random.default_rng(0)
    for wnid in wnids():
        for part, count in (("train", 2), ("val", 1)):
            (tmp_path / "imagenet-1k" / part / wnid).mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "imagenet-1k" / part / wnid / f"{index}.JPEG")
    return tmp_path


def start(folder, *words):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCH_HOME": str(folder / "torch")}
    command = [sys.executable, thousand_classes.__file__, str(folder), str(MEBIBYTES), *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)


@pytest.mark.soak
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the limit counts from what Linux says is taken")
def test_a_thousand_classes_to_a_table_in_bounded_memory(pictures):
    done = start(pictures)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("| thousand |") == 3  # condensed; random with hard and with soft labels
    assert len(storage.read_manifest(pictures / "teacher")["spec"]["classes"]) == 1000
    assert len(CondensedSet.load(pictures / "condensed")) == 2000
    assert [len(row.last) for row in Score.load(pictures / "score").rows] == [2, 2, 2]

    held = start(pictures, "held")  # the limit is a limit: all labels at once are refused
    assert held.returncode != 0
    assert "allocate memory" in held.stderr or "MemoryError" in held.stderr
