"""Runs as points: seeds put together, neighbours, tables; what is read once; three thousand of them."""

from statistics import mean

import pytest
from small_runs import BASE, SPARSE, WARM, key

from sre2l_core import files
from sre2l_core.artifacts import Score
from sre2l_core.errors import ArtifactError, ConfigError
from sre2l_core.runs.listing import Listing
from sre2l_core.runs.opened import opened
from sre2l_core.runs.points import STUDENT, TOP1, Points


def test_runs_that_differ_in_seeds_are_one_point(store, cpu):
    store.make(BASE.but(validate={"seed": 7}), runtime=cpu)
    found = Points(store.folder)
    assert len(found.runs) == 4
    assert len(found.points) == 3
    assert set(found.varying) == {"recover.alpha_bn", "validate.temperature", "store_labels"}
    point = found.points[found.of_run(key(store, BASE))]
    assert len(point.runs) == 2
    assert len(point.values) == 4
    last = [Score.load(store.places(one).score).rows[0].last for one in (BASE, BASE.but(validate={"seed": 7}))]
    assert point.mean == pytest.approx(100 * mean([*last[0], *last[1]]))
    assert point.settings[STUDENT] == "convnet"
    assert point.quantities()[TOP1] == point.mean
    assert point.shown in point.title(["recover.alpha_bn"])


def test_the_neighbour_differs_in_the_fewest_settings(store, cpu):
    found = Points(store.folder)
    base, warm, sparse = (found.of_run(key(store, recipe)) for recipe in (BASE, WARM, SPARSE))
    assert found.neighbour(base) == warm  # one setting; the other one differs in two
    assert found.points[base].differences(found.points[warm]) == {"validate.temperature": (
        BASE.validate.temperature, 2.0,
    )}  # fmt: skip
    difference = found.points[warm].less(found.points[base])
    assert difference.n == 2
    assert difference.mean == pytest.approx(found.points[warm].mean - found.points[base].mean)
    assert found.neighbour(sparse) in (base, warm)


def test_a_table_of_all_points_for_csv_and_latex(store):
    table = Points(store.folder).table()
    assert len(table.rows) == 3
    assert set(table.rows[0].settings) == {"recover.alpha_bn", "validate.temperature", "store_labels"}
    assert table.to_csv().count("\n") == 4
    assert r"recover.alpha\_bn" in table.to_latex()


def test_failures_and_what_is_not_finished_are_points_without_a_value(store):
    store.write_note(BASE.but(recover={"steps": 77}), failure="the loss became nan")
    store.write_note(BASE.but(recover={"steps": 78}))
    found = Points(store.folder)
    shown = [point.shown for point in found.points]
    assert "failed: the loss became nan" in shown
    assert "unfinished" in shown
    assert "failed: the loss became nan" in found.table().to_csv() or "the loss became nan" in found.table().to_csv()


def test_what_has_come_meanwhile_is_seen_after_a_refresh(store, cpu):
    found = Points(store.folder)
    store.make(BASE.but(validate={"temperature": 9.0}), runtime=cpu)
    assert len(found.points) == 3
    found.refresh()
    assert len(found.points) == 4
    with pytest.raises(ConfigError, match="unknown run"):
        found.of_run("nobody")
    with pytest.raises(ArtifactError, match="there is no folder"):
        Points(store.folder / "nowhere")


def test_a_run_opened_has_images_curves_and_bars(store, cpu):
    listing = Listing(store.folder)
    run = listing.runs[key(store, BASE)]
    found = opened(run, runtime=cpu)
    assert tuple(found.pixels.shape) == (4, 1, 8, 8)
    assert len(found.labels) == 4
    assert len(found.distances) == 2
    assert all(distance > 0 for distance in found.distances)
    assert [step for step, _ in found.curves["loss"]] == [4]
    assert found.notes == []
    warm = opened(listing.runs[key(store, WARM)], listing.runs.values(), runtime=cpu)
    assert warm.curves == found.curves  # the images are those of the other run, which logged their recovery
    assert opened(listing.runs[key(store, WARM)], runtime=cpu).curves == {}


def test_what_is_missing_or_damaged_is_said_and_the_rest_is_there(store, cpu):
    import shutil

    shutil.rmtree(store.places(BASE).teacher)
    next(store.places(BASE).condensed.rglob("*.png")).write_bytes(b"spoilt")
    listing = Listing(store.folder)
    found = opened(listing.runs[key(store, BASE)], runtime=cpu)
    assert found.pixels is None
    assert "damaged" in found.notes[0]
    sparse = opened(listing.runs[key(store, SPARSE)], runtime=cpu)
    assert sparse.pixels is not None
    assert sparse.distances == []
    assert "is not there" in sparse.notes[0]


def test_three_thousand_runs_are_read_once(thousands, monkeypatch):
    read, real = [], files.content_of

    def counted(path):
        read.append(path)
        return real(path)

    monkeypatch.setattr(files, "content_of", counted)
    found = Points(thousands.folder)
    assert (len(found.runs), len(found.points)) == (3000, 1500)
    assert len(read) <= 2 * 3000 + 5  # a note and a score each
    del read[:]
    found.refresh()
    assert len(read) <= 3000 + 5  # scores are finished and stay what they are
    assert found.varying == ["recover.steps", "recover.alpha_bn", "recover.lr"]
    assert sorted(point.mean for point in found.points)[0] > 50
