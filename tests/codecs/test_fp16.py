from __future__ import annotations

import numpy as np
import pytest
import torch

from sre2l_core.codecs import build_codec
from sre2l_core.errors import ArtifactError


def test_values_are_numpys_half_floats() -> None:
    logits = torch.linspace(-30, 30, 1001)[None]
    found = build_codec("fp16").encode(logits)["logits"].numpy()
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, logits.numpy().astype(np.float16))


@pytest.mark.parametrize("value", [65_504.5, -65_505.0, 70_000.0])
def test_values_beyond_the_type_are_refused(value: float) -> None:
    with pytest.raises(ArtifactError, match="float16 ends at 65504"):
        build_codec("fp16").encode(torch.tensor([[0.0, value]]))


def test_the_largest_values_pass() -> None:
    logits = torch.tensor([[65_504.0, -65_504.0]])
    codec = build_codec("fp16")
    assert torch.equal(codec.decode(codec.encode(logits), 2), logits)


def test_size_is_that_of_the_reference() -> None:
    assert build_codec("fp16").bytes_per_row(1000) == 2000


def test_the_bound_is_half_a_unit_in_the_last_place() -> None:
    logits = torch.tensor([[1.0, -40.0], [0.0, 2.0**-26]])
    expected = [40 * 2**-11 + 2**-25, 2**-37 + 2**-25]
    torch.testing.assert_close(build_codec("fp16").error_bound(logits), torch.tensor(expected))
