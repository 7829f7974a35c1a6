"""Ranks: how a batch is cut, what each sees of an epoch, and networks that several processes train as one does."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace

import attacks
import by_ranks
import failing_rank
import pytest
import torch
from stand_ins import write_pictures

from sre2l_core import storage, torchrun
from sre2l_core.__main__ import main
from sre2l_core.config import MixedViewConfig, RecoverConfig, RelabelConfig, SqueezeConfig, ValidateConfig
from sre2l_core.data.streaming import StreamSplit
from sre2l_core.errors import ArtifactError, ConfigError, WorkError
from sre2l_core.ranks import Ranks, lost, parts_of
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.stages.recover import recover
from sre2l_core.stages.relabel import relabel
from sre2l_core.stages.squeeze import squeeze
from sre2l_core.stages.students import CondensedLesson


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [(6, 3, [3, 3]), (7, 3, [3, 4]), (8, 3, [3, 3, 2]), (2, 3, [2]), (1, 3, [1]), (3, 1, [1, 1, 1]), (4, 3, [4])],
)
def test_parts_are_of_one_size_and_nobody_is_left_alone(count, size, expected):
    parts = parts_of(count, size)
    assert [rows.stop - rows.start for rows in parts] == expected
    assert [row for rows in parts for row in range(count)[rows]] == list(range(count))


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [24, 17, 13, 8, 2, 1])
def test_the_shares_of_all_ranks_make_the_batch(ranks, count):
    shares = [Ranks(number, ranks).share(count, 24 // ranks) for number in range(ranks)]
    rows = [row for share in shares if share.weight for row in range(count)[share.rows]]
    assert rows == list(range(count))
    losses = torch.rand(count, generator=torch.Generator().manual_seed(0))  # of each image
    means = torch.stack([share.weight * losses[share.rows].mean() for share in shares])
    torch.testing.assert_close(means.mean(), losses.mean())


@pytest.mark.parametrize(
    ("ranks", "batch_size", "images", "said"),
    [
        (2, 33, 100, "batch_size 33 cannot be cut into equal parts for 2 ranks: take 32 or 34"),
        (4, 3, 100, "for 4 ranks: take 4, or another --nproc-per-node"),
        (4, 4, 100, "a batch of 4 images is too small for 4 ranks: .* Take at most 2 ranks"),
        (8, 1024, 15, "a batch of 15 images is too small for 8 ranks: .* Take at most 7 ranks"),
    ],
)
def test_batches_that_cannot_be_cut_are_refused(ranks, batch_size, images, said):
    with pytest.raises(ConfigError, match=said):
        Ranks(0, ranks).part_size(batch_size, images)


def test_few_images_are_shared_too():
    assert [Ranks(0, n).part_size(1024, 100) for n in (1, 2, 8)] == [100, 50, 13]


@pytest.fixture
def streamed(tmp_path, tiny_spec):
    """Eleven picture files."""
    paths = sorted(write_pictures(tmp_path, {"pictures": 11}).glob("pictures/*.png"))
    return StreamSplit(tiny_spec, paths, torch.arange(11) % 5, workers=0)


def epoch(split, view, ranks, batch_size=6):
    return list(split.train_batches(view, batch_size=batch_size, seed=3, epoch=1, device="cpu", ranks=ranks))


@pytest.mark.parametrize("mix", ["none", "cutmix", "mixup"])
@pytest.mark.parametrize("ranks", [2, 3])
def test_the_views_of_an_epoch_do_not_depend_on_the_number_of_ranks(tiny_data, streamed, mix, ranks):
    view = MixedViewConfig(mix=mix)
    for split in (tiny_data.train.part(torch.arange(11)), streamed):
        whole = epoch(split, view, Ranks())
        parts = [epoch(split, view, Ranks(number, ranks)) for number in range(ranks)]
        for batch, *own in zip(whole, *parts, strict=True):
            kept = [part for part in own if part.share]
            for name in ("images", "labels", "partners", "weights"):
                torch.testing.assert_close(
                    torch.cat([getattr(part, name) for part in kept]), getattr(batch, name), rtol=0, atol=1e-6
                )
            assert sum(part.share * len(part.images) for part in kept) > 0
            assert len(own) == ranks


@pytest.mark.filterwarnings("ignore:skipped")
def test_a_file_that_cannot_be_read_is_left_out_by_all_ranks(torn_data):
    view = MixedViewConfig(mix="cutmix")
    whole = epoch(torn_data.train, view, Ranks(), 4)
    parts = [epoch(torn_data.train, view, Ranks(number, 2), 4) for number in range(2)]
    for batch, *own in zip(whole, *parts, strict=True):
        assert torch.equal(torch.cat([part.images for part in own if part.share]), batch.images)


def test_a_rank_decodes_its_own_pictures_and_those_they_are_mixed_with(streamed, monkeypatch):
    decoded, decode = [], StreamSplit.decoded
    monkeypatch.setattr(StreamSplit, "decoded", lambda *a: decoded.extend(map(len, a[1])) or decode(*a))
    epoch(streamed, MixedViewConfig(), Ranks(0, 2))
    assert decoded == [3, 3]
    decoded.clear()
    epoch(streamed, MixedViewConfig(mix="cutmix"), Ranks(0, 2))
    assert all(3 <= count <= 6 for count in decoded)


@pytest.mark.parametrize("mode", ["eval", "batch"])
def test_ranks_learn_from_the_labels_of_one(tiny_teacher, tiny_condensed, cpu, mode):
    labels = LiveLabels(tiny_teacher, tiny_condensed, RelabelConfig(teacher_mode=mode, mix="cutmix"), runtime=cpu)
    lesson = CondensedLesson("condensed", tiny_condensed, labels, soft=True)
    settings = ValidateConfig(batch_size=6)
    whole = list(lesson.batches(0, settings, 0, cpu))
    parts = [list(lesson.batches(0, settings, 0, replace(cpu, ranks=Ranks(number, 2)))) for number in range(2)]
    for batch, *own in zip(whole, *parts, strict=True):
        for name in ("pixels", "hard", "soft"):
            torch.testing.assert_close(torch.cat([getattr(part, name) for part in own]), getattr(batch, name))


def start(count, *words, **options):
    """Begin a program, or `-m` and a module, as several ranks."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count, *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": attacks.ENVIRONMENT}
    return subprocess.Popen([*map(str, command)], **pipes, **options)


def ended(process):
    """What a launch said, and its exit status."""
    out, said = process.communicate(timeout=attacks.LONG)
    return out, said, process.returncode


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.soak)])
def test_ranks_train_as_one_with_micro_batches(count, tmp_path):
    with start(count, by_ranks.__file__, tmp_path) as process:
        _, said, code = ended(process)
    assert code == 0, said
    found = json.loads((tmp_path / "found.json").read_text())
    for name in [*by_ranks.SQUEEZE, "student, eval", "student, batch"]:
        case = found[name]
        assert case["steps"] >= 5, name
        assert max(case["losses"]) < 1e-4, (name, case)
        if name != "adamw" or count == 2:  # its first step is the sign of a gradient, here of biases that have none
            assert case["running"] < 1e-6, (name, case)
            assert case["weights"] < 1e-6, (name, case)
        assert set(case["counted"]) == {0}, (name, case)
    for name in ("student, eval", "student, batch", "validate"):
        assert max(map(abs, found[name]["tested"])) <= 1 / 41 + 1e-6, (name, found[name])
    assert found["validate"]["the same again"]
    assert found["goes on"]
    assert found["every rank has the teacher"]
    for part in ("score", "teacher"):
        storage.verify(tmp_path / part)


SQUEEZE = shlex.split("squeeze --preset digits/smoke --resolution 8 --device cpu --precision fp32 --batch-size 64")


@pytest.mark.slow
def test_when_one_rank_fails_all_end_and_say_why_once(tmp_path):
    begun = time.monotonic()
    with start(2, failing_rank.__file__, *SQUEEZE, "--out", tmp_path / "teacher") as process:
        _, said, code = ended(process)
    assert code != 0
    lines = [line for line in said.splitlines() if line.startswith(("error:", "stopped"))]
    assert lines == ["error: picture 7 cannot be read."], said
    assert time.monotonic() - begun < 120
    assert not (tmp_path / "teacher" / storage.MANIFEST).exists()


@pytest.fixture
def among_two(monkeypatch):
    """This process believes that it is the first of two ranks, who have not met."""
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sre2l_core.__main__.among_ranks", nullcontext)
    monkeypatch.setattr(torchrun, "_ends_first", lambda: True)
    monkeypatch.setattr(Ranks, "joined", classmethod(lambda cls: cls(0, 2)))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("recover --teacher t --out o", "torchrun is for squeeze and validate, .*got recover.* Start recover without"),
        ("run --preset digits/smoke", "got run"),
        ("inspect o", "got inspect"),
        ("version", "got version"),
        ("squeeze --preset digits --batch-size 33 --device cpu --out o", "batch_size 33 cannot be cut .* 2 ranks"),
        ("squeeze --preset digits --device mps --out o", "2 ranks on this machine need --device cuda, .*got 'mps'"),
        ("squeeze --preset digits --device cuda:1 --out o", "need --device cuda, of which each takes one"),
        ("squeeze --out", "required|expected|Missing"),
    ],
)
def test_what_ranks_cannot_do_is_said_in_a_line(words, said, among_two, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Ranks, "sum", lambda ranks, *counts: list(counts))
    assert main(shlex.split(words)) == 2
    shown = capsys.readouterr()
    assert re.search(said, shown.err + shown.out), shown
    assert list(tmp_path.iterdir()) == []


def test_ranks_and_workers_are_not_both_used(among_two, tiny_teacher, tiny_condensed, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Ranks, "sum", lambda ranks, *counts: list(counts))
    tiny_teacher.save(tmp_path / "t")
    tiny_condensed.save(tmp_path / "c")
    words = f"validate --teacher {tmp_path}/t --condensed {tmp_path}/c --out {tmp_path}/o --data digits --device cpu"
    monkeypatch.setattr("sre2l_core.cli.data_like", lambda *_: None)
    assert main([*shlex.split(words), "--workers", "2"]) == 2
    assert "by the 2 ranks of torchrun, or by the workers of an executor" in capsys.readouterr().err


def test_more_ranks_than_gpus_are_refused(among_two, monkeypatch):
    monkeypatch.setattr("sre2l_core.runtime.accelerators", lambda: 1)
    with pytest.raises(ConfigError, match=r"2 ranks on this machine need a GPU each, it has 1: --nproc-per-node 1"):
        Runtime.auto("cuda")


def test_stages_that_train_nothing_refuse_ranks(tiny_teacher, tiny_condensed):
    two = Runtime(torch.device("cpu"), ranks=Ranks(1, 2))
    with pytest.raises(ConfigError, match="recover trains no network, so 2 ranks of torchrun would all do the same"):
        recover(tiny_teacher, RecoverConfig(ipc=1, steps=1, group_size=5), runtime=two)
    with pytest.raises(ConfigError, match="relabel trains no network"):
        relabel(tiny_teacher, tiny_condensed, RelabelConfig(), runtime=two)


def test_what_was_begun_by_one_goes_on_only_by_one(tiny_data, cpu, tmp_path):
    def interrupt(event):
        raise KeyboardInterrupt

    config = SqueezeConfig(backbone="convnet", backbone_options={"depth": 2, "width": 8}, epochs=2, batch_size=16)
    with pytest.raises(KeyboardInterrupt):
        squeeze(tiny_data, config, runtime=cpu, out=tmp_path / "run", on_step=interrupt)
    request = storage.read_json(tmp_path / "run" / storage.REQUEST)
    storage.write_json(tmp_path / "run" / storage.REQUEST, {**request, "how": {**request["how"], "ranks": 2}})
    with pytest.raises(ArtifactError, match=r"ranks is 2 there, None now.*as many ranks of torchrun as before"):
        squeeze(tiny_data, config, runtime=cpu, out=tmp_path / "run")


def test_a_lost_rank_is_told_from_a_defect():
    gone = RuntimeError("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4711")
    assert isinstance(lost(gone), WorkError)
    assert "another rank ended before its work was done" in str(lost(gone))
    assert lost(RuntimeError("shapes differ")) is None
    assert lost(ValueError("gloo")) is None


def test_the_line_that_goes_on_names_torchrun(among_two, monkeypatch):
    assert torchrun.program("sre2l") == "torchrun --nproc-per-node 2 -m sre2l_core"
    monkeypatch.setenv("WORLD_SIZE", "16")
    assert torchrun.program("sre2l") == "torchrun --nproc-per-node 2 … -m sre2l_core"
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert torchrun.program("sre2l") == "sre2l"
