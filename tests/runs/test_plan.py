"""The plan by hand: what is multiplied with what, what is left on the disk, what will not fit."""

from __future__ import annotations

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sre2l_core import presets
from sre2l_core.errors import ConfigError, DataError
from sre2l_core.runs import plan
from sre2l_core.runs.measurements import Measurements, Scale
from sre2l_core.runs.pipeline import run
from sre2l_core.runs.plan import StagePlan, lines_of, misfits, on_another, plan_run, table_of
from sre2l_core.runtime import Runtime, memory_of_passes

IMAGENET = presets.get("imagenet-1k/resnet18/reference")


@pytest.fixture
def told(monkeypatch):
    """Measurements that say what they are told: 1 s to look, 2 s to learn, 3 s to render and label, 0.5 s a step."""
    threads = []
    pixels = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    monkeypatch.setattr(Measurements, "looking", lambda self, net: threads.append(torch.get_num_threads()) or 1.0)
    monkeypatch.setattr(Measurements, "learning", lambda self, net, batch: (2.0, 10 * batch))
    monkeypatch.setattr(Measurements, "labelling", lambda self, teacher, batch: 3.0 if teacher else 0.25)
    recovery = SimpleNamespace(pixels=lambda: pixels)
    monkeypatch.setattr(Measurements, "recovering", lambda self, teacher, count: (0.5, 7 * count, recovery))
    return threads


def planned(recipe, **options):
    return {stage.stage: stage for stage in plan_run(recipe, runtime=Runtime(torch.device("cpu")), **options)}


def test_imagenet_by_hand_and_without_its_pictures(told, monkeypatch, tmp_path):
    monkeypatch.setenv("SRE2L_DATA", str(tmp_path))
    alone, shared = planned(IMAGENET), planned(IMAGENET, workers=8)
    assert alone["squeeze"].hours == shared["squeeze"].hours == pytest.approx(50_000 * 1 / 3600)
    assert alone["recover"].hours == pytest.approx(50_000 * 4000 * 0.5 / 3600)
    assert shared["recover"].hours == pytest.approx(63 * 100 * 4000 * 0.5 / 3600)  # 500 batches, 63 rounds
    student = 300 * 50_000 * (2 + 3) + 30 * 50_000  # labels on the fly, a test every ten epochs
    assert alone["validate"].hours == pytest.approx(12 * student / 3600)  # two rows and two of random images, thrice
    assert shared["validate"].hours == pytest.approx(2 * student / 3600)
    assert (alone["relabel"].hours, alone["relabel"].disk) == (0, 0)
    assert (alone["recover"].memory, alone["validate"].memory) == (700, 5120)  # a group of 100, a micro-batch of 512
    pixels = 3 * 224 * 224
    assert alone["validate"].beside == 2 * 50_000 * pixels
    assert alone["validate"].common == 50_000 * pixels
    assert alone["validate"].meanwhile == 50_000 * pixels


def test_stored_labels_by_hand(told):
    stored = planned(IMAGENET.but(store_labels=True), workers=7)
    assert stored["relabel"].disk == 50_000 * 300 * 2 * 1000  # float16
    assert stored["relabel"].hours == pytest.approx(43 * 50_000 * 3 / 3600)  # 300 epochs, 43 rounds
    assert stored["relabel"].beside == 50_000 * (3 * 224 * 224 + 4000 + 2000)
    assert stored["validate"].hours == pytest.approx(2 * (300 * 50_000 * 2.25 + 30 * 50_000) / 3600)


def test_a_trained_teacher_costs_its_epochs(told):
    squeeze = planned(presets.get("cifar100/resnet18/reference"))["squeeze"]
    epochs = presets.get("cifar100/resnet18/reference").squeeze.epochs
    assert squeeze.hours == pytest.approx((epochs * 50_000 * 2 + 10_000) / 3600)
    assert squeeze.beside == 60_000 * 3 * 32 * 32


def test_several_workers_are_measured_on_one_thread(told):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        planned(IMAGENET)
        planned(IMAGENET, workers=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert told == [2, 2, 1, 1]


def test_parts_of_a_dataset():
    few = Scale.of(IMAGENET.but(data={"num_classes": 10}, recover={"only_classes": ("a", "b")}))
    assert (few.spec.num_classes, few.spec.classes[0], few.images, few.train) == (10, "n01440764", 100, 12_812)
    named = Scale.of(IMAGENET.but(data={"classes": ("n01443537", "n01484850"), "resolution": 64}))
    assert (named.spec.size, named.images, named.val, named.resident) == ((64, 64), 100, 100, 2_663 * 3 * 64 * 64)
    with pytest.raises(DataError, match="folder"):
        Scale.of(presets.get("folder"))


def test_a_run_leaves_what_was_planned(tmp_path, cpu):
    recipe = presets.get("digits/smoke").but(data={"resolution": 8})
    stages = planned(recipe, seconds=0.01)
    assert all(stage.hours > 0 for stage in stages.values())
    run(recipe, tmp_path / "run", runtime=cpu)
    shards = list((tmp_path / "run" / "labels" / "labels").iterdir())
    header = sum(8 + int.from_bytes(path.read_bytes()[:8], "little") for path in shards)  # of safetensors
    assert stages["relabel"].disk == sum(path.stat().st_size for path in shards) - header
    assert stages["relabel"].units == len(shards)
    images = sum(path.stat().st_size for path in (tmp_path / "run" / "condensed" / "images").rglob("*.*"))
    assert stages["recover"].disk == pytest.approx(images, rel=0.2)
    weights = (tmp_path / "run" / "teacher" / "weights.safetensors").read_bytes()
    assert stages["squeeze"].disk == len(weights) - 8 - int.from_bytes(weights[:8], "little")
    students = (tmp_path / "run" / "score" / "students.json").read_text().count("seed")
    assert stages["validate"].units == students


def test_the_memory_of_a_pass_by_hand(cpu):
    net = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1, bias=False), nn.ReLU())
    images = torch.zeros(4, 3, 6, 6)
    with memory_of_passes(net, cpu.device) as taken:
        net(images).sum().backward()
    assert taken() == 4 * (4 * 3 * 6 * 6 + 4 * 5 * 6 * 6)  # what enters the convolution and what leaves the ReLU
    with memory_of_passes(net, cpu.device) as taken, torch.no_grad():
        net(images)
    assert taken() == 0


@pytest.mark.parametrize(("options", "said"), [({"workers": 0}, "at least one"), ({"seconds": 0}, "more than 0")])
def test_nonsense_is_refused(options, said, told):
    with pytest.raises(ConfigError, match=said):
        planned(IMAGENET, **options)


def test_what_a_later_stage_would_refuse_is_refused_now(told):
    with pytest.raises(ConfigError, match="no BatchNorm layer but alpha_bn"):
        planned(IMAGENET.but(squeeze={"backbone": "squeezenet1_0", "pretrained": None}))
    with pytest.raises(ConfigError, match="Did you mean 'random'"):
        planned(IMAGENET.but(validate={"against": ("randon",)}))


GIB = 2**30


def stage(name, **costs):
    return StagePlan(name, "work", **{"units": 100, "hours": 1.0, "disk": GIB, "memory": GIB, **costs})


def test_what_will_not_fit_is_said(monkeypatch, tmp_path):
    usage = SimpleNamespace(free=3 * GIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(plan, "memory_for", lambda device: {"cpu": 16, "cuda": 8}[device.type] * GIB)
    monkeypatch.setattr(plan, "workers_here", lambda device: 4)
    cpu, gpu = (Runtime(torch.device(name)) for name in ("cpu", "cuda"))

    def said(stages, workers, runtime):
        return list(misfits(stages, tmp_path / "not" / "there", workers, runtime))

    assert not said([stage("recover"), stage("validate")], 4, cpu)
    (line,) = said([stage("recover", meanwhile=GIB), stage("validate", disk=2 * GIB)], 1, cpu)
    assert line == f"the run needs 4.0 GiB of disk, {tmp_path} has 3.0 GiB free: choose another --out"
    (line,) = said([stage("recover")], 9, cpu)
    assert line == "9 workers need 3 machines like this one, which serves 4"
    large = stage("recover", memory=3 * GIB, beside=2 * GIB)
    assert not said([large], 3, cpu)
    (line,) = said([large], 4, cpu)
    assert line.startswith("recover needs 20.0 GiB of memory, 4 workers together, 16.0 GiB are free: use fewer workers")
    assert not said([stage("recover", memory=3 * GIB, beside=2 * GIB, units=3)], 4, cpu)  # one has nothing to do
    assert not said([replace(large, common=2 * GIB)], 4, cpu)
    (line,) = said([stage("recover", memory=9 * GIB)], 1, gpu)
    assert line.startswith("recover needs 9.0 GiB of the device's 8.0 GiB: use")
    assert not said([stage("recover", memory=8 * GIB, beside=16 * GIB)], 1, gpu)


def test_the_table_adds_up():
    lines = list(lines_of([stage("squeeze", hours=0.5, disk=100), stage("recover", hours=2000.4, memory=3 * GIB)]))
    assert [line.split()[0] for line in lines] == ["stage", "squeeze", "recover", "all"]
    assert lines[1].split()[1:4] == ["0.500", "100", "B"]
    assert lines[3].split()[1:] == ["2,001", "1.0", "GiB", "3.0", "GiB"]
    ends = [
        line.index(cell) + len(cell) for line, cell in zip(lines, ("hours", "0.500", "2,000", "2,001"), strict=True)
    ]
    assert len(set(ends)) == 1


def test_another_machine_by_the_time_of_its_step(told):
    stored = IMAGENET.but(store_labels=True)
    here = list(plan_run(stored, runtime=Runtime(torch.device("cpu"))))
    there = on_another(here, stored, 0.83e-3)
    hours = {stage.stage: stage.hours for stage in there}
    assert hours["recover"] == pytest.approx(50_000 * 4000 * 0.83e-3 / 3600)  # the 46 hours of the paper's Table 3
    assert [a.hours / b.hours for a, b in zip(here, there, strict=True)] == pytest.approx([0.5 / 0.83e-3] * 4)
    assert [replace(stage, hours=0) for stage in here] == [replace(stage, hours=0) for stage in there]
    table = table_of({"hours here": here, "hours there": there})
    assert table.head == ("stage", "hours here", "hours there", "disk", "memory", "parts", "work")
    assert table.rows[1][:3] == ("recover", "27,778", "46.1")
    assert table.rows[2][3] == "27.9 GiB"  # 50,000 images, 300 views, 1,000 classes, two bytes
    assert table.rows[-1][2] == f"{sum(hours.values()):,.0f}"


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_another_machine_takes_some_time_for_a_step(told, seconds):
    with pytest.raises(ConfigError, match="more than 0 seconds"):
        on_another([stage("recover")], IMAGENET, seconds)


def test_without_a_step_no_machines_are_compared():
    with pytest.raises(ConfigError, match="nothing to compare"):
        on_another([stage("recover", hours=0.0)], IMAGENET, 1.0)
