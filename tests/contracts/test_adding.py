"""CONTRIBUTING.md: each row of "to add something", done as it says, in a copy of the package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n# (sre2l_core/\S+\.py)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
FOLDERS = re.findall(r"^\| an? [^|]+ \| `sre2l_core/(\w+)/NAME\.py` \|", TEXT, re.MULTILINE)
RUN = "run --preset digits/smoke --device cpu --validate.seeds 1 --validate.against none"
SEEN = {
    "terms": {
        "run --help": "--recover.alpha-contrast FLOAT weight of R_contrast (default: 0.0)",
        "run --recover.alpha-contras 1": "--recover.alpha-contrast",
        "run --recover.alpha-contrast -1": "alpha_contrast: Input should be greater than or equal to 0 (got -1.0)",
        f"{RUN} --recover.alpha-contrast 0.5 --out OUT": "| condensed | soft | convnet | 4 |",
    },
    "starts": {
        "recover --help": "sre2l_core/starts: dm, faint, herding,",
        "run --recover.init fain --out OUT": "unknown start 'fain'. Did you mean 'faint'?",
        f"{RUN} --recover.init faint --validate.against faint --out OUT": "| faint noise | soft | convnet | 4 |",
    },
    "parametrisations": {
        "recover --help": "sre2l_core/parametrisations: fourier, pixels, tanh (default: pixels)",
        "run --recover.parametrisation tahn --out OUT": "unknown parametrisation 'tahn'. Did you mean 'tanh'?",
        f"{RUN} --recover.parametrisation tanh --out OUT": "| condensed | soft | convnet | 4 |",
    },
    "data": {
        "squeeze --help": "imagenette, stripes, tiny-imagenet",
        "run --data stripe --out OUT": "unknown dataset 'stripe'. Did you mean 'stripes'?",
        "run --data stripes --classes lying,standin --out OUT": "Did you mean 'standing'?",
        f"{RUN} --data stripes --out OUT": "stripes: 40 + 20 images, 2 classes, 16 pixels",
    },
    "backbones": {
        "squeeze --help": "convnet4, deit_tiny, one_layer,",
        "run --squeeze.backbone onelayer --out OUT": "unknown backbone 'onelayer'. Did you mean 'one_layer'?",
        "run --squeeze.backbone one_layer --squeeze.backbone-options widt=4 --out OUT": "Did you mean 'width'?",
        f"{RUN} --validate.students one_layer --out OUT": "| condensed | soft | one_layer | 4 |",
    },
    "codecs": {
        "relabel --help": "sre2l_core/codecs: fp16, fp32, int8,",
        "relabel --dry-run --codec fp33": "unknown codec 'fp33'. Did you mean 'fp32'?",
        "relabel --dry-run --num-classes 8 --ipc 128 --epochs 32": "fp32 1.000 MiB in 32 files",
        f"{RUN} --relabel.codec fp32 --out OUT": "soft labels: 2 views of every image",
    },
    "presets": {
        "presets": " digits-quick ",
        "run --preset digits-quik": "unknown preset 'digits-quik'. Did you mean 'digits-quick'?",
        "presets digits-quick --against digits": "recover.steps 100 300",
        "recover --preset digits-quick --help": "iterations per group (Table 3); 0 keeps the start (default: 100)",
        "completion bash": "'digits-quick'",
    },
    "commands": {
        "--help": "• classes List the classes of a dataset.",
        "classes --help": "usage: sre2l classes [-h]",
        "clases": "unknown command 'clases'. Did you mean 'classes'?",
        "classes --num-classes 2": "0: 0 1: 1",
        "completion bash": "'classes': {'description': 'classes'",
    },
    "paper": {
        "paper": "table-0 iterations of recovery (laptop)",
        "paper table-O": "Known: figure-1, figure-3, figure-4, figure-5, figure-6, figure-7, figure-8-10, table-0,",
        "paper table-0 --budget labtop": "unknown budget of table-0 'labtop'. Did you mean 'laptop'?",
        "paper table-0 --dry-run --out OUT": "many, digits: 0 of 2 runs finished",
        "paper table-0 --device cpu --out OUT": "More iterations recover better images.",
    },
    "comparisons": {
        "compare": "brief our own (laptop, gpu)",
        "compare brif": "Did you mean 'brief'?",
        "compare brief --dry-run --out OUT": "random crop, digits: 0 of",
    },
}
"""What is typed -> a part of what is said."""
TYPE = """
import json, sys
from sre2l_core.__main__ import main
for words in json.loads(sys.argv[1]):
    main(words)
    print("=====", flush=True)
"""
PANEL = """
import sre2l_core.widgets as widgets
from sre2l_core import presets, Teacher
from sre2l_core.artifacts import empty_network
from sre2l_core.data import load
spec = load("digits", resolution=8).spec
teacher = Teacher(empty_network("convnet", spec, {"depth": 2, "width": 8}, seed=0).eval(), spec, "convnet")
panel = widgets.LossPanel(teacher, presets.get("digits/smoke").recover)
panel.alpha_bn = 2.0
panel.start()
print(panel.wait(60), panel.status, "error:", panel.error or "none", list(panel.controls), panel.stage.config.alpha_bn)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, without the plug-ins."""
    shutil.copytree(ROOT / "sre2l_core", tmp_path / "sre2l_core", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def add(package: Path, folder: str) -> None:
    """Do what a row of the table says: new files are written, to others the lines are added."""
    for name, lines in EXAMPLES:
        if name.split("/")[1] == folder:
            with (package / name).open("a", encoding="utf-8") as file:
                file.write(lines)


def python(package: Path, program: str, *arguments: str) -> str:
    """What a program says that imports the copy, on both streams, with single spaces."""
    environment = os.environ | {"PYTHONPATH": str(package), "COLUMNS": "100", "PYTHONUTF8": "1"}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(
        command, cwd=package, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
    )
    return re.sub(r"[\s│]+", " ", done.stdout)


def typed(package: Path, lines: list[str]) -> list[str]:
    """What each command line says, all in one process."""
    out = str(package / "out")
    words = [[out if word == "OUT" else word for word in line.split()] for line in lines]
    return python(package, TYPE, json.dumps(words)).split("=====")


def test_every_row_of_the_table_has_an_example_and_every_catalogue_a_row() -> None:
    catalogues = {path.parent.name for path in ROOT.glob("sre2l_core/*/*.py") if "\nPLUGINS" in path.read_text()}
    assert catalogues <= set(FOLDERS)
    assert {name.split("/")[1] for name, _ in EXAMPLES} == set(FOLDERS)
    assert set(SEEN) | {"widgets"} == set(FOLDERS)


@pytest.mark.slow
@pytest.mark.parametrize("folder", SEEN)
def test_one_file_and_it_is_seen_everywhere(folder: str, package: Path) -> None:
    add(package, folder)
    for line, said in zip(SEEN[folder], typed(package, list(SEEN[folder])), strict=False):
        assert SEEN[folder][line] in said, f"{line}: {said}"
    if folder == "terms":
        assert "r_contrast" in (package / "out" / "log.csv").read_text()


def test_without_the_files_nothing_of_them_is_there(package: Path) -> None:
    lines = [next(iter(SEEN[folder])) for folder in SEEN]
    for folder, line, said in zip(SEEN, lines, typed(package, lines), strict=False):
        assert SEEN[folder][line] not in said


def test_a_panel_is_offered_and_runs(package: Path) -> None:
    add(package, "widgets")
    said = python(package, PANEL)
    assert re.search(r"finished loss \d+\.\d+ error: none \['alpha_bn'\] 2\.0", said), said
