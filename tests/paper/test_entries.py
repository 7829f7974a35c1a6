"""Every table and figure runs at toy size, and at full size shares with the others what they have in common."""

import pytest

from sre2l_core import paper
from sre2l_core.paper import table_1
from sre2l_core.paper.entry import TEN_CLASSES
from sre2l_core.paper.rivals import LAPTOP
from sre2l_core.runs.store import Store

NAMES = [name for name in paper.entries() if name not in ("figure-6", "table-1")]  # with tests of their own


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One store for all, as by `sre2l paper all`."""
    return Store(tmp_path_factory.mktemp("entries") / "store")


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_is_drawn_and_says_what_it_found(name, store, small, cpu):
    entry = small(paper.get(name))
    results = paper.run(entry, "laptop", store, runtime=cpu)
    assert results.failures == {}
    assert {len(values) for values in results.values.values()} == {2}
    page = results.markdown()
    assert page.splitlines()[0] == f"# {entry.title}"
    assert "not a replication" in page
    for claim in entry.claims:
        assert claim.text in page
        assert "in the paper" in results.sentence(claim)
        assert "too close to call" in results.sentence(claim) or "shown" in results.sentence(claim)
    if entry.draw is not None:
        figure = entry.draw(results)
        assert any(axes.has_data() for axes in figure.axes)


def test_table_1_takes_time_and_memory_of_each_method(tmp_path, small, cpu, monkeypatch):
    monkeypatch.setattr(table_1, "PIXELS", 16)
    monkeypatch.setattr(table_1, "REAL_IMAGES", 4)
    monkeypatch.setattr(table_1, "WIDTH", 8)
    monkeypatch.setattr(table_1, "INNER_STEPS", 2)
    monkeypatch.setitem(table_1.METHODS, "SRe2L, ResNet-50", table_1.METHODS["SRe2L, ConvNet-4"])
    results = paper.run(small(paper.get("table-1")), "laptop", Store(tmp_path / "store"), runtime=cpu)
    assert results.failures == {}
    assert {row for row, _ in results.values} == set(table_1.METHODS)
    assert all(value > 0 for values in results.values.values() for value in values)
    memory = {row: values for (row, column), values in results.values.items() if column.startswith("memory")}
    assert memory["MTT, ConvNet-4"][0] > 1.5 * memory["SRe2L, ConvNet-4"][0]  # two steps are held at once
    assert memory["SRe2L, ResNet-18"][0] > memory["SRe2L, ConvNet-4"][0]
    assert "2 steps" not in results.markdown()  # what is said is said of the real thing
    assert (
        paper.run(small(paper.get("table-1")), "laptop", Store(tmp_path / "store"), runtime=cpu).values
        == results.values
    )


def teachers(*names):
    """Folders of the teachers of laptop cells."""
    store = Store("nowhere")
    cells = [cell for name in names for cell in paper.get(name).budget("laptop").cells]
    return {store.places(recipe).teacher.name for cell in cells for recipe in cell.recipes}


def runs(name):
    store = Store("nowhere")
    cells = [cell for cell in paper.get(name).budget("laptop").cells]
    return {store.places(recipe).score.name for cell in cells for recipe in cell.recipes}


def test_no_teacher_is_squeezed_twice():
    digits, photographs, drawings = 1, 1, 1
    assert len(teachers("figure-3", "table-8")) == digits + photographs
    assert (
        len(teachers("figure-1", "figure-5", "figure-7", "figure-8-10", "table-11")) == digits + photographs + drawings
    )
    both = teachers("figure-3", "table-8", "figure-1", "figure-5", "figure-7", "figure-8-10", "table-11", "figure-4")
    assert len(both) == digits + photographs + drawings
    assert teachers("table-4") < both
    assert len(teachers("figure-6") - both) == 1  # a small one of photographs: it squeezes more for its steps
    assert len(teachers("table-3") - both) == 1  # the large one
    assert len(teachers("table-9") - both) == 4  # other resolutions
    assert len(teachers("table-5") - both) == 2
    assert len(teachers("table-2") - both) == 6 * 5 - 1  # the first of the first row is that of all digits


def test_figures_show_the_runs_of_tables():
    assert runs("figure-3") == runs("table-8")
    assert runs("figure-7") == runs("figure-5") == runs("figure-8-10")
    assert runs("figure-1") < runs("figure-5")
    ten = {recipe.recover.ipc for cell in paper.get("table-11").budget("laptop").cells for recipe in cell.recipes}
    assert ten == {10, 50}
    assert len(runs("table-11") - runs("figure-5")) == 6  # those of fifty images


def test_images_are_judged_by_a_network_that_they_were_not_made_for(tmp_path, small, cpu):
    entry, store = small(paper.get("figure-5"), slice(1)), Store(tmp_path / "store")
    paper.run(entry, "laptop", store, runtime=cpu)
    for cell in entry.budget("laptop").cells:
        for recipe in cell.recipes:
            assert store.places(cell.judge_of(recipe)).teacher != store.places(recipe).teacher
    assert len(list(store.folder.glob("teacher-*"))) == 2


def test_what_a_measured_file_lost_is_said(tmp_path, small, cpu):
    entry, store = small(paper.get("figure-5"), slice(1)), Store(tmp_path / "store")
    paper.run(entry, "laptop", store, runtime=cpu)
    (damaged, *_) = sorted(store.folder.glob("measured-*.json"))
    damaged.write_text("{}")
    results = paper.run(entry, "laptop", store, runtime=cpu)
    assert len(results.failures) == 1
    assert "damaged" in next(iter(results.failures.values()))
    damaged.unlink()
    assert paper.run(entry, "laptop", store, runtime=cpu).failures == {}


def test_the_papers_photographs_are_left_out_where_they_are_not(tmp_path):
    budget = paper.get("figure-5").budget("laptop").at(tmp_path)
    here = budget.here()
    assert here.columns == tuple(column for column in LAPTOP if column != TEN_CLASSES)
    assert here.note == f"{budget.note} Left out, for the data is not here: {TEN_CLASSES}."
    gpu = paper.get("table-8").budget("gpu").at(tmp_path)
    assert gpu.here().cells == gpu.cells  # the paper's own budget misses its data aloud
