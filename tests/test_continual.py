"""Class-incremental learning: order, memory, joined labels, and what a student is tested on."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sre2l_core.artifacts import CondensedSet, Score, ScoreRow, Teacher, empty_network
from sre2l_core.config import RelabelConfig, ValidateConfig
from sre2l_core.continual import (
    ContinualConfig,
    Expert,
    JoinedLabels,
    Learning,
    Learnt,
    arrivals,
    forgetting,
    learn,
    remember,
    seen_only,
)
from sre2l_core.data import Dataset, DatasetSpec
from sre2l_core.errors import ConfigError, DataError
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.views import render

OPTIONS = {"depth": 2, "width": 8}
VIEWS = RelabelConfig(epochs=4, crop_scale=(0.5, 1.0), flip=0)
STUDENTS = ValidateConfig(students=("convnet",), student_options=OPTIONS, epochs=2, batch_size=4, seeds=2, lr=0.05)


def of(spec: DatasetSpec, *names: str) -> DatasetSpec:
    return replace(spec, classes=names, class_names=())


def expert(data: Dataset, *names: str, ipc: int = 2) -> Expert:
    """A fresh network for some classes, in the order of the data, and the first images of each."""
    spec = of(data.spec, *names)
    net = empty_network("convnet", spec, OPTIONS, seed=len(names) + ord(names[0][0]))
    rows = torch.cat([data.train_rows[data.spec.classes.index(name)][:ipc] for name in names])
    labels = torch.arange(len(names)).repeat_interleave(ipc)
    return Expert(Teacher(net, spec, "convnet", OPTIONS), CondensedSet(data.train.images[rows], labels, spec))


def contents(folder: Path) -> dict[str, bytes]:
    """Of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def experts(tiny_data: Dataset) -> list[Expert]:
    return [expert(tiny_data, "bee", "dog"), expert(tiny_data, "ant", "cat", "eel")]


def test_seed_0_is_the_order_of_the_authors(tiny_spec: DatasetSpec) -> None:
    spec = of(tiny_spec, *map(str, range(200)))
    steps = arrivals(spec, ContinualConfig(steps=5))
    assert [len(step) for step in steps] == [40] * 5
    assert [label for step in steps for label in step] == np.random.RandomState(0).permutation(200).tolist()
    assert steps[0][:3] == (18, 170, 107)
    assert steps != arrivals(spec, ContinualConfig(steps=5, seed=1))


def test_every_class_arrives_once_and_early_steps_bring_more(tiny_spec: DatasetSpec) -> None:
    steps = arrivals(tiny_spec, ContinualConfig(steps=3, seed=7))
    assert [len(step) for step in steps] == [2, 2, 1]
    assert sorted(label for step in steps for label in step) == [0, 1, 2, 3, 4]
    order = ("eel", "ant", "dog", "bee", "cat")
    assert arrivals(tiny_spec, ContinualConfig(steps=2, order=order, seed=9)) == ((4, 0, 3), (1, 2))
    assert arrivals(tiny_spec, ContinualConfig(steps=1, order=order)) == ((4, 0, 3, 1, 2),)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"steps": 6}, "5 classes cannot arrive in 6 steps: a step brings a class. Take at most 5 steps"),
        ({"steps": 3, "leak_free": True}, "tell two classes apart. Take at most 2 steps"),
        ({"order": ("ant", "bee", "cat", "dgo", "eel")}, "unknown class id of tiny 'dgo'. Did you mean 'dog'"),
        ({"order": ("ant", "bee", "cat")}, "the order lacks dog, eel: name each of the 5 classes"),
        ({"order": ()}, "the order lacks ant, bee, cat, dog, eel"),
        ({"order": ("ant", "bee", "cat", "dog", "eel", "ant")}, "names ant more than once"),
        ({"budget": 4}, "a memory of 4 images cannot hold one of each of 5 classes"),
    ],
)
def test_what_cannot_arrive_or_be_held_is_refused(tiny_spec: DatasetSpec, asked: dict, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        arrivals(tiny_spec, ContinualConfig(**asked))
    assert said in str(raised.value)


@pytest.mark.parametrize("asked", [{"steps": 0}, {"seed": -1}, {"seed": 2**32}, {"budget": 0}, {"stepps": 2}])
def test_settings_out_of_bounds_are_refused(asked: dict) -> None:
    with pytest.raises(ConfigError, match="ContinualConfig"):
        ContinualConfig(**asked)


def test_the_memory_holds_the_classes_seen_in_the_labels_of_the_whole(
    experts: list[Expert], tiny_data: Dataset
) -> None:
    memory = remember(experts, tiny_data.spec, [4, 1, 3])
    assert memory.labels.tolist() == [1, 1, 3, 3, 4, 4]
    assert torch.equal(memory.images[:2], tiny_data.train.images[tiny_data.train_rows[1][:2]])
    assert torch.equal(memory.images[4:], tiny_data.train.images[tiny_data.train_rows[4][:2]])
    assert memory.spec == tiny_data.spec


@pytest.mark.parametrize(("budget", "each"), [(5, 1), (6, 2), (100, 2), (None, 2)])
def test_a_full_memory_holds_as_many_of_each_class(experts: list[Expert], tiny_data: Dataset, budget, each) -> None:
    memory = remember(experts, tiny_data.spec, [1, 3, 4], budget)
    assert memory.labels.bincount().tolist() == [0, each, 0, each, each]


def test_images_that_are_missing_or_of_other_data_are_refused(experts: list[Expert], tiny_data: Dataset) -> None:
    with pytest.raises(DataError, match=r"no image of ant, cat to remember, among 4 images"):
        remember(experts[:1], tiny_data.spec, [0, 1, 2])
    with pytest.raises(ConfigError, match="unknown class id of tiny 'bee'"):
        remember(experts, of(tiny_data.spec, "ant", "cat", "dog", "eel", "fly"), [0])
    with pytest.raises(DataError, match="mean differs"):
        remember(experts, replace(tiny_data.spec, mean=(0.1, 0.1, 0.1)), [1])


def seen_by(source, memory: CondensedSet, epoch: int, ids: torch.Tensor) -> torch.Tensor:
    spec = memory.spec
    return render(memory.images, ids, source.views(epoch), size=8, black=spec.black, prepare=spec.normalize)


def test_one_expert_of_all_classes_gives_its_own_labels(tiny_teacher, tiny_condensed, cpu) -> None:
    plain = LiveLabels(tiny_teacher, tiny_condensed, VIEWS, runtime=cpu)
    experts = [Expert(tiny_teacher, tiny_condensed)]
    joined = JoinedLabels(experts, tiny_condensed, VIEWS, temperature=3.0, runtime=cpu)
    ids = torch.tensor([10, 0, 4])
    pixels = seen_by(plain, tiny_condensed, 2, ids)
    assert torch.equal(seen_by(joined, tiny_condensed, 2, ids), pixels)
    expected = (plain.logits(2, ids, pixels) / 3).softmax(1)
    assert torch.allclose((joined.logits(2, ids, pixels) / 3).softmax(1), expected, atol=1e-6)


@pytest.mark.parametrize("mix", ["none", "cutmix", "mixup"])
def test_a_label_is_the_formula_over_the_classes_of_each_images_expert(experts, tiny_data, cpu, mix) -> None:
    temperature, config = 2.5, VIEWS.but(mix=mix)
    memory = remember(experts, tiny_data.spec, range(5))
    joined = JoinedLabels(experts, memory, config, temperature=temperature, runtime=cpu)
    ids = torch.randperm(len(memory), generator=torch.Generator().manual_seed(0))
    pixels = seen_by(joined, memory, 1, ids)
    views = joined.views(1)
    shares = views.shares(8)
    found = (joined.logits(1, ids, pixels) / temperature).softmax(1)
    for row, index in enumerate(ids.tolist()):
        expected = torch.zeros(5)
        for one, columns in zip(experts, ([1, 3], [0, 2, 4]), strict=True):
            weight = shares[index] * (int(memory.labels[index]) in columns)
            weight += (1 - shares[index]) * (int(memory.labels[views.partner[index]]) in columns)
            with torch.no_grad():
                logits = one.teacher.net(pixels[row : row + 1])[0]
            expected[columns] = weight * (logits / temperature).softmax(0)
        assert torch.allclose(found[row], expected, atol=1e-5)
    mixed_across = ((found[:, [1, 3]].sum(1) > 0.01) & (found[:, [0, 2, 4]].sum(1) > 0.01)).any()
    assert bool(mixed_across) == (mix != "none")


def test_experts_that_share_a_class_or_do_not_fit_their_images_are_refused(experts, tiny_data, cpu) -> None:
    both = [*experts, expert(tiny_data, "ant", "eel")]
    memory = remember(both, tiny_data.spec, range(5))
    with pytest.raises(ConfigError, match="two experts know ant, eel: each class has one"):
        JoinedLabels(both, memory, VIEWS, temperature=1.0, runtime=cpu)
    crossed = [Expert(experts[0].teacher, experts[1].images)]
    with pytest.raises(DataError, match="classes differ"):
        JoinedLabels(crossed, memory, VIEWS, temperature=1.0, runtime=cpu)


def test_a_student_has_a_finite_loss_whatever_the_temperature(experts, tiny_data, cpu) -> None:
    memory = remember(experts, tiny_data.spec, range(5))
    for temperature in (0.1, 1000.0):
        joined = JoinedLabels(experts, memory, VIEWS, temperature=temperature, runtime=cpu)
        ids = torch.arange(4)
        label = (joined.logits(0, ids, seen_by(joined, memory, 0, ids)) / temperature).log_softmax(1)
        assert label.isfinite().all()
        assert label.exp()[:, [0, 2, 4]].sum() == 0


def test_a_student_is_seen_only_the_classes_seen_alone(tiny_data: Dataset) -> None:
    part = seen_only(tiny_data, [4, 1])
    assert part.val.labels.tolist() == [1, 4] * 5
    assert torch.equal(part.val.images, tiny_data.val.images[torch.isin(tiny_data.val.labels, torch.tensor([1, 4]))])
    assert part.spec == tiny_data.spec


def test_the_curve_has_a_point_for_each_step_and_no_expert_is_asked_before_its_classes_arrive(
    experts, tiny_data, cpu
) -> None:
    order = ContinualConfig(steps=2, order=("dog", "bee", "eel", "ant", "cat"), leak_free=True)
    steps = arrivals(tiny_data.spec, order)
    assert steps == ((3, 1, 4), (0, 2))
    experts = [expert(tiny_data, "bee", "dog", "eel"), expert(tiny_data, "ant", "cat")]
    curve = learn(tiny_data, experts, order, VIEWS, STUDENTS, runtime=cpu)
    assert [(point.arrived, point.seen, point.score.images) for point in curve] == [((3, 1, 4), 3, 6), ((0, 2), 5, 10)]
    assert [len(point.score.last) for point in curve] == [2, 2]
    assert [point.score.steps for point in curve] == [4, 6]
    other = [experts[0], Expert(expert(tiny_data, "ant", "cat").teacher, experts[1].images)]
    other[1].teacher.net.classifier.weight.fill_(7.0)
    again = learn(tiny_data, other, order, VIEWS, STUDENTS, runtime=cpu)
    assert again[0] == curve[0]
    with pytest.raises(DataError, match="no image of ant, cat to remember"):
        learn(tiny_data, experts[:1], order, VIEWS, STUDENTS, runtime=cpu)


def test_a_student_learns_old_and_new_classes(tiny_data: Dataset, tiny_teacher: Teacher, cpu) -> None:
    memory = CondensedSet(tiny_data.train.images[:50], tiny_data.train.labels[:50], tiny_data.spec)
    students = STUDENTS.but(epochs=12, batch_size=10, seeds=1, temperature=2.0)
    curve = learn(tiny_data, [Expert(tiny_teacher, memory)], ContinualConfig(steps=2), VIEWS, students, runtime=cpu)
    assert [point.seen for point in curve] == [3, 5]
    assert min(point.score.last[0] for point in curve) > 0.9


def test_finished_steps_are_found_and_the_next_is_gone_on_with(experts, tiny_data, cpu, tmp_path) -> None:
    config = ContinualConfig(steps=2, order=("bee", "dog", "ant", "cat", "eel"))
    events = []
    whole = learn(tiny_data, experts, config, VIEWS, STUDENTS, runtime=cpu, out=tmp_path / "whole")

    class EnoughError(Exception):
        pass

    def stop_in_the_second_step(event):
        events.append(event)
        if len(events) == 16:
            raise EnoughError

    given = (tiny_data, experts, config, VIEWS, STUDENTS)
    with pytest.raises(EnoughError):
        learn(*given, runtime=cpu, out=tmp_path / "killed", on_step=stop_in_the_second_step)
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == ["step-1", "step-2"]
    events.clear()
    assert learn(*given, runtime=cpu, out=tmp_path / "killed", on_step=events.append) == whole
    assert 0 < len(events) < whole[1].score.steps * 2
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    events.clear()
    again = learn(*given, runtime=cpu, out=tmp_path / "killed", on_step=events.append)
    assert again == whole
    assert [point.confusion.tolist() for point in again] == [point.confusion.tolist() for point in whole]
    assert events == []


def test_losses_on_plain_logits_are_refused(experts, tiny_data, cpu) -> None:
    for loss in ("mse_ce", "gift"):
        with pytest.raises(ConfigError, match=f"loss='{loss}' needs logits; take kl"):
            learn(tiny_data, experts, ContinualConfig(steps=2), VIEWS, STUDENTS.but(loss=loss), runtime=cpu)


def test_probabilities_of_excluded_classes_are_zero_in_float32() -> None:
    assert math.exp(JoinedLabels.nowhere) == torch.tensor(JoinedLabels.nowhere).exp() == 0


ORDER = ContinualConfig(steps=2, order=("bee", "dog", "ant", "cat", "eel"))


def test_every_step_knows_what_its_students_took_for_what(experts, tiny_data, cpu, tmp_path) -> None:
    curve = learn(tiny_data, experts, ORDER, VIEWS, STUDENTS, runtime=cpu, out=tmp_path)
    for number, point in enumerate(curve, start=1):
        counts = point.confusion
        assert counts.shape == (5, 5)
        tested = [5 * len(point.score.last) * (label in (0, 1, 3) or number == 2) for label in range(5)]
        assert counts.sum(1).tolist() == tested
        right = sum(point.score.last) / len(point.score.last)
        assert int(counts.diagonal().sum()) / int(counts.sum()) == pytest.approx(right)
        each = Score.load(tmp_path / f"step-{number}").confusions
        assert torch.equal(torch.stack([*each.values()]).sum(0), counts)
        assert [int(one.diagonal().sum()) / int(one.sum()) for one in each.values()] == pytest.approx(point.score.last)
    assert curve[0].by_class[[0, 1, 3]].isfinite().all()
    assert curve[0].by_class[[2, 4]].isnan().all()


def point(*accuracies: float | None, confusion: bool = True) -> Learnt:
    """A step with the accuracy of each class in tenths; None for one that has not come."""
    right = torch.tensor([0 if one is None else one for one in accuracies])
    wrong = torch.tensor([0 if one is None else 10 for one in accuracies]) - right
    counts = torch.diag(right) + torch.diag(wrong).roll(1, 1)
    row = ScoreRow("a", "soft", "convnet", 1, 1, (0.5,), (0.5,))
    return Learnt((), sum(one is not None for one in accuracies), row, counts if confusion else None)


def test_forgetting_is_the_best_earlier_accuracy_less_that_of_now() -> None:
    curve = [point(10, None, None), point(6, 8, None), point(7, 9, 4)]
    lost = forgetting(curve)
    expected = [[None, None, None], [0.4, None, None], [0.3, -0.1, None]]
    for found, wanted in zip(lost.tolist(), expected, strict=True):
        for one, other in zip(found, wanted, strict=True):
            assert math.isnan(one) if other is None else one == pytest.approx(other)
    assert forgetting(curve[:1]).isnan().all()


def test_forgetting_wants_every_confusion_matrix() -> None:
    with pytest.raises(DataError, match="the step with 1 classes was tested before confusion matrices were kept"):
        forgetting([point(10, None), point(6, 8), point(6, None, confusion=False)])
    with pytest.raises(DataError, match="a curve without a step forgets nothing"):
        forgetting([])


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "condensed, reference's setting"),
        ({"leak_free": True}, "condensed, leak-free"),
        ({"memory": "rded"}, "RDED patches, reference's setting"),
        ({"memory": "k-center", "leak_free": True}, "k-center, leak-free"),
    ],
)
def test_every_curve_says_what_its_memory_holds_and_in_which_setting(changes: dict, title: str) -> None:
    assert ContinualConfig(**changes).title == title


def test_an_expert_of_several_steps_would_leak(experts, tiny_data, cpu) -> None:
    config = ORDER.but(leak_free=True, order=("bee", "ant", "dog", "cat", "eel"))
    with pytest.raises(ConfigError, match="an expert knows ant, cat, eel, which do not all arrive in one step: that"):
        learn(tiny_data, experts[1:], config, VIEWS, STUDENTS, runtime=cpu)
    assert Learning(tiny_data, experts, config.but(leak_free=False), VIEWS, STUDENTS, runtime=cpu).curve == []


def test_without_an_expert_there_is_nothing_to_remember(tiny_data, cpu) -> None:
    with pytest.raises(DataError, match="no image of ant, bee, dog to remember, among 0 images"):
        learn(tiny_data, [], ORDER, VIEWS, STUDENTS, runtime=cpu)


@pytest.mark.parametrize("budget", [None, 5])
def test_steps_are_counted_over_the_whole_curve(experts, tiny_data, cpu, budget) -> None:
    events = []
    curve = learn(tiny_data, experts, ORDER.but(budget=budget), VIEWS, STUDENTS, runtime=cpu, on_step=events.append)
    total = sum(2 * point.score.steps for point in curve)
    assert [event.step for event in events] == list(range(1, total + 1))
    assert {event.total for event in events} == {total}
    assert events[0].note == "step 1 of 2, condensed, reference's setting + soft, convnet, seed 1/2"
    assert {point.score.data for point in curve} == {"condensed, reference's setting"}


def test_workers_train_the_students_of_all_steps_to_the_same_bytes(experts, tiny_data, cpu, tmp_path) -> None:
    given, events = (tiny_data, experts, ORDER, VIEWS, STUDENTS), []
    alone = learn(*given, runtime=cpu, out=tmp_path / "alone")
    with ThreadPoolExecutor(2) as executor:
        shared = learn(*given, runtime=cpu, out=tmp_path / "shared", executor=executor, on_step=events.append)
    assert shared == alone
    assert [one.confusion.tolist() for one in shared] == [one.confusion.tolist() for one in alone]
    assert contents(tmp_path / "shared").keys() == contents(tmp_path / "alone").keys()
    same = [name for name in contents(tmp_path / "alone") if not name.endswith(".json")]  # which say how
    assert [contents(tmp_path / "shared")[name] for name in same] == [
        contents(tmp_path / "alone")[name] for name in same
    ]
    total = sum(2 * point.score.steps for point in alone)
    assert (events[-1].step, events[-1].total) == (total, total)
    with ThreadPoolExecutor(2) as executor:
        events.clear()
        again = learn(*given, runtime=cpu, out=tmp_path / "shared", executor=executor, on_step=events.append)
    assert (again, events) == (alone, [])
