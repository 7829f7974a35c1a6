"""Names and options of plug-ins: networks, codecs, starts, classes; what is not known is answered with what is."""

from __future__ import annotations

import math

import pytest
import torch
from fuzzing import NONSENSE, NUMBERS, OBJECTS, TEXTS, answer
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sre2l_core import backbones, parametrisations, starts
from sre2l_core.artifacts import empty_network
from sre2l_core.codecs import build_codec
from sre2l_core.config import RecoverConfig, ValidateConfig
from sre2l_core.data import load
from sre2l_core.data.request import Request
from sre2l_core.groups import plan
from sre2l_core.registry import catalogue
from sre2l_core.stages.validate import baselines

NETWORKS = {
    "convnet": ("depth", "width"),
    "resnet10": ("width", "stem"),
    "resnet18": ("stem",),
    "bn_vit": ("dim", "depth"),
}
CODECS = {"fp16": (), "int8": (), "topk": ("k", "temperature")}
SIDES = st.sampled_from([1, 4, 8, 32])
LOGITS = arrays("float32", array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(width=32))


@given(TEXTS)
def test_a_network_that_is_none(name):
    if name not in backbones.names():
        answer(
            "names",
            lambda: backbones.build(name, num_classes=2, resolution=8),
            "backbone",
            "Known",
            right=lambda net: False,
        )


@given(st.data(), st.sampled_from(sorted(NETWORKS)), NUMBERS | NONSENSE, SIDES)
def test_options_of_a_network(tiny_spec, data, name, value, side):
    option = data.draw(st.sampled_from(NETWORKS[name]) | TEXTS)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 64 < value <= 4096:
        value = 64  # such networks can be built, and take their time

    def works(net):
        with torch.no_grad():
            return net.eval()(torch.zeros(2, 3, side, side)).shape == (2, 5)

    answer(
        "names",
        lambda: backbones.build(name, num_classes=5, channels=3, resolution=side, seed=0, **{option: value}),
        right=works,
    )


@given(st.sampled_from(["num_classes", "channels", "resolution", "seed"]), OBJECTS)
def test_options_that_come_from_the_dataset(tiny_spec, option, value):
    answer("names", lambda: empty_network("convnet", tiny_spec, {option: value}), option, right=lambda net: False)


@given(st.data(), st.sampled_from(sorted(CODECS)) | TEXTS, NONSENSE, LOGITS)
def test_codecs_and_their_options(data, name, value, logits):
    option = data.draw(st.sampled_from([*CODECS.get(name, ()), "k", "levels"]) | TEXTS)
    rows = torch.from_numpy(logits)

    def stored():
        codec = build_codec(name, **{option: value})
        return codec, codec.decode(codec.encode(rows), rows.shape[1])

    def right(made):
        codec, decoded = made
        return bool(((decoded - rows).abs().amax(1) <= codec.error_bound(rows)).all())

    answer("names", stored, right=right)


@given(st.sampled_from([starts.find, parametrisations.find, starts.baseline]), TEXTS)
def test_starts_and_parametrisations(tiny_data, find, name):
    if name in (*catalogue("starts"), *catalogue("parametrisations")):
        return
    act = (
        (lambda: find(name))
        if find is not starts.baseline
        else lambda: find(name, tiny_data, ipc=1, labels=(0,), seed=0)
    )
    answer("names", act, "Known", right=lambda made: False)


@given(st.lists(st.sampled_from(["random", "full", "noise", "real"]) | TEXTS, max_size=4))
def test_baselines(names):
    known = {*catalogue("starts"), "full"}

    def right(found):
        return (
            set(names) <= known
            and len(set(names)) == len(names)
            and found == [name for name in names if name != "full"]
        )

    answer("names", lambda: baselines(ValidateConfig(against=tuple(names))), right=right)


@given(st.lists(st.sampled_from(["ant", "bee", "Ant", "0"]) | TEXTS, max_size=4))
def test_only_some_classes(tiny_spec, names):
    def right(groups):
        return {tiny_spec.classes[label] for group in groups for label in group.labels} == set(
            names or tiny_spec.classes
        )

    answer("names", lambda: plan(RecoverConfig(only_classes=tuple(names)), tiny_spec), right=right)


@given(
    st.none() | st.lists(st.sampled_from(["ant", "bee", "cat", 0, 4]) | TEXTS | st.integers(), max_size=4),
    st.none() | st.integers(-2, 9),
)
def test_classes_of_a_dataset(classes, count):
    known = ("ant", "bee", "cat", "dog")

    def right(wanted):
        asked = [entry if isinstance(entry, int) else known.index(entry) for entry in classes or range(count or 4)]
        return list(wanted) == sorted(asked) and len(wanted) > 1

    request = Request("zoo", classes=None if classes is None else tuple(classes), num_classes=count)
    answer("names", lambda: request.pick(known), right=right)


@given(
    st.just("digits") | TEXTS,
    st.sampled_from(["resolution", "seed", "num_classes", "workers"]),
    st.integers(-10, 40) | st.sampled_from([10**9, 2**70]),
)
def test_arguments_of_load(name, argument, value):
    answer(
        "names",
        lambda: load(name, **{"resolution": 8, argument: value}),
        right=lambda data: len(data.train) > 0 and (argument != "resolution" or value in (None, data.spec.resolution)),
    )


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "x", [], True])
def test_a_codec_keeps_its_bounds(value):
    answer(
        "names",
        lambda: build_codec("topk", temperature=value),
        "temperature",
        right=lambda codec: codec.temperature == 1 and value is True,
    )
