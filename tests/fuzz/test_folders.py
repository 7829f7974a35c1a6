"""Names of folders and text beside them: classes of any name, lists, locks, journals and logs of anything."""

from __future__ import annotations

import shutil
import unicodedata

import pytest
import torch
from fuzzing import TEXTS, answer
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_ins import picture, write_tiny_imagenet

from sre2l_core import locks, storage
from sre2l_core.artifacts import CondensedSet
from sre2l_core.data import load
from sre2l_core.events import CsvLog, StepEvent
from sre2l_core.runs.inspect import describe

ANY_NAME = TEXTS | st.text(st.characters(exclude_categories=()), min_size=1, max_size=8)
NAMES = ANY_NAME.filter(lambda name: name not in ("", ".", "..") and len(name) < 60 and not set(name) & {"/", "\0"})
FEW = settings(max_examples=max(10, settings().max_examples // 4))


def make(root, names):
    """Class folders of three pictures each; those that the file system takes."""
    made = []
    for name in names:
        try:
            for index in range(3):
                picture(root / name / f"{index}.png", size=(9, 9))
            made.append(name)
        except (OSError, UnicodeError):
            shutil.rmtree(root / name, ignore_errors=True)
    return made


@FEW
@given(st.sets(NAMES, min_size=1, max_size=3))
def test_names_of_classes(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("names")
    made = make(root / "data", {*names, "cats", "dogs"})
    expected = sorted(name for name in made if not name.startswith((".", "__")))

    def kept():
        data = load("folder", root / "data")
        images = torch.zeros(len(expected), 3, 9, 9, dtype=torch.uint8)
        CondensedSet(images, torch.arange(len(expected)), data.spec).save(root / "set")
        shown = "\n".join(describe(root / "set"))
        assert not any(unicodedata.category(letter) == "Cc" for letter in shown.replace("\n", ""))
        return CondensedSet.load(root / "set").spec

    answer("folders", kept, right=lambda spec: list(spec.classes) == expected)


LINES = st.text(st.sampled_from("n0123\t\n ,.x/JPEGval_é"), max_size=80).map(str.encode) | st.binary(max_size=60)


@FEW
@given(st.sampled_from(["wnids.txt", "words.txt", "val/val_annotations.txt"]), LINES)
def test_lists_of_tiny_imagenet(tmp_path_factory, name, text):
    home = write_tiny_imagenet(tmp_path_factory.mktemp("lists") / "tiny-imagenet")
    (home / name).write_bytes(text)

    def right(data):
        return (
            set(data.spec.classes) <= {"n01", "n02", "n03"}
            and len(data.val) > 0
            and all(unicodedata.category(c) != "Cs" for n in data.spec.class_names for c in n)
        )

    answer("folders", lambda: load("tiny-imagenet", home), "tiny-imagenet", right=right)


@FEW
@given(st.binary(max_size=60) | st.sampled_from([b"1\nhost\n", b"-1\n\n", b"99999999999\nx\n"]))
def test_a_lock_of_anything(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("lock")
    (folder / storage.LOCK).write_bytes(text)

    def held():
        with locks.held(folder):
            return True

    answer("folders", held, str(folder), storage.LOCK)


@FEW
@given(st.binary(max_size=200) | st.text("0af \n", max_size=200).map(str.encode))
def test_a_journal_of_anything(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("journal") / "work"
    folder.mkdir()
    storage.write_json(folder / storage.REQUEST, {"kind": "score", "how": {}})
    (folder / storage.PIECES).write_bytes(text)

    def gone_on():
        with storage.claimed(folder, "score", {}, {}) as work:
            was_there = work.has("a.txt")
            work.write("a.txt", lambda path: path.write_text("a"))
            work.finish({})
            return was_there

    answer("folders", gone_on, right=lambda was_there: not was_there and storage.verify(folder) == 1)


@given(st.binary(max_size=200) | st.text('stage,noe ep"\r\n1\0', max_size=200).map(str.encode))
def test_a_log_of_anything(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("log") / "log.csv"
    path.write_bytes(text)

    def logged():
        log = CsvLog(path, every=1)
        for step in (1, 2):
            log(StepEvent("squeeze", step, 2, {"loss": 0.5}))
        return path.read_bytes().decode()

    answer("folders", logged, right=lambda log: log.endswith("squeeze,,1,loss,0.5\r\nsqueeze,,2,loss,0.5\r\n"))


@pytest.mark.parametrize("name", ["\udcff", "a" * 300, "/" * 5000, "\0", "\n", "", "x" * 1000])
def test_an_out_that_is_no_name(tmp_path, name):
    def held():
        with storage.claimed(f"{tmp_path}/{name}", "score", {}, {}) as work:
            work.finish({})
            return storage.verify(work.folder) == 0

    answer("folders", held, right=bool)
