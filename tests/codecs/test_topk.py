from __future__ import annotations

import math

import pytest
import torch

from sre2l_core.codecs import build_codec
from sre2l_core.errors import ArtifactError, ConfigError


def logits(classes: int = 50) -> torch.Tensor:
    """Rows without ties that float16 holds exactly, so that only the smoothing is lossy."""
    generator = torch.Generator().manual_seed(0)
    return torch.stack([torch.randperm(classes, generator=generator) / 4 - 6 for _ in range(6)])


@pytest.mark.parametrize("temperature", [1.0, 20.0])
def test_kept_and_others_mass_are_exact_at_the_codecs_temperature(temperature: float) -> None:
    rows = logits()
    codec = build_codec("topk", k=4, temperature=temperature)
    found = (codec.decode(codec.encode(rows), 50).double() / temperature).softmax(1)
    exact = (rows.double() / temperature).softmax(1)
    for row in range(len(rows)):
        order = sorted(range(50), key=lambda c: -rows[row, c])
        kept, others = order[:4], order[4:]
        torch.testing.assert_close(found[row, kept], exact[row, kept], rtol=1e-5, atol=1e-9)
        share = exact[row, others].sum() / len(others)
        torch.testing.assert_close(found[row, others], share.expand(len(others)), rtol=1e-5, atol=1e-9)


def test_kl_is_the_others_mass_times_their_distance_from_uniform() -> None:
    rows = logits()
    codec = build_codec("topk", k=4)
    exact = (rows.double() / 20).softmax(1)
    kl = (exact * (exact.log() - (codec.decode(codec.encode(rows), 50).double() / 20).log_softmax(1))).sum(1)
    others = exact.sort(1).values[:, :-4]
    mass = others.sum(1)
    entropy = -(others / mass[:, None] * (others / mass[:, None]).log()).sum(1)
    torch.testing.assert_close(kl, mass * (math.log(46) - entropy), rtol=1e-3, atol=1e-8)
    assert (kl > 1e-4).all()


def test_more_kept_logits_are_closer() -> None:
    rows = logits()
    errors = []
    for k in (1, 10, 49):
        codec = build_codec("topk", k=k)
        errors.append((codec.decode(codec.encode(rows), 50) - rows).square().mean().item())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-6


def test_types_and_sizes() -> None:
    codec = build_codec("topk", k=3)
    for classes, dtype, size in ((2**15, torch.int16, 16), (2**15 + 1, torch.int32, 22)):
        row = torch.zeros(1, classes)
        row[0, -3:] = torch.tensor([3.0, 2.0, 1.0])
        parts = codec.encode(row)
        assert parts["indices"].dtype == dtype
        assert parts["indices"].tolist() == [[classes - 3, classes - 2, classes - 1]]
        assert parts["values"].dtype == torch.float16
        assert parts["rest"].dtype == torch.float32
        assert codec.bytes_per_row(classes) == size
        assert codec.decode(parts, classes)[0, -1] == 1.0


def test_k_must_be_below_the_number_of_classes() -> None:
    codec = build_codec("topk", k=10)
    message = "k = 10 must be below the number of classes, 10"
    with pytest.raises(ConfigError, match=message):
        codec.encode(torch.zeros(2, 10))
    with pytest.raises(ConfigError, match=message):
        codec.bytes_per_row(10)
    with pytest.raises(ConfigError, match=message):
        codec.decode({}, 10)
    with pytest.raises(ConfigError, match=r"TopK\.k.*greater than or equal to 1"):
        build_codec("topk", k=0)


def test_labels_of_another_k_are_refused() -> None:
    parts = build_codec("topk", k=4).encode(logits())
    with pytest.raises(ArtifactError, match=r"'values' must have shape \[6, 5\] for 50 classes, got \[6, 4\]"):
        build_codec("topk", k=5).decode(parts, 50)


def test_kept_values_beyond_float16_are_refused() -> None:
    with pytest.raises(ArtifactError, match="float16 ends at 65504"):
        build_codec("topk", k=1).encode(torch.tensor([[1e5, 0.0]]))


def test_the_bound_is_the_spread_of_a_row() -> None:
    found = build_codec("topk", k=2).error_bound(torch.tensor([[-5.0, 4.0, 3.0], [7.0, 7.0, 7.0]]))
    assert 9 <= found[0] < 9.01
    assert 0 <= found[1] < 0.01


@pytest.mark.parametrize("index", [-1, 50, 2**14])
def test_labels_of_a_class_that_is_none_are_refused(index: int) -> None:
    codec = build_codec("topk", k=2)
    parts = codec.encode(logits())
    parts["indices"][0, 0] = index
    with pytest.raises(ArtifactError, match="name a class that is none of the 50"):
        codec.decode(parts, 50)


def test_without_the_rest_what_is_kept_is_all_there_is() -> None:
    """Marginal re-normalisation (FKD, LPQLD): softmax over the kept classes, nothing for the others."""
    rows = logits()
    codec = build_codec("topk", k=4, rest=False)
    assert codec.bytes_per_row(50) == build_codec("topk", k=4).bytes_per_row(50) - 4
    parts = codec.encode(rows)
    assert parts.keys() == {"values", "indices"}
    found = codec.decode(parts, 50)
    soft = (found.double() / 20).softmax(1)
    for row in range(len(rows)):
        kept = rows[row].topk(4).indices
        torch.testing.assert_close(soft[row, kept], (rows[row, kept].double() / 20).softmax(0), rtol=1e-6, atol=1e-12)
        assert soft[row].sum() - soft[row, kept].sum() < 1e-15
    assert ((found - rows).abs().amax(1) <= codec.error_bound(rows)).all()
    assert found.isfinite().all()
