"""Notebooks as a type checker sees them: today's names and arguments, and one type for each name."""

from pathlib import Path
from textwrap import indent

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WRONG = ("assignment", "attr-defined", "call-arg", "call-overload", "name-defined", "operator", "return-value")
"""Kinds of error that no notebook may have; panels in the middle of a run are `None` to a type checker, and may be."""
BUILT_IN = "from IPython.display import display\nfrom IPython import get_ipython\n"


def as_module(path: Path) -> str:
    """All cells in a coroutine, because cells may await; what a notebook shows last of a cell is an expression."""
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    plain = [TransformerManager().transform_cell(cell) for cell in cells]
    return f"{BUILT_IN}async def notebook() -> None:\n" + indent("\n".join(plain), "    ")


@pytest.mark.slow
def test_a_name_has_one_type_and_the_api_is_todays(tmp_path: Path) -> None:
    mypy = pytest.importorskip("mypy.api", reason="mypy, of the dev extra, reads the notebooks' types")
    files = []
    for path in NOTEBOOKS:
        files.append(tmp_path / f"notebook_{path.stem}.py")
        files[-1].write_text(as_module(path))
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    said, errors, _ = mypy.run([*options, "--follow-imports", "silent", *map(str, files)])
    assert f"checked {len(NOTEBOOKS)} source files" in said
    assert [line for line in said.splitlines() if line.endswith(tuple(f"[{kind}]" for kind in WRONG))] == []
    assert errors == ""
