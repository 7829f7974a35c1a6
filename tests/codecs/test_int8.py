from __future__ import annotations

import pytest
import torch

from sre2l_core.codecs import build_codec
from sre2l_core.errors import ArtifactError


def test_codes_by_hand() -> None:
    parts = build_codec("int8").encode(torch.tensor([[-51.0, 0.0, 204.0, 10.4], [7.0, 7.0, 7.0, 7.0]]))
    assert parts["scale"].tolist() == [1.0, 0.0]
    assert parts["offset"].tolist() == [-51.0, 7.0]
    assert parts["codes"].tolist() == [[0, 51, 255, 61], [0, 0, 0, 0]]
    assert parts["codes"].dtype == torch.uint8


def test_constant_rows_are_bitwise_exact() -> None:
    logits = torch.tensor([[0.1] * 5, [-3e38] * 5])
    codec = build_codec("int8")
    assert torch.equal(codec.decode(codec.encode(logits), 5), logits)


def test_small_spread_far_from_zero_keeps_its_steps() -> None:
    logits = 10_000 + torch.arange(256)[None] / 128  # exact in float32
    codec = build_codec("int8")
    torch.testing.assert_close(codec.decode(codec.encode(logits), 256), logits, rtol=0, atol=2**-10)


def test_a_spread_beyond_float32_is_refused() -> None:
    with pytest.raises(ArtifactError, match="further apart than float32"):
        build_codec("int8").encode(torch.tensor([[-3e38, 3e38]]))


def test_half_the_size_of_fp16() -> None:
    assert build_codec("int8").bytes_per_row(1000) == 1008


def test_the_bound_is_half_a_step() -> None:
    found = build_codec("int8").error_bound(torch.tensor([[-51.0, 204.0, 3.0], [7.0, 7.0, 7.0]]))
    assert 0.5 <= found[0] < 0.501
    assert 0 <= found[1] < 1e-5
