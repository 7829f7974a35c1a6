"""What every codec promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from sre2l_core.codecs import Codec, build_codec
from sre2l_core.errors import ArtifactError, ConfigError
from sre2l_core.registry import catalogue

NAMES = sorted(catalogue("codecs"))
CASES: list[tuple[str, dict[str, Any]]] = [*((name, {}) for name in NAMES), ("topk", {"k": 1, "temperature": 1.0})]
SOME = settings(max_examples=40, deadline=None)
T = 20.0

codecs = pytest.mark.parametrize(
    "codec", [build_codec(n, **o) for n, o in CASES], ids=[f"{n}{o or ''}" for n, o in CASES]
)


def matrices(bound: float) -> st.SearchStrategy[Tensor]:
    shapes = st.tuples(st.integers(0, 5), st.integers(6, 40))
    values = st.floats(-bound, bound, width=32)
    return shapes.flatmap(lambda shape: arrays(np.float32, shape, elements=values)).map(torch.from_numpy)


def kl(logits: Tensor, stored: Tensor) -> Tensor:
    """KL divergence of the labels from the exact ones at T = 20, per row, in float64."""
    exact, found = ((x.double() / T).log_softmax(1) for x in (logits, stored))
    return (exact.exp() * (exact - found)).sum(1)


@codecs
@SOME
@given(logits=matrices(100))
def test_a_codec_that_calls_itself_exact_loses_no_more_than_half_precision(codec: Codec, logits: Tensor) -> None:
    lost = (codec.decode(codec.encode(logits), logits.shape[1]).double() - logits).abs()
    assert codec.lossy or (lost <= logits.abs().double() * 2**-11 + 2**-25).all()


@codecs
@SOME
@given(logits=matrices(100))
def test_round_trip(codec: Codec, logits: Tensor) -> None:
    untouched = logits.clone()
    parts = codec.encode(logits)
    decoded = codec.decode(parts, logits.shape[1])
    assert decoded.shape == logits.shape
    assert decoded.dtype == torch.float32
    assert decoded.isfinite().all()
    assert torch.equal(logits, untouched)
    bound = codec.error_bound(logits)
    assert bound.shape == logits.shape[:1]
    assert ((decoded.double() - logits).abs() <= bound[:, None]).all()


@codecs
@SOME
@given(logits=matrices(100))
def test_labels_at_temperature_20_stay_close(codec: Codec, logits: Tensor) -> None:
    decoded = codec.decode(codec.encode(logits), logits.shape[1])
    # Moving every logit by up to e changes the distribution by KL <= (e / T)^2 / 2, half the largest possible variance.
    assert (kl(logits, decoded) <= (codec.error_bound(logits) / T).double() ** 2 / 2 + 1e-9).all()


@codecs
@SOME
@given(logits=matrices(100), data=st.data())
def test_rows_can_be_sliced_and_reordered(codec: Codec, logits: Tensor, data: st.DataObject) -> None:
    parts = codec.encode(logits)
    assert all(len(part) == len(logits) for part in parts.values())
    rows = data.draw(st.permutations(range(len(logits)))) if len(logits) else []
    chosen = torch.tensor(rows, dtype=torch.long)[: len(rows) // 2 + 1]
    classes = logits.shape[1]
    picked = codec.decode({name: part[chosen] for name, part in parts.items()}, classes)
    assert torch.equal(picked, codec.decode(parts, classes)[chosen])
    assert torch.equal(picked, codec.decode(codec.encode(logits[chosen]), classes))


@codecs
@pytest.mark.parametrize("classes", [6, 200, 1000, 32_768, 32_769])
def test_bytes_per_row_are_those_stored(codec: Codec, classes: int) -> None:
    logits = torch.randn(3, classes, generator=torch.Generator().manual_seed(0))
    stored = sum(part.numel() * part.element_size() for part in codec.encode(logits).values())
    assert stored == 3 * codec.bytes_per_row(classes)


@codecs
@pytest.mark.parametrize("classes", [6, 200, 1000, 32_768, 32_769])
def test_no_logit_overtakes_the_largest(codec: Codec, classes: int) -> None:
    logits = torch.randn(3, classes, generator=torch.Generator().manual_seed(0))
    decoded = codec.decode(codec.encode(logits), classes)
    assert torch.equal(decoded.gather(1, logits.argmax(1)[:, None])[:, 0], decoded.amax(1))


@codecs
def test_constant_rows_are_exact(codec: Codec) -> None:
    logits = torch.tensor([0.0, 1.5, -8.0])[:, None].repeat(1, 10)
    torch.testing.assert_close(codec.decode(codec.encode(logits), 10), logits, rtol=1e-5, atol=2e-5)


@codecs
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_any_floating_type_is_taken_and_no_graph_is_kept(codec: Codec, dtype: torch.dtype) -> None:
    logits = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    parts = codec.encode(logits.clone().requires_grad_())
    assert not any(part.requires_grad for part in parts.values())
    plain = codec.encode(logits.float())
    assert all(torch.equal(parts[name], plain[name]) for name in plain)


@codecs
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(codec: Codec, value: float) -> None:
    logits = torch.zeros(4, 10)
    logits[2, 3] = value
    with pytest.raises(ArtifactError, match=rf"{codec.name}: logits hold 1 values that are not finite.*row 2"):
        codec.encode(logits)


@codecs
def test_wrong_shapes_are_refused(codec: Codec) -> None:
    with pytest.raises(ArtifactError, match=r"must be \[N, C\], got shape \[10\]"):
        codec.encode(torch.zeros(10))
    parts = codec.encode(torch.zeros(4, 10))
    first = sorted(parts)[0]
    with pytest.raises(ArtifactError, match=f"labels consist of .*{first}"):
        codec.decode({name: part for name, part in parts.items() if name != first}, 10)
    with pytest.raises(ArtifactError, match="must have shape"):
        codec.decode({name: part[:, None] for name, part in parts.items()}, 10)


@codecs
def test_a_codec_is_rebuilt_from_its_json(codec: Codec) -> None:
    assert build_codec(codec.name, **json.loads(json.dumps(codec.options))) == codec


@pytest.mark.parametrize("name", NAMES)
def test_the_catalogue_uses_the_codecs_own_name(name: str) -> None:
    assert build_codec(name).name == name


BF16 = """
from sre2l_core.codecs import Codec

class BFloat16(Codec):
    name = "bf16"

    def bytes_per_row(self, num_classes):
        return 2 * num_classes

    def error_bound(self, logits):
        return logits.float().abs().amax(1) * 2**-8 + 2**-133

    def _encode(self, rows):
        return {"logits": rows.bfloat16()}

    def _decode(self, parts, num_classes):
        return parts["logits"].float()

    def _widths(self, num_classes):
        return {"logits": num_classes}

PLUGINS = {"bf16": BFloat16}
"""


def test_a_coarser_codec_is_a_plug_in_of_one_file_and_held_to_its_own_bound(tmp_path: Path) -> None:
    """The whole contract of two codecs in a folder beside the package's own; one promises more than it keeps."""
    (tmp_path / "bf16.py").write_text(BF16)
    (tmp_path / "boaster.py").write_text(BF16.replace("bf16", "boaster").replace("2**-8", "2**-11"))
    program = (
        f"import sys, pytest, sre2l_core.codecs; sre2l_core.codecs.__path__.append({str(tmp_path)!r}); "
        f"pytest.main([{__file__!r}, '-k', '(bf16 or boaster) and not plug_in', '-p', 'no:cacheprovider', '-rfp'])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    lines = {word: [line for line in said.splitlines() if line.startswith(word)] for word in ("PASSED", "FAILED")}
    assert sum("bf16" in line for line in lines["PASSED"]) > 15
    assert any("test_round_trip[boaster]" in line for line in lines["FAILED"])
    assert all("boaster" in line for line in lines["FAILED"])


def test_unknown_names_and_options_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown codec 'fp17'\. Did you mean 'fp16'"):
        build_codec("fp17")
    with pytest.raises(ConfigError, match=r"'temperatur'\. Did you mean 'temperature'"):
        build_codec("topk", temperatur=1)
