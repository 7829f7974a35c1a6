"""What is saved from the studio is what lessons 3, 4 and 5 open when they are run next, in the same folder."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
SAVE = "await studio\nstudio.save()"
LESSONS = ("03_relabel", "04_validate", "05_embeddings")
OPENED = "images that were saved in runs/studio/condensed"


def code_cells(name: str) -> list[nbformat.NotebookNode]:
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def until_opened(name: str) -> list[nbformat.NotebookNode]:
    """The cells of a lesson, up to the one that opens the set."""
    cells = code_cells(name)
    last = next(number for number, cell in enumerate(cells) if "lessons.images_for(" in cell.source)
    return cells[: last + 1]


@pytest.mark.slow
def test_the_lessons_open_what_the_studio_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRE2L_FAST", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.v4.new_notebook(cells=[*code_cells("studio"), nbformat.v4.new_code_cell(SAVE)])
    for name in LESSONS:
        notebook.cells += until_opened(name)
    notebook.cells = [nbformat.v4.new_code_cell(cell.source) for cell in notebook.cells]
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "runs/studio/condensed/artifact.json").exists()
    said = [output.text for cell in notebook.cells for output in cell.outputs if output.output_type == "stream"]
    assert sum(text.count(OPENED) for text in said) == len(LESSONS)
