"""Committed notebooks: short cells, curated outputs, nothing that belongs to one machine or one kernel."""

import ast
import json
import re
from itertools import pairwise
from pathlib import Path
from statistics import median

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from sre2l_core import presets

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ABSOLUTE = re.compile(r"(?<![\w.:/])/(?:home|root|Users|tmp|work|opt|usr|var|mnt|private)/|\b[A-Z]:\\\\")
OF_CELLS = re.compile(r"next cell|run its cell|`PRESET|`(panel|studio|row)\.\w+ =|a cell can do|DATA_ROOT|SRE2L_FAST")
"""Words about cells, for those who can run them."""
FIRST = {"08_imagenet": ["imagenet-1k/mobilenet_v2/lesson", "imagenet-1k/resnet18/paper"]}
"""What a lesson about one set of data begins with; all others begin with digits."""

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def load(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in load(path).cells if cell.cell_type == "code"]


def outputs(path: Path) -> list[nbformat.NotebookNode]:
    return [output for cell in code_cells(path) for output in cell.outputs]


def python(source: str) -> ast.Module:
    return ast.parse(TransformerManager().transform_cell(source))


def test_is_valid_and_below_a_megabyte(path: Path) -> None:
    nbformat.validate(load(path))
    assert path.stat().st_size <= 1_000_000


def test_cells_are_few_and_short(path: Path) -> None:
    lengths = [len(cell.source.splitlines()) for cell in code_cells(path)]
    assert len(lengths) <= 15
    assert max(lengths) <= 12
    assert median(lengths) <= 5


def test_code_fits_the_window(path: Path) -> None:
    wide = [line for cell in code_cells(path) for line in cell.source.splitlines() if len(line) > 96]
    assert not wide, "JupyterLab cuts these off at 1280 pixels"


def test_logic_stays_in_the_package(path: Path) -> None:
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for cell in code_cells(path):
        assert not any(isinstance(node, defined) for node in ast.walk(python(cell.source))), cell.source


def test_runs_on_any_python_kernel(path: Path) -> None:
    metadata = load(path).metadata
    assert metadata.kernelspec.name == "python3"
    assert "widgets" not in metadata, "widget state breaks GitHub and grows without end: make notebooks"


def test_was_run_from_top_to_bottom(path: Path) -> None:
    counts = [cell.execution_count for cell in code_cells(path)]
    assert counts == list(range(1, len(counts) + 1)), "make notebooks (nbval refuses outputs of cells without a count)"


def test_results_are_there_and_none_is_an_error(path: Path) -> None:
    found = outputs(path)
    assert found, "not executed: make notebooks"
    assert not [output for output in found if output.output_type == "error" or output.get("name") == "stderr"]


def test_panels_leave_a_picture_for_readers_without_a_kernel(path: Path) -> None:
    for cell in code_cells(path):
        shown = [output.get("data", {}) for output in cell.outputs]
        for data, after in pairwise([*shown, {}]):
            if "application/vnd.jupyter.widget-view+json" in data:
                assert "image/png" in data or "<img" in after.get("text/html", ""), "make notebooks"


def test_one_line_switches_the_data(path: Path) -> None:
    lines = [line for cell in code_cells(path) for line in cell.source.splitlines() if "PRESET =" in line]
    assert len(lines) == 1
    names = re.findall(r'"([^"]+)"', lines[0])
    assert names[:2] == FIRST.get(path.stem, ["digits", "drawings"])
    assert len(names) > 1, "say what else to write there"
    for name in names:
        presets.get(name)


def test_being_fast_is_decided_once(path: Path) -> None:
    source = "\n".join(cell.source for cell in code_cells(path))
    assert len(re.findall(r"\bFAST\b", source)) == 2
    assert "recipe = lessons.recipe(PRESET, data_root=DATA_ROOT, seed=SEED, fast=FAST)" in source


def test_constants_are_in_capitals_and_stand_together(path: Path) -> None:
    for cell in code_cells(path):
        for node in python(cell.source).body:
            names = [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
            assert ("PRESET =" in cell.source) >= any(name.isupper() for name in names), cell.source


def test_a_name_is_bound_to_one_kind_of_thing(path: Path) -> None:
    """What mypy cannot see where a type is unknown (test_types.py): each time by the same call or the same literal."""
    kinds: dict[str, set[str]] = {}
    for cell in code_cells(path):
        for node in ast.walk(python(cell.source)):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                literal = type(node.value).__name__.removesuffix("Comp")
                kind = ast.unparse(node.value.func) if isinstance(node.value, ast.Call) else literal
                kinds.setdefault(node.targets[0].id, set()).add(kind)
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}


def test_nothing_depends_on_when_or_where_it_ran(path: Path) -> None:
    notebook = load(path)
    for cell in notebook.cells:
        assert not {"execution", "collapsed", "scrolled"} & cell.metadata.keys()
    texts = [cell.source for cell in notebook.cells]
    for output in outputs(path):
        shown = {kind: value for kind, value in output.get("data", {}).items() if not kind.startswith("image/")}
        texts.append(json.dumps({**output, "data": shown}))
    assert not [match.group() for text in texts for match in ABSOLUTE.finditer(text)]


def test_a_page_without_code_leaves_out_what_nobody_can_obey_there(path: Path) -> None:
    """`make app` shows no cells: what speaks of them is tagged, and Voilà's settings name the tag."""
    left_out = json.loads((ROOT / "notebooks/voila.json").read_text())["TagRemovePreprocessor"]["remove_cell_tags"]
    for cell in load(path).cells:
        if cell.cell_type == "markdown" and not set(left_out) & set(cell.metadata.get("tags", ())):
            assert not OF_CELLS.search(cell.source), cell.source
