"""One page of all tables and figures: what is there, what failed, and that it grows."""

from dataclasses import replace

import pytest

from sre2l_core import paper
from sre2l_core.__main__ import main
from sre2l_core.paper import Results
from sre2l_core.paper.page import write_page
from sre2l_core.registry import catalogue
from sre2l_core.runs.store import Store


def results(name, values, tmp_path):
    entry = paper.get(name)
    return Results(entry, "laptop", entry.budget("laptop"), Store(tmp_path / "store"), values)


def test_it_begins_with_what_each_trend_came_to(tmp_path, cpu):
    eight = results("table-8", {("random crop", "digits"): (9.0, 10.0), ("none", "digits"): (1.0, 2.0)}, tmp_path)
    four = results("figure-4", {("T = 1", "digits"): (90.0, 92.0), ("T = 10", "digits"): (95.0,)}, tmp_path)
    page = tmp_path / "docs" / "replication.md"
    page.parent.mkdir()
    write_page(
        page,
        [four, eight],
        "sre2l paper all --page docs/replication.md",
        runtime=cpu,
        missing={"table-2": "the loss became nan | twice"},
        title="The paper's tables and figures, beside ours",
    )
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# The paper's tables and figures, beside ours\n\n**Laptop budget: not a replication.")
    assert "`sre2l paper all --page docs/replication.md`" in text
    assert "cores, fp32, torch " in text
    assert "| Table 8 | Random crops raise accuracy. | digits +8.0 ± 0.0" in text
    assert "| Table 8 | R_TV does not help. | digits: no values; " in text
    assert "- table-2 gave nothing: ` the loss became nan | twice `" in text
    assert text.index("| Table 8 | ") < text.index("## Figure 4: ") < text.index("## Table 8: ")
    assert "![Figure 4: temperature of the soft labels, laptop budget](images/figure-4.laptop.png)" in text
    assert (page.parent / "images" / "figure-4.laptop.png").stat().st_size > 1000
    assert "`sre2l paper table-8 --budget laptop`; its runs" in text


@pytest.fixture
def two(small, monkeypatch):
    """Only two entries, one of which fails."""
    good, bad = small(paper.get("figure-4")), small(paper.get("table-8"))
    cells = tuple(
        replace(cell, recipes=tuple(r.but(recover={"init": "nosuch"}) for r in cell.recipes))
        for cell in bad.budgets["laptop"].cells
    )
    bad = replace(bad, budgets={"laptop": replace(bad.budgets["laptop"], cells=cells)})
    known = catalogue("paper")
    for name in list(known):
        monkeypatch.delitem(known, name)
    monkeypatch.setitem(known, "figure-4", good)
    monkeypatch.setitem(known, "table-8", bad)


def test_all_are_run_whatever_becomes_of_one(two, tmp_path, capsys):
    line = ["paper", "all", "--out", str(tmp_path / "store"), "--device", "cpu", "--precision", "fp32"]
    page = tmp_path / "page.md"
    assert main([*line, "--dry-run"]) == 0
    assert "T = 1, digits: 0 of 2 runs finished" in capsys.readouterr().out
    assert main([*line, "--page", str(page)]) == 2
    out, err = capsys.readouterr()
    assert "table-8 gave nothing: unknown start 'nosuch'" in out
    assert err.count("unknown start 'nosuch'") == 1
    text = page.read_text(encoding="utf-8")
    assert "## Figure 4" in text
    assert "- table-8 gave nothing: unknown start 'nosuch'" in text
    assert (tmp_path / "images" / "figure-4.laptop.png").exists()


def test_an_unknown_budget_stops_before_anything_runs(two, tmp_path, capsys):
    assert main(["paper", "all", "--budget", "labtop", "--out", str(tmp_path / "store")]) == 2
    assert "Did you mean 'laptop'" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
