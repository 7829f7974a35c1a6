"""Running a grid and reading it: verdicts, the page, the CSV, cells that fail."""

import contextlib
import csv
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import workloads
from small_runs import BASE as SMALL

from sre2l_core.artifacts import Score, ScoreRow
from sre2l_core.errors import ConfigError, DivergenceError
from sre2l_core.events import ignore
from sre2l_core.paper import Budget, Cell, Claim, Entry, Results, run
from sre2l_core.presets import Recipe, repeated
from sre2l_core.runs.difference import Difference
from sre2l_core.runs.pipeline import Places
from sre2l_core.runs.store import Store

BASE = Recipe().but(validate={"seeds": 1})


def cell(row, steps, times=3):
    return Cell(row, "digits", repeated(BASE.but(recover={"steps": steps}), times))


ENTRY = Entry(
    name="table-99",
    title="Table 99: long and short",
    rows_are="recovery",
    columns=("Faces",),
    numbers={"long": (80.0,), "short": (None,), "none": (55.5,)},
    claims=(Claim("Long is better.", "long", "none"), Claim("Short does as well.", "long", "short", within=1.0)),
    budgets={"laptop": Budget("No time.", (cell("long", 30), cell("short", 20), cell("none", 10)))},
)


class Known:
    """A store that makes up its scores: a hundredth a step, and the seed on top."""

    def __init__(self, folder, failing=()):
        self.places, self.failing, self.asked = Places.in_folder(folder), failing, []

    def finished(self, recipe):
        return recipe.recover.steps == 10

    def make(self, recipe, **_):
        self.asked.append(recipe)
        if recipe.recover.steps in self.failing:
            raise DivergenceError(f"the loss became nan after {recipe.recover.steps} steps")
        top1 = recipe.recover.steps / 100 + recipe.validate.seed / 1000
        score = Score((ScoreRow("condensed", "soft", "resnet18", 10, 10, (top1,), (top1,)),))
        score.save(self.places.score)
        return self.places


def test_values_are_read_cell_by_cell_in_percent(tmp_path):
    said, store = [], Known(tmp_path)
    results = run(ENTRY, "laptop", store, say=said.append)
    assert results.values["long", "digits"] == pytest.approx((30.0, 30.1, 30.2))
    assert results.values["none", "digits"] == pytest.approx((10.0, 10.1, 10.2))
    assert [recipe.recover.seed for recipe in store.asked] == [0, 1, 2] * 3
    assert said[0] == "1/3  long, digits: 0 of 3 runs found"
    assert said[-1] == "3/3  none, digits: 3 of 3 runs found"


def test_every_run_has_a_listener_of_its_own(tmp_path):
    opened = []

    @contextmanager
    def listening():
        opened.append("open")
        yield ignore
        opened.append("shut")

    run(ENTRY, "laptop", Known(tmp_path), listening=listening)
    assert opened == ["open", "shut"] * 9


def test_a_cell_that_fails_costs_no_other(tmp_path):
    results = run(ENTRY, "laptop", Known(tmp_path, failing=(20,)))
    assert results.failures == {("short", "digits"): "the loss became nan after 20 steps"}
    assert {row for row, _ in results.values} == {"long", "none"}
    page = results.markdown()
    assert "| short | – | failed |" in page
    assert "No value for short, digits: the loss became nan after 20 steps" in page
    assert "Short does as well. *long* less *short*: in the paper as drawn; here digits: no values." in page


def test_where_nothing_works_the_reason_is_raised(tmp_path):
    with pytest.raises(DivergenceError, match="after 30 steps"):
        run(ENTRY, "laptop", Known(tmp_path, failing=(10, 20, 30)))


def test_an_unknown_budget_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown budget of table-99 'lapdog'\. Did you mean 'laptop'"):
        run(ENTRY, "lapdog", Known(tmp_path))


def test_data_may_lie_elsewhere(tmp_path):
    store = Known(tmp_path)
    run(ENTRY, "laptop", store, data_root=tmp_path)
    assert {recipe.data.data_root for recipe in store.asked} == {tmp_path}


@pytest.mark.parametrize(
    ("ours", "theirs", "within", "verdict"),
    [
        ((5.0, 5.2, 5.1), (1.0, 1.1, 0.9), None, "shown"),
        ((1.0, 1.1, 0.9), (5.0, 5.2, 5.1), None, "the opposite is shown"),
        ((5.0, 1.0, 3.0), (2.9, 3.1, 2.8), None, "too close to call"),
        ((5.0,), (1.0,), None, "not judged, from a single run each"),
        ((5.0, 5.2, 5.1), (5.1, 5.2, 5.0), 1.0, "shown"),
        ((5.0, 5.2, 5.1), (1.0, 1.1, 0.9), 1.0, "the opposite is shown"),
        ((1.0, 1.1, 0.9), (5.0, 5.2, 5.1), 1.0, "the opposite is shown"),
        ((5.0, 5.2, 9.1), (5.1, 5.2, 5.0), 1.0, "too close to call"),
    ],
)
def test_a_trend_is_shown_only_where_the_whole_interval_says_so(ours, theirs, within, verdict):
    assert Claim("A.", "a", "b", within).verdict(Difference.between(ours, theirs)) == verdict


def test_the_page_has_both_numbers_and_cannot_be_mistaken_for_a_replication():
    values = {("long", "digits"): (30.0, 31.0, 32.0), ("short", "digits"): (20.0,), ("none", "digits"): (1.0, 2.0, 3.0)}
    page = Results(ENTRY, "laptop", ENTRY.budgets["laptop"], None, values).markdown()
    assert page.splitlines()[0] == "# Table 99: long and short"
    assert "**Laptop budget: not a replication." in page
    assert "| recovery | Faces (paper) | digits (laptop) |" in page
    assert "| long | 80 | 31.0 ± 1.0 |" in page
    assert "| short | – | 20.0 |" in page
    assert "Long is better. *long* less *none*: in the paper +24.5; here digits +29.0 ± 0.0" in page
    assert "**shown**" in page
    assert "digits, teacher resnet18, 50 images of each class after 30, 20 or 10 iterations" in page
    assert "3 recoveries and 1 student of each" in page


def test_files_say_the_same_in_columns(tmp_path):
    results = run(ENTRY, "laptop", Known(tmp_path))
    assert [path.name for path in results.write(tmp_path)] == [f"table-99.laptop.{one}" for one in ("md", "csv", "tex")]
    assert (tmp_path / "table-99.laptop.tex").read_text(encoding="utf-8") == results.tabulated().to_latex() + "\n"
    assert (tmp_path / "table-99.laptop.md").read_text(encoding="utf-8") == results.markdown() + "\n"
    rows = list(csv.DictReader((tmp_path / "table-99.laptop.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["source"], row["row"]) for row in rows] == [
        ("paper", "long"), ("paper", "none"),
        ("ours, laptop budget", "long"), ("ours, laptop budget", "short"), ("ours, laptop budget", "none"),
    ]  # fmt: skip
    long = rows[2]
    assert (float(long["mean"]), float(long["std"]), long["n"]) == pytest.approx((30.1, 0.1, "3"))
    assert [float(value) for value in long["values"].split()] == pytest.approx([30.0, 30.1, 30.2])


def test_workers_make_runs_side_by_side_and_one_that_fails_costs_no_other(tmp_path, cpu):
    good = SMALL.but(store_labels=False, validate={"seeds": 1})
    runs = {
        "good": good,
        "bad": good.but(squeeze={"lr": 100.0, "momentum": 0.99, "warmup_epochs": 0, "weight_decay": 1.0}),
    }
    cells = tuple(Cell(row, "digits", repeated(recipe, times=2)) for row, recipe in runs.items())
    entry = Entry("table-99", "Two", "run", (), {}, (), budgets={"laptop": Budget("No time.", cells)})
    alone = run(entry, "laptop", Store(tmp_path / "alone"), runtime=cpu)
    with ThreadPoolExecutor(1) as threads:
        executor, events, said = workloads.Counting(threads), [], []
        how = {"runtime": cpu, "executor": executor, "listening": lambda: contextlib.nullcontext(events.append)}
        shared = run(entry, "laptop", Store(tmp_path / "shared"), say=said.append, **how)
        kinds = [name.partition("-")[0] for name in dict.fromkeys(executor.names)]
        assert (kinds.count("teacher"), kinds.count("condensed"), kinds.count("score")) == (2, 2, 2)
        assert {event.stage for event in events} == {"sweep"}
        assert said[:2] == ["4 runs are made side by side", "1/2  good, digits: 2 of 2 runs found"]
    assert shared.values == alone.values
    assert list(shared.failures) == list(alone.failures) == [("bad", "digits")]
