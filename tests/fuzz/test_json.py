"""JSON that strangers wrote: every manifest and request, changed anywhere and sealed again, or damaged as bytes."""

from __future__ import annotations

import copy
import shutil

import pytest
import torch
from fuzzing import NONSENSE, answer
from hypothesis import given, settings
from hypothesis import strategies as st

from sre2l_core import files, storage
from sre2l_core.artifacts import CondensedSet, Score, Teacher
from sre2l_core.config import RecoverConfig
from sre2l_core.data.folders import written_here
from sre2l_core.runs.inspect import describe
from sre2l_core.runs.store import Store
from sre2l_core.stages.labels import SoftLabels
from sre2l_core.stages.recover import replay

LOADERS = {"teacher": Teacher.load, "condensed": CondensedSet.load, "labels": SoftLabels.load, "score": Score.load}
PARTS = st.sampled_from(sorted(LOADERS))
FEW = settings(max_examples=max(10, settings().max_examples // 2))


def places(tree, path=()):
    """Every place in a JSON object, as the keys that lead there."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def changes(draw, content):
    """The same object with something missing, other, or more, anywhere in it."""
    changed = copy.deepcopy(content)
    *before, last = draw(st.sampled_from(list(places(content))))
    inner = changed
    for key in before:
        inner = inner[key]
    if draw(st.booleans()):
        del inner[last]
    else:
        near = st.sampled_from([*inner.values()] if isinstance(inner, dict) else inner)
        inner[last] = draw(NONSENSE | near)
    return changed


def used(folder, load):
    """What is done with an artifact: loaded and described."""
    made = load(folder)
    assert list(describe(folder))
    return made.logits(0, torch.arange(made.num_images)) if isinstance(made, SoftLabels) else made


@given(st.data(), PARTS)
def test_a_manifest_that_a_stranger_sealed(run, tmp_path_factory, data, part):
    folder = tmp_path_factory.mktemp("strange") / part
    shutil.copytree(run / part, folder)
    content = files.read_json(folder / storage.MANIFEST)
    changed = data.draw(changes(content))
    answer("JSON files", lambda: files.write_json(folder / storage.MANIFEST, changed))
    answer("JSON files", lambda: used(folder, LOADERS[part]))


@given(st.data(), PARTS)
def test_a_request_that_a_stranger_sealed(run, tmp_path_factory, data, part):
    folder = tmp_path_factory.mktemp("strange") / part
    content = files.read_json(run / part / storage.MANIFEST)["request"]
    how = {"precision": "fp32", "device": "cpu"}
    folder.mkdir()
    changed = data.draw(changes({**content, "how": how}))
    answer("JSON files", lambda: files.write_json(folder / storage.REQUEST, changed))
    answer("JSON files", lambda: list(describe(folder)))
    (folder / storage.PROGRESS).write_bytes(b"some")

    def begun():
        asked = {name: value for name, value in content.items() if name != "kind"}
        with storage.claimed(folder, content["kind"], asked, how) as work:
            return work.finished

    same = {name: value for name, value in changed.items() if name != "how"} == content
    answer("JSON files", begun, right=lambda finished: same and not finished)


SPOILT = {
    "nothing": lambda text: b"",
    "cut": lambda text: text[: len(text) // 2],
    "deep": lambda text: b"[" * 100_000,
    "twice": lambda text: text.replace(b'"kind"', b'"kind": "x", "kind"', 1),
    "not UTF-8": lambda text: text.replace(b'"kind"', b'"k\xffnd"'),
    "BOM": lambda text: b"\xef\xbb\xbf" + text,
    "UTF-16": lambda text: text.decode().encode("utf-16"),
    "a list": lambda text: b"[" + text + b"]",
    "nan": lambda text: text.replace(b'"kind"', b'"x": NaN, "kind"'),
    "long number": lambda text: b'{"format": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("part", LOADERS)
def test_text_that_nobody_sealed(run, tmp_path, part, how):
    shutil.copytree(run / part, tmp_path / part)
    path = tmp_path / part / storage.MANIFEST
    path.write_bytes(SPOILT[how](path.read_bytes()))
    answer("JSON files", lambda: LOADERS[part](path.parent), storage.MANIFEST, "Delete", right=lambda made: False)
    answer("JSON files", lambda: list(describe(path.parent)), storage.MANIFEST, right=lambda made: False)
    assert answer("JSON files", lambda: written_here(path.parent)) is False


@given(st.data(), st.binary(max_size=60), PARTS)
def test_bytes_for_a_manifest(run, tmp_path_factory, data, noise, part):
    folder = tmp_path_factory.mktemp("noise") / part
    shutil.copytree(run / part, folder)
    whole = (folder / storage.MANIFEST).read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    changed = whole[:start] + noise + whole[start + data.draw(st.integers(0, 60)) :]
    (folder / storage.MANIFEST).write_bytes(changed)
    answer("JSON files", lambda: used(folder, LOADERS[part]), storage.MANIFEST, right=lambda made: changed == whole)


@FEW
@given(st.data(), st.binary(max_size=40))
def test_the_mark_of_a_store_of_runs(tmp_path_factory, data, noise):
    folder = tmp_path_factory.mktemp("store")
    content = data.draw(st.dictionaries(st.sampled_from(["format", "kind"]), NONSENSE))
    answer("JSON files", lambda: files.write_json(folder / "store.json", content))
    answer(
        "JSON files",
        lambda: Store(folder),
        "store",
        right=lambda _: not (folder / "store.json").exists() or content["format"] == 1,
    )
    (folder / "store.json").write_bytes(noise)
    answer("JSON files", lambda: Store(folder), "store.json", right=lambda store: False)


CHANGE = st.fixed_dictionaries(
    {"step": NONSENSE, "field": st.sampled_from(["lr", "alpha_bn", "x"]) | NONSENSE, "new": NONSENSE}
)


@given(st.lists(CHANGE | NONSENSE, max_size=2))
def test_the_changes_of_a_session(run, cpu, changes):
    teacher = Teacher.load(run / "teacher")
    config = RecoverConfig(ipc=1, steps=2)
    answer(
        "JSON files",
        lambda: replay.replay(teacher, config, changes, runtime=cpu),
        right=lambda made: made.done or bool(changes),
    )
