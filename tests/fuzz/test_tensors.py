"""Tensor files with a hash that fits and content that does not: other types, shapes, values, names, or cut off."""

from __future__ import annotations

import shutil

import pytest
import torch
from fuzzing import answer
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from sre2l_core import files, storage
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RecoverConfig, RelabelConfig, SqueezeConfig
from sre2l_core.data import decode
from sre2l_core.stages.labels import SoftLabels
from sre2l_core.stages.recover import recover
from sre2l_core.stages.relabel import relabel
from sre2l_core.stages.squeeze import squeeze

DTYPES = [torch.uint8, torch.int64, torch.bool, torch.float16, torch.bfloat16, torch.float32, torch.float64]
CHANGES = {
    "type": lambda tensor, draw: tensor.to(draw(st.sampled_from(DTYPES))),
    "rows": lambda tensor, draw: tensor.flatten()[: draw(st.integers(0, 9))],
    "more": lambda tensor, draw: torch.cat([tensor[None], tensor[None]]),
    "value": lambda tensor, draw: torch.full_like(tensor.float(), draw(st.sampled_from([torch.nan, torch.inf, -1e30]))),
    "same type": lambda tensor, draw: torch.full(tensor.shape, draw(st.sampled_from([0, 1, 100, -100]))).to(
        tensor.dtype
    ),
    "last": lambda tensor, draw: torch.cat([tensor.flatten()[:-1], torch.tensor([torch.nan])]).view(tensor.shape),
}
FEW = settings(max_examples=max(10, settings().max_examples // 4))


@st.composite
def tensors(draw, whole):
    """The same tensors, but for one of them."""
    name = draw(st.sampled_from(sorted(whole)))
    what = draw(st.sampled_from([*CHANGES, "gone", "more names"]))
    if what == "gone":
        return {other: tensor for other, tensor in whole.items() if other != name}
    if what == "more names":
        return {**whole, draw(st.text(st.characters(codec="utf-8"), max_size=5)): torch.zeros(2)}
    return {**whole, name: CHANGES[what](whole[name], draw).contiguous()}


@st.composite
def content(draw, whole):
    """Bytes of a tensor file."""
    made = save(draw(tensors(whole)), {"notes": "{}"})
    return made if draw(st.integers(0, 5)) else made[: draw(st.integers(0, len(made)))]


def put(folder, name, text):
    """Replace a file, and its hash in the manifest."""
    (folder / name).write_bytes(text)
    manifest = files.read_json(folder / storage.MANIFEST)
    manifest["files"][name] = files.sha256_of(folder / name)
    files.write_json(folder / storage.MANIFEST, manifest)


@given(st.data())
def test_weights(run, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("weights") / "teacher"
    shutil.copytree(run / "teacher", folder)
    whole = files.read_tensors(folder / "weights.safetensors")
    put(folder, "weights.safetensors", data.draw(content(whole)))

    def right(teacher):
        state = teacher.net.state_dict()
        stored = files.read_tensors(folder / "weights.safetensors")
        return all(tensor.isfinite().all() and tensor.equal(stored[name]) for name, tensor in state.items())

    answer("tensor files", lambda: Teacher.load(folder), "weights.safetensors", right=right)


@FEW
@given(st.data(), st.sampled_from(["fp16", "int8", "topk"]))
def test_labels(run, tmp_path_factory, cpu, data, codec):
    folder, name = tmp_path_factory.mktemp("labels") / "labels", "labels/epoch_00000.safetensors"
    options = {"k": 1} if codec == "topk" else {}
    teacher, condensed = Teacher.load(run / "teacher"), CondensedSet.load(run / "condensed")
    relabel(teacher, condensed, RelabelConfig(epochs=1, codec=codec, codec_options=options), runtime=cpu, out=folder)
    put(folder, name, data.draw(content(files.read_tensors(folder / name))))

    def logits():
        return SoftLabels.load(folder).logits(0, torch.arange(4))

    answer("tensor files", logits, right=lambda made: made.shape == (4, 2) and bool(made.isfinite().all()))


@settings(max_examples=max(5, settings().max_examples // 12))
@given(st.data(), st.sampled_from([squeeze, recover]))
def test_a_saved_state(tmp_path_factory, tiny_data, tiny_teacher, cpu, data, stage):
    """Sealed: one that is not what was written is left aside, and the work ends as if there had been none."""
    folder = tmp_path_factory.mktemp("state") / "work"
    options = {"depth": 2, "width": 8}
    source, config = tiny_data, SqueezeConfig(backbone="convnet", backbone_options=options, epochs=2, batch_size=32)
    if stage is recover:
        source, config = tiny_teacher, RecoverConfig(ipc=1, steps=3)

    def stop(event):
        if event.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stage(source, config, runtime=cpu, out=folder, on_step=stop)
    path = folder / storage.PROGRESS
    path.write_bytes(data.draw(content(files.read_tensors(path)) | st.binary(max_size=40)))
    made = answer("tensor files", lambda: stage(source, config, runtime=cpu, out=folder))
    assert made.id == stage(source, config, runtime=cpu).id


@given(st.data())
def test_decoded_pictures_that_were_kept(tmp_path_factory, data):
    cache = tmp_path_factory.mktemp("cache") / "x.safetensors"
    cache.write_bytes(
        data.draw(content({"images": torch.zeros(3, 3, 4, 4, dtype=torch.uint8), "kept": torch.arange(3)}))
    )

    def right(stored):
        images, kept = stored or (torch.zeros(0, 3, 4, 4, dtype=torch.uint8), torch.arange(0))
        return images.dtype == torch.uint8 and len(images) == len(kept) <= 3 and images.shape[1:] == (3, 4, 4)

    answer("tensor files", lambda: decode._read_cache(cache, 4), right=right)
