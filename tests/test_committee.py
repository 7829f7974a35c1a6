"""Several teachers as one: who they are, what each counts, and what they say together."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sre2l_core import storage
from sre2l_core.__main__ import main
from sre2l_core.artifacts import Teacher, empty_network
from sre2l_core.committee import join, members, shares
from sre2l_core.config import RelabelConfig, SqueezeConfig, network_in_words, network_of
from sre2l_core.errors import ArtifactError, ConfigError, DataError
from sre2l_core.runs.inspect import describe
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.stages.squeeze import squeeze


@pytest.fixture(scope="module")
def two(tiny_teacher, tiny_spec):
    options = {"width": 8, "stem": "224"}
    net = empty_network("resnet10", tiny_spec, options, seed=1)
    return tiny_teacher, Teacher(net, tiny_spec, "resnet10", options, {"top1": 0.5})


def test_a_committee_averages_logits_and_knows_its_members(two):
    made = join(two)
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = (two[0].net(images) + two[1].net(images)) / 2
    torch.testing.assert_close(made.net(images), expected)
    assert [one.id for one in members(made)] == [one.id for one in two]
    assert [one.backbone for one in members(made)] == ["convnet", "resnet10"]
    assert members(made)[1].options == two[1].options
    assert members(made)[1].accuracy == {"top1": 0.5}
    assert join([made]).id == made.id != join(two[::-1]).id
    assert join(two[:1]) is two[0]
    assert members(two[0]) == (two[0],)


def test_it_is_saved_as_any_teacher_and_its_manifest_names_all_by_hash(two, tmp_path):
    made = join(two)
    made.save(tmp_path / "both")
    again = Teacher.load(tmp_path / "both")
    assert again.id == made.id
    assert [one.id for one in members(again)] == [one.id for one in two]
    assert members(again)[1].accuracy == {"top1": 0.5}
    named = storage.read_manifest(tmp_path / "both")["origin"]["members"]
    assert [one["id"] for one in named] == [one.id for one in two]
    told = "\n".join(describe(tmp_path / "both"))
    assert all(one.id in told for one in two)


@pytest.mark.parametrize("noted", [None, 3, [], [{}], [3, 4], [{"accuracy": {"top1": "much"}}, {}]])
def test_what_a_strange_hand_noted_of_members_is_refused_or_left_out(two, noted):
    made = join(two)
    strange = replace(made, origin={"members": noted})
    try:
        assert [one.id for one in members(strange)] == [one.id for one in two]
    except ArtifactError as error:
        assert "top1" in str(error)  # noqa: PT017


def test_what_does_not_go_together_is_refused(two, tiny_spec):
    with pytest.raises(ConfigError, match="at least one teacher"):
        join([])
    with pytest.raises(ConfigError, match=f"{two[0].id} is there twice"):
        join([*two, two[0]])
    other = replace(tiny_spec, classes=("ant", "bee", "cat", "dog", "fox"), class_names=())
    with pytest.raises(DataError, match="classes differ"):
        join([two[0], Teacher(empty_network("convnet", other, {"depth": 1}), other, "convnet", {"depth": 1})])


def test_votes_are_equal_or_a_softmax_of_accuracies(two, tiny_spec):
    better = replace(two[1], accuracy={"top1": 0.56})
    assert shares(two, "equal") == (0.5, 0.5)
    low, high = shares((two[1], better), "accuracy")
    assert high / low == pytest.approx(math.exp(6 / 5))  # CV-DD: softmax of points of accuracy over 5
    assert low + high == pytest.approx(1)
    with pytest.raises(ConfigError, match="accuracy of every teacher, that of convnet is not known"):
        shares(two, "accuracy")


def test_labels_are_the_mean_a_vote_or_those_of_the_first(two, tiny_condensed, cpu):
    known = [replace(one, accuracy={"top1": top1}) for one, top1 in zip(two, (0.4, 0.5), strict=True)]
    made = join(known)
    ids, pixels = torch.arange(3), torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    each = [LiveLabels(one, tiny_condensed, RelabelConfig(), runtime=cpu).logits(0, ids, pixels) for one in known]

    def said(**settings):
        return LiveLabels(made, tiny_condensed, RelabelConfig(**settings), runtime=cpu).logits(0, ids, pixels)

    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(said(), (each[0] + each[1]) / 2, **close)
    low, high = shares(known, "accuracy")
    torch.testing.assert_close(said(vote="accuracy"), low * each[0] + high * each[1], **close)
    torch.testing.assert_close(said(label_by="first", vote="accuracy"), each[0], **close)
    batch = LiveLabels(known[1], tiny_condensed, RelabelConfig(teacher_mode="batch"), runtime=cpu)
    alone = LiveLabels(known[0], tiny_condensed, RelabelConfig(teacher_mode="batch"), runtime=cpu)
    expected = (alone.logits(0, ids, pixels) + batch.logits(0, ids, pixels)) / 2
    torch.testing.assert_close(said(teacher_mode="batch"), expected, **close)


@pytest.mark.parametrize(
    "network",
    [
        ("convnet", {}),
        ("convnet", {"depth": 2, "width": 8}),
        ("resnet10", {"stem": "224"}),
        ("a", {"b": True, "c": 0.5}),
    ],
)
def test_a_network_is_read_as_it_is_written(network):
    assert network_of(network_in_words(*network)) == network


@pytest.mark.parametrize("text", ["", ":depth=2", "convnet:depth", "convnet:=2", "convnet:"])
def test_words_that_are_no_network_are_refused(text):
    with pytest.raises(ConfigError, match=r"expected NETWORK:OPTION=VALUE"):
        SqueezeConfig(others=(text,))


@pytest.mark.parametrize("value", ["a+b", "a:b", float("nan")])
def test_options_that_cannot_be_written_are_refused(value):
    with pytest.raises(ConfigError, match="cannot be written as NAME:OPTION=VALUE"):
        network_in_words("convnet", {"depth": value})


def test_squeezing_makes_every_member_once_and_finds_it_again(tiny_data, cpu, tmp_path):
    config = SqueezeConfig(
        backbone="convnet", backbone_options={"depth": 1, "width": 4}, epochs=1, batch_size=20, lr=0.01,
        others=("resnet10:width=4", "convnet:depth=1:width=4"),
    )  # fmt: skip
    alone = squeeze(tiny_data, config.each()[1], runtime=cpu, out=tmp_path / "known")
    steps = []
    made = squeeze(tiny_data, config, runtime=cpu, out=tmp_path / "all", on_step=steps.append)
    assert [one.backbone for one in members(made)] == ["convnet", "resnet10", "convnet"]
    assert len({one.id for one in members(made)}) == 3  # the same network again has a seed of its own
    assert members(made)[1].id == alone.id
    assert len(steps) == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all", "all-1", "all-2", "all-3", "known"]
    assert squeeze(tiny_data, config, runtime=cpu, out=tmp_path / "all", on_step=pytest.fail).id == made.id
    places = [tmp_path / "all-1", tmp_path / "known", tmp_path / "all-3"]
    again = squeeze(tiny_data, config, runtime=cpu, out=tmp_path / "other", members=places, on_step=pytest.fail)
    assert again.id == made.id


def test_the_command_line_joins_teachers_and_says_so_to_the_next(two, tmp_path, capsys):
    for number, teacher in enumerate(two):
        teacher.save(tmp_path / str(number))
    first, second, out = (str(tmp_path / name) for name in ("0", "1", "set"))
    line = ["recover", "--preset", "digits", "--teacher", first, "--ipc", "1", "--steps", "2", "--device", "cpu"]
    assert main([*line, "--teaching", "pair", "--out", out, "--others", second]) == 0
    assert f"--others {second}" in capsys.readouterr().out
    assert storage.read_manifest(Path(out))["origin"]["teachers"] == [one.id for one in two]
    assert main([*line, "--out", f"{out}2", "--others", second, first]) == 2
    assert "is there twice" in capsys.readouterr().err
