"""Wrong input from the command line: one clear message on stderr, exit status 2, no traceback, nothing lost."""

import errno
import os
import shlex
import shutil
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from PIL import Image
from stand_ins import picture, write_pictures

from sre2l_core import storage
from sre2l_core.__main__ import main
from sre2l_core.artifacts import CondensedSet, Teacher, empty_network
from sre2l_core.data import load
from sre2l_core.registry import catalogue
from sre2l_core.terms import all_terms

SMOKE = "--preset digits/smoke --resolution 8 --device cpu"
RUN = f"run {SMOKE} --recover.group-images 1"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A finished run, folders of pictures with something wrong, teachers that do not serve."""
    place = tmp_path_factory.mktemp("place")
    assert main(shlex.split(f"{RUN} --out {place}/run")) == 0
    teacher = Teacher.load(place / "run" / "teacher")

    wider = empty_network("convnet", teacher.spec, {"depth": 2, "width": 9})
    Teacher(wider, teacher.spec, "convnet", {"depth": 2, "width": 8}).save(place / "misshapen")

    shutil.copytree(place / "run" / "condensed", place / "altered")
    picture(next((place / "altered" / "images").rglob("*.png")), size=(8, 8), mode="L")

    shutil.copytree(place / "run" / "teacher", place / "truncated")
    (place / "truncated" / "artifact.json").write_text('{"kind": "teacher", ')

    without = empty_network("deit_tiny", load("digits", num_classes=2, resolution=8).spec, {})
    Teacher(without, teacher.spec, "deit_tiny").save(place / "without_bn")

    (place / "file").write_text("not a folder")
    (place / "mine").mkdir()
    (place / "mine" / "thesis.txt").write_text("precious")
    (place / "empty").mkdir()
    write_pictures(place / "one_class", {"cats": 3})
    write_pictures(place / "no_pictures", {"cats": 3, "dogs": 3})
    (place / "no_pictures" / "birds").mkdir()
    write_pictures(place / "corrupt", {"cats": 3, "dogs": 3})
    (place / "corrupt" / "dogs" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    write_pictures(place / "unsorted", {"train": 3, "val": 3})
    write_pictures(place / "pipe", {"cats": 3, "dogs": 3})
    os.mkfifo(place / "pipe" / "dogs" / "9.png")
    write_pictures(place / "floats", {"cats": 3, "dogs": 3})
    Image.fromarray(np.full((9, 9), 0.5, dtype=np.float32)).save(place / "floats" / "dogs" / "9.tif")
    write_pictures(place / "badly_named", {"cats": 3, os.fsdecode(b"caf\xe9"): 3})
    write_pictures(place / "nested", {"cats": 3, "dogs/puppies": 3})
    return place


CASES = {
    # names: the nearest is said
    "recovr": ["unknown command 'recovr'", "'recover'"],
    "run --preset tiny-imagenet/resnet18/papers": ["unknown preset", "Did you mean 'tiny-imagenet/resnet18/paper'"],
    "presets digitz": ["unknown preset 'digitz'", "'digits'"],
    "presets digits --against digitz": ["unknown preset 'digitz'", "'digits'"],
    "presets --against digits": ["Give the name of a preset before --against"],
    "run --data tiny-imagnet": ["unknown dataset 'tiny-imagnet'", "'tiny-imagenet'"],
    "run --recover.alpha-nb 1": ["Unrecognized options: --recover.alpha-nb", "--recover.alpha-bn"],
    f"run {SMOKE} --out {{}}/new --squeeze.backbone resnet81": ["unknown backbone 'resnet81'", "'resnet18'"],
    f"run {SMOKE} --out {{}}/new --squeeze.backbone-options dept=2": ["unknown convnet option 'dept'", "'depth'"],
    f"run {SMOKE} --out {{}}/new --validate.students convent": ["unknown backbone 'convent'", "'convnet'"],
    f"run {SMOKE} --out {{}}/new --relabel.codec fp61": ["unknown codec 'fp61'", "'fp16'"],
    f"run {SMOKE} --out {{}}/new --recover.only-classes 7": ["unknown class id '7'", "0, 1"],
    f"run {SMOKE} --out {{}}/new --num-classes none --classes 1,eleven": ["unknown class 'eleven' of digits"],
    "recover --teacher torchvision:resnet81 --out {}/new": ["unknown torchvision network 'resnet81'"],
    # values: the bound and what came
    "run --recover.ipc 0": ["error: RecoverConfig.ipc", "greater than or equal to 1 (got 0)"],
    "run --recover.ipc many": ["--recover.ipc", "'many'"],
    "run --recover.crop-scale 0.5 0.1": ["crop_scale (0.5, 0.1) must satisfy 0 < low <= high <= 1"],
    "run --validate.against random,ful": ["unknown baseline 'ful'", "Did you mean 'full'"],
    "run --recover.init nose": ["unknown start 'nose'", "Did you mean 'noise'"],
    "run --squeeze.backbone-options depth": ["expected NAME=VALUE, got 'depth'"],
    "run --squeeze.warmup-epochs 99": ["warmup_epochs 99 must be below epochs"],
    "demo --seed -1": ["seed", "(got -1)"],
    f"run {SMOKE} --classes 1,2": ["give classes or num_classes, not both"],
    "run --num-classes 11": ["num_classes must be within 2..10 (got 11)"],
    "run --resolution 4 --squeeze.backbone convnet --squeeze.backbone-options depth=3 --out {}/new": [
        "needs at least 8"
    ],
    # data
    "squeeze --data folder --out {}/new": ["needs root"],
    "run --data folder --data-root {}/nowhere --out {}/new": ["nowhere does not exist"],
    "run --data folder --data-root {}/empty --out {}/new": ["has 0 class folder(s); at least two are needed"],
    "run --data folder --data-root {}/one_class --out {}/new": ["has 1 class folder(s)"],
    "run --data folder --data-root {}/no_pictures --out {}/new": ["no pictures", "'birds'"],
    "run --data folder --data-root {}/corrupt --out {}/new": ["dogs/1.png cannot be read", "skip_corrupt"],
    "run --data folder --data-root {}/unsorted --out {}/new": ["train, val", "train/cats/1.jpg beside val/cats/1.jpg"],
    "run --data folder --data-root {}/pipe --out {}/new": ["dogs/9.png cannot be read (it is a pipe, not a file)"],
    "run --data folder --data-root {}/floats --out {}/new": ["dogs/9.tif cannot be read", "white is not known"],
    "run --data folder --data-root {}/badly_named --out {}/new": ["'caf\\udce9'", "not UTF-8", "Rename the folder"],
    "run --data folder --data-root {}/nested --out {}/new": ["class 'dogs'", "3 pictures in folders within class"],
    "run --data imagenet-1k --data-root {}/empty --out {}/new": ["image-net.org/download"],
    "run --data tiny-imagenet --data-root {}/empty --out {}/new": ["tiny-imagenet-200.zip"],
    # machine
    "run --device cuda:99 --out {}/new": ["device 'cuda:99' cannot be used", "--device cpu"],
    "run --device toaster --out {}/new": ["device 'toaster' cannot be used"],
    "run --precision fp8 --out {}/new": ["fp8", "bf16"],
    # teachers
    "recover --teacher {}/nowhere --out {}/new": ["nowhere", "is not a finished artifact"],
    "recover --teacher {}/mine --out {}/new": ["mine", "is not a finished artifact"],
    "recover --teacher {}/truncated --out {}/new": ["artifact.json cannot be read"],
    "recover --teacher {}/run/condensed --out {}/new": ["holds a condensed_set, expected a teacher"],
    "recover --teacher {}/misshapen --out {}/new": ["does not fit the network", "expected (8, 1, 3, 3)"],
    "recover --teacher {}/without_bn --out {}/new": ["'deit_tiny' has no BatchNorm layer but alpha_bn=", "alpha_bn=0"],
    f"run {SMOKE} --squeeze.backbone deit_tiny --out {{}}/new": ["'deit_tiny' has no BatchNorm layer"],
    f"run {SMOKE} --squeeze.backbone vgg11 --out {{}}/new": ["vgg11 reads 3 channels, got 1"],
    "squeeze --backbone resnet18 --pretrained IMAGENET1K_V1 --out {}/new": ["knows 1000 classes, digits has 10"],
    "squeeze --pretrained IMAGENET1K_V1 --out {}/new": ["unknown torchvision network 'convnet'"],
    # artifacts that do not go together
    f"{RUN} --relabel.epochs 1 --out {{}}/new": ["2 epochs on labels of 1", "--relabel.epochs", "--no-store-labels"],
    "validate --condensed {}/run/condensed --labels {}/run/labels --epochs 3 --out {}/new": ["labels for 2"],
    "validate --condensed {}/run/condensed --out {}/new": ["needs --labels FOLDER, or --teacher FOLDER"],
    "validate --condensed {}/run/condensed --labels {}/run/labels --epochs 2 --out {}/new": [
        "'random' needs the teacher"
    ],
    "validate --condensed {}/run/condensed --teacher {}/run/teacher --resolution 16 --out {}/new": [
        "resolution differs: 8",
        "16",
    ],
    "validate --condensed {}/run/condensed --teacher {}/run/teacher --num-classes 3 --out {}/new": ["classes differ"],
    "relabel --teacher {}/run/teacher --out {}/new": ["--condensed FOLDER"],
    "relabel --dry-run --preset folder": ["--num-classes N"],
    # places
    f"{RUN} --recover.steps 9 --out {{}}/run": ["holds another run: config.steps is 4 there, 9 now", "another --out"],
    f"{RUN} --seed 1 --out {{}}/run": ["run/teacher holds another run: config.seed is 0 there, 1 now"],
    f"squeeze {SMOKE} --out {{}}/mine": ["mine exists and was not made by this package"],
    f"squeeze {SMOKE} --out {{}}/file": ["file exists and was not made by this package"],
    f"run {SMOKE} --out {{}}/file": ["file is not a folder"],
    "inspect {}/nowhere": ["there is no folder"],
    "inspect {}/mine": ["holds no artifact of this package"],
    "inspect {}/altered": ["missing, altered or added since it was finished: images/"],
    "inspect": ["PATH"],
    "recover --out {}/new": ["--teacher PATH"],
}


@pytest.mark.parametrize("line", CASES)
def test_wrong_input_is_answered_in_one_message(line, place, capsys):
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and "new" not in path.parts}
    assert main(shlex.split(line.replace("{}", str(place)))) == 2
    said = capsys.readouterr().err
    flat = " ".join(said.split())
    assert [phrase for phrase in CASES[line] if phrase not in flat] == []
    assert "Traceback" not in said
    assert "dummy" not in said
    assert said.count("error:") <= 1
    after = {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and "new" not in path.parts}
    assert {path for path in before if before[path] != after.get(path) and path.name != "log.csv"} == set()


@pytest.mark.parametrize("part", ["teacher", "condensed", "labels", "score"])
def test_a_full_disk_stops_a_run_and_the_same_command_continues(part, place, tmp_path, monkeypatch, capsys):
    def replace(source, target):
        if part in target.parts and target.name != storage.REQUEST:
            raise OSError(errno.ENOSPC, "No space left on device")
        source.rename(target)

    line = [*shlex.split(RUN), "--out", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", replace)
        assert main(line) == 2
    assert f"{tmp_path / part}" in (said := capsys.readouterr().err)
    assert "No space left on device. What was finished before is kept" in said
    assert not list(tmp_path.rglob("*.partial"))
    finished = {path.parent.name for path in tmp_path.rglob(storage.MANIFEST)}
    assert finished == set(["teacher", "condensed", "labels", "score"][: len(finished)])
    assert part not in finished
    assert main(line) == 0
    assert CondensedSet.load(tmp_path / "condensed").id == CondensedSet.load(place / "run" / "condensed").id


def test_stages_run_one_by_one_are_finished_by_run_without_a_log(place, tmp_path):
    for part in ("teacher", "condensed", "labels", "score"):
        shutil.copytree(place / "run" / part, tmp_path / part)
    assert main([*shlex.split(RUN), "--out", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["condensed.png", "embedding.png"]


def test_nan_stops_recovery_names_the_term_and_keeps_what_is_finished(place, tmp_path, monkeypatch, capsys):
    line = [*shlex.split(RUN), "--out", str(tmp_path)]
    calls, term = [], all_terms()["r_bn"]

    def sick(seen):
        calls.append(seen)
        value = term.function(seen)
        return value if len(calls) <= 5 else value * torch.nan

    with monkeypatch.context() as patch:
        patch.setitem(catalogue("terms"), "r_bn", replace(term, function=sick))
        assert main(line) == 2
    said = capsys.readouterr().err
    assert "recover: the term r_bn became nan in step 2" in said
    assert "is kept" in said
    assert sorted(path.stem for path in (tmp_path / "condensed").rglob("*.png")) == ["00000000", "00000001"]
    state = storage.read_tensors(tmp_path / "condensed" / storage.PROGRESS)
    assert all(tensor.isfinite().all() for tensor in state.values())
    assert main(line) == 0
    assert CondensedSet.load(tmp_path / "condensed").id == CondensedSet.load(place / "run" / "condensed").id


def test_nan_stops_squeezing_and_validation(place, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(
            import_module("sre2l_core.stages.squeeze"),
            "cross_entropy",
            lambda logits, targets: logits.sum() * torch.nan,
        )
        assert main([*shlex.split(RUN), "--out", str(tmp_path / "a")]) == 2
    assert "squeeze: the loss became nan in epoch 1" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(
            import_module("sre2l_core.stages.students"), "soft_label_loss", lambda logits, *_: logits.sum() * torch.nan
        )
        line = f"validate --condensed {place}/run/condensed --teacher {place}/run/teacher --epochs 2 --device cpu"
        assert main([*shlex.split(line), "--out", str(tmp_path / "b")]) == 2
    assert "validate: the loss of a student became nan" in capsys.readouterr().err
