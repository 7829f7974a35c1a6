"""What Python code hands to the public classes: taken and right, or refused where it is made, not stages later."""

from __future__ import annotations

import torch
from fuzzing import NONSENSE, NUMBERS, OBJECTS, SCALARS, TEXTS, answer
from hypothesis import given
from hypothesis import strategies as st

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RecoverConfig, RelabelConfig
from sre2l_core.data import DatasetSpec
from sre2l_core.groups import plan
from sre2l_core.stages.labels import SoftLabels
from sre2l_core.stages.recover import Recovery

DTYPES = st.sampled_from(
    [torch.uint8, torch.int8, torch.int32, torch.int64, torch.bool, torch.float16, torch.float32, torch.complex64]
)
SHAPES = st.lists(st.sampled_from([0, 1, 3, 4, 8]), max_size=5).map(tuple) | st.sampled_from(
    [(4, 3, 8, 8), (4,), (4, 1)]
)
TENSORS = st.builds(lambda shape, dtype: torch.ones(shape, dtype=dtype), SHAPES, DTYPES)
LABELS = st.lists(st.integers(-2, 7), max_size=5).map(lambda values: torch.tensor(values, dtype=torch.int64)) | TENSORS
ANYTHING = TENSORS | OBJECTS


@given(st.just(torch.zeros(4, 3, 8, 8, dtype=torch.uint8)) | ANYTHING, LABELS | ANYTHING)
def test_a_condensed_set(tiny_spec, images, labels):
    def right(made):
        pixels = made.images.shape == (len(made), 3, 8, 8) and made.images.dtype == torch.uint8
        return pixels and made.labels.dtype == torch.int64 and all(0 <= n < 5 for n in made.labels.tolist()) and made.id

    answer("constructors", lambda: CondensedSet(images, labels, tiny_spec), right=right)


GOOD = {"name": "x", "classes": ("a", "b"), "channels": 3, "resolution": 8, "mean": (0.5,) * 3, "std": (0.2,) * 3}
TUPLES = st.lists(SCALARS, max_size=4).map(tuple) | st.lists(TEXTS, max_size=3).map(tuple)


@given(st.sampled_from([*GOOD, "class_names"]), TUPLES | OBJECTS)
def test_a_dataset_spec(name, value):
    def right(made):
        back = made.denormalize(made.normalize(torch.full((2, made.channels, 3, 3), 0.25)))
        return DatasetSpec.from_json(made.to_json()) == made and bool(((back - 0.25).abs() < 1e-3).all())

    answer("constructors", lambda: DatasetSpec(**{**GOOD, name: value}), right=right)


@given(st.sampled_from(["net", "spec", "backbone", "options", "accuracy", "origin"]), ANYTHING)
def test_a_teacher(tiny_teacher, tmp_path_factory, name, value):
    given_ = {
        "net": tiny_teacher.net,
        "spec": tiny_teacher.spec,
        "backbone": "convnet",
        "options": tiny_teacher.options,
    }
    folder = tmp_path_factory.mktemp("teacher")

    def made():
        Teacher(**{**given_, name: value}).save(folder)
        return Teacher.load(folder)

    answer("constructors", made, right=lambda loaded: loaded.id == tiny_teacher.id)


SHARD = {"logits": torch.zeros(4, 5, dtype=torch.float16)}
STORE = {"config": RelabelConfig(epochs=1), "num_images": 4, "num_classes": 5, "size": (8, 8), "teacher_id": "t"}
STORE |= {"condensed_id": "c", "shards": [SHARD]}
SHARDS = st.lists(st.dictionaries(st.sampled_from(["logits", "x"]), TENSORS, max_size=2), max_size=2)


@given(st.sampled_from([*STORE, "classes"]), SHARDS | ANYTHING)
def test_soft_labels(name, value):
    def logits():
        labels = SoftLabels(**{**STORE, name: value})
        found = labels.logits(0, torch.arange(labels.num_images))
        assert len(labels.views(0)) == len(found)
        return found

    answer("constructors", logits, right=lambda made: made.shape == (4, 5) and bool(made.isfinite().all()))


@given(
    st.dictionaries(
        st.sampled_from(list(RecoverConfig.model_fields)) | TEXTS, NUMBERS | NONSENSE, min_size=1, max_size=2
    )
)
def test_retune(tiny_teacher, cpu, changes):
    recovery = Recovery(
        tiny_teacher, plan(RecoverConfig(ipc=1, steps=9), tiny_teacher.spec), RecoverConfig(ipc=1, steps=9), runtime=cpu
    )
    before = recovery.config

    def right(_):
        kept = RecoverConfig.of(recovery.config.model_dump(mode="json")) == recovery.config
        return kept and [change["field"] for change in recovery.changes] == list(changes)

    if answer("constructors", lambda: recovery.retune(**changes) or recovery, right=right) is None:
        assert recovery.config == before
        assert recovery.changes == []
    elif not recovery.done:
        answer("constructors", recovery.step, right=lambda event: bool(recovery.images.isfinite().all()))
