"""`sre2l paper` at toy size: list, plan, run, find again; what is wrong is said in one line."""

from dataclasses import replace

import pytest

from sre2l_core import paper
from sre2l_core.__main__ import main
from sre2l_core.paper import Budget, Cell
from sre2l_core.presets import repeated, smoke
from sre2l_core.registry import catalogue


def toy(cell):
    small = smoke(cell.recipes[0]).but(data={"resolution": 8}, validate={"seeds": 1})
    return Cell(cell.row, cell.column, repeated(small, 2))


@pytest.fixture
def small(monkeypatch):
    """Table 8 and Figure 4 with two classes, four steps and two repetitions."""
    for name in ("table-8", "figure-4"):
        entry = paper.get(name)
        cells = tuple(toy(cell) for cell in entry.budget("laptop").cells if not cell.optional)
        budgets = {**entry.budgets, "laptop": Budget("A moment.", cells)}
        monkeypatch.setitem(catalogue("paper"), name, replace(entry, budgets=budgets))


def shown(capsys, *arguments, status=0):
    assert main(["paper", *map(str, arguments)]) == status
    out, err = capsys.readouterr()
    return " ".join((err if status else out).split())


def test_the_catalogue_is_listed(capsys):
    told = shown(capsys)
    for entry in paper.entries().values():
        assert entry.name in told
    assert told.index("figure-4") < told.index("table-8")


def test_a_table_from_plan_to_page(small, tmp_path, capsys):
    out = tmp_path / "store"
    line = ["table-8", "--out", out, "--device", "cpu"]
    assert "random crop, digits: 0 of 2 runs finished" in shown(capsys, *line, "--dry-run")
    assert not out.exists()
    told = shown(capsys, *line)
    assert "5/5 random crop, digits: 0 of 2 runs found" in told
    assert "not a replication" in told
    assert "| random crop | 37.88 | 46.71 |" in told
    page = (out / "table-8.laptop.md").read_text(encoding="utf-8")
    assert " ".join(page.split()) in told
    assert (out / "table-8.laptop.csv").exists()
    assert "teacher 1 of 1, condensed 10 of 10, score 10 of 10" in shown(capsys, *line, "--dry-run")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("artifact.json")}
    assert shown(capsys, *line).count(": 2 of 2 runs found") == 5
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("artifact.json")}
    assert page == (out / "table-8.laptop.md").read_text(encoding="utf-8")

    told = shown(capsys, "figure-4", "--out", out, "--device", "cpu")  # finds the teacher, brings a picture
    assert "figure-4.laptop.png" in told
    assert (out / "figure-4.laptop.png").stat().st_size > 1000
    assert len(list(out.glob("teacher-*"))) == 1


@pytest.mark.parametrize(
    ("line", "phrases"),
    [
        ("tabel-8", ["unknown table or figure 'tabel-8'", "Did you mean 'table-8'"]),
        ("table-8 --budget labtop", ["unknown budget of table-8 'labtop'", "Did you mean 'laptop'"]),
        ("table-8 --out {}/mine", ["mine holds thesis.txt, and no store.json", "another --out"]),
        ("table-8 --out {}/mine/thesis.txt --dry-run", ["thesis.txt is not a folder"]),
        ("table-8 --budget gpu --data-root {}/nowhere --out {}/new", ["nowhere"]),
    ],
)
def test_wrong_input(line, phrases, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    told = shown(capsys, *line.replace("{}", str(tmp_path)).split(), status=2)
    assert [phrase for phrase in phrases if phrase not in told] == []
    assert told.count("error:") == 1
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"
