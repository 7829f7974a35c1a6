"""The line that switches a notebook to other data, changed and run: on a small stand-in for Tiny-ImageNet."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from stand_ins import write_tiny_imagenet

from sre2l_core.presets.tiny_imagenet import TEN

ROOT = Path(__file__).parents[2]
PRESET = "tiny-imagenet-10/resnet10/noise"
FACTS = {
    "02_recover": ("finished · 10 images · error: none", "the same pixels: True", "finished · error: none"),
    "03_relabel": ("10 classes, labels of 100 crops", "finished · 6 crops"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("02_recover", marks=pytest.mark.soak), "03_relabel"])
def test_one_line_switches_to_tiny_imagenet(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_imagenet(tmp_path / "tiny-imagenet-200", per_class=4, wnids=TEN)
    monkeypatch.setenv("SRE2L_DATA", str(tmp_path))
    monkeypatch.setenv("SRE2L_FAST", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    (cell,) = (cell for cell in notebook.cells if cell.cell_type == "code" and "PRESET =" in cell.source)
    cell.source = cell.source.replace('PRESET = "digits"', f'PRESET = "{PRESET}"')
    assert f'PRESET = "{PRESET}"' in cell.source
    NotebookClient(notebook, timeout=120).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    said = "".join(output.text for output in outputs if output.output_type == "stream")
    for fact in FACTS[name]:
        assert fact in said
