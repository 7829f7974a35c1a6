"""Searches over ranges: held-out images choose, the test images judge; continued, pruned, failing."""

import pytest
from small_runs import BASE

from sre2l_core import storage
from sre2l_core.errors import ConfigError, DivergenceError, InUseError
from sre2l_core.runs.search import Range, search
from sre2l_core.runs.store import Store

TUNED = BASE.but(data={"holdout": 0.4}, validate={"seeds": 1})
SPACE = {"validate.temperature": Range(1.0, 8.0, log=True), "recover.crop": ["resized", "none"]}


@pytest.fixture
def optuna():
    return pytest.importorskip("optuna", reason="Optuna is missing: pip install 'sre2l-core[search]'")


def test_a_search_begins_with_the_base_and_is_judged_by_others_than_chose(optuna, tmp_path, cpu):
    said = []
    found = search(TUNED, SPACE, trials=4, store=tmp_path / "s", runtime=cpu, say=said.append)
    assert len([line for line in said if line.startswith("trial ")]) == 4
    first = found.study.trials[0]
    assert first.params == {"validate.temperature": TUNED.validate.temperature, "recover.crop": TUNED.recover.crop}
    held = "40 % of the training images, held out with seed 0"
    assert {row.judge for row in found.trials.rows} == {held}
    assert {row.judge for row in found.verdict.rows} == {"the validation images"}
    page = found.to_markdown()
    assert f"Judged on {held}." in page
    assert f"Chosen on {held}; " in page
    assert "Judged on the validation images." in page
    assert found.verdict.rows[-1].settings == found.best.settings
    assert all(1 <= row.settings["validate.temperature"] <= 8 for row in found.trials.rows)
    assert set(found.importance) <= set(SPACE)
    assert found.slices().count("trial") >= 4
    journal = (tmp_path / "s" / "study-search" / "journal.log").read_text()
    assert journal.count("\n") > 10


def test_it_continues_and_computes_nothing_twice(optuna, tmp_path, cpu):
    options = {"store": tmp_path / "s", "runtime": cpu, "judge": False}
    first = search(TUNED, SPACE, trials=2, **options)
    again = search(TUNED, SPACE, trials=2, on_step=lambda event: pytest.fail("computed"), **options)
    assert again.trials == first.trials
    more = search(TUNED, SPACE, trials=3, **options)
    assert len(more.study.trials) == 3
    assert more.trials.rows[:2] == first.trials.rows


def test_a_trial_that_was_stopped_is_begun_again(optuna, tmp_path, cpu):
    def stop(event):
        if event.stage == "validate":
            raise KeyboardInterrupt

    options = {"store": tmp_path / "s", "runtime": cpu, "judge": False}
    with pytest.raises(KeyboardInterrupt):
        search(TUNED, SPACE, trials=2, on_step=stop, **options)
    stages = set()
    found = search(TUNED, SPACE, trials=1, on_step=lambda event: stages.add(event.stage), **options)
    assert "squeeze" not in stages
    assert [trial.state.name for trial in found.study.trials] == ["FAIL", "COMPLETE"]
    assert found.study.trials[0].params == found.study.trials[1].params
    assert len(found.trials.rows) == 1


def test_a_trial_that_fails_is_kept_with_its_reason(optuna, tmp_path, cpu):
    count = []

    def diverge(event):
        if event.stage == "recover" and len(count) < 1:
            count.append(event)
            raise DivergenceError("the loss became nan")

    said = []
    space = {"recover.alpha_bn": Range(0.1, 2.0)}
    options = {"store": tmp_path / "s", "runtime": cpu, "judge": False}
    found = search(TUNED, space, trials=2, on_step=diverge, say=said.append, **options)
    assert [trial.state.name for trial in found.study.trials] == ["FAIL", "COMPLETE"]
    assert "trial 0: failed: the loss became nan" in said
    assert "the loss became nan" in found.trials.to_markdown()


def test_a_pruner_gives_up_before_the_last_seed(optuna, tmp_path, cpu, monkeypatch):
    monkeypatch.setattr(optuna.pruners.NopPruner, "prune", lambda self, study, trial: trial.number == 1)
    said = []
    options = {"store": tmp_path / "s", "runtime": cpu, "judge": False, "say": said.append}
    found = search(TUNED, SPACE, trials=2, seeds=2, **options)
    assert found.pruned == 1
    assert [len(row.values) for row in found.trials.rows] == [2, 1]
    assert "given up after 1 of 2 seeds" in said[-1]


def test_settings_that_do_not_fit_one_another_are_a_failed_trial(optuna, tmp_path, cpu):
    base = TUNED.but(relabel={"epochs": 4}, validate={"epochs": 2})
    space = {"validate.epochs": Range(1, 4), "relabel.epochs": Range(2, 4)}
    found = search(base, space, trials=8, sampler="random", store=tmp_path / "s", runtime=cpu, judge=False)
    states = [trial.state.name for trial in found.study.trials]
    assert set(states) == {"COMPLETE", "FAIL"}
    assert all(row.settings["validate.epochs"] <= row.settings["relabel.epochs"] for row in found.trials.rows)


def test_two_searches_of_one_study_are_refused(optuna, tmp_path, cpu):
    store = Store(tmp_path / "s")
    store.begin()
    with storage.held(store.folder / "study-search"), pytest.raises(InUseError):
        search(TUNED, SPACE, trials=1, store=store, runtime=cpu)


@pytest.mark.parametrize(
    ("base", "space", "more", "told"),
    [
        (BASE, SPACE, {}, "a search would choose by the test images"),
        (TUNED, {}, {}, "a search needs settings and a range"),
        (TUNED, {"recover.alpha_nb": Range(0.1, 1.0)}, {}, "Did you mean 'recover.alpha_bn'"),
        (TUNED, {"recover.steps": Range(-5, 10)}, {}, "RecoverConfig.steps"),
        (TUNED, {"recover.crop": []}, {}, "recover.crop has no values"),
        (TUNED, SPACE, {"trials": 0}, "trials must be a whole number of at least 1"),
        (TUNED, SPACE, {"trials": True}, "trials must be a whole number of at least 1"),
        (TUNED, SPACE, {"seeds": 0}, "seeds must be a whole number"),
    ],
)
def test_what_no_trial_could_do_is_refused_first(base, space, more, told, tmp_path, cpu):
    with pytest.raises(ConfigError, match=told):
        search(base, space, **({"trials": 1} | more), store=tmp_path / "s", runtime=cpu)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("more", [{"sampler": "tpa"}, {"pruner": "medium"}])
def test_unknown_samplers_and_pruners_name_the_nearest(optuna, more, tmp_path, cpu):
    with pytest.raises(ConfigError, match="Did you mean"):
        search(TUNED, SPACE, trials=1, **more, store=tmp_path / "s", runtime=cpu)


@pytest.mark.parametrize("ends", [(2, 1), (1, 1), (float("nan"), 1), ("a", "b"), (True, 2)])
def test_a_range_has_two_ends(ends):
    with pytest.raises(ConfigError, match="a range goes from a number to a larger one"):
        Range(*ends)
    with pytest.raises(ConfigError, match="above 0"):
        Range(0, 1, log=True)
