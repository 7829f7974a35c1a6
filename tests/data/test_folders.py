"""What lies in folders of pictures and what does not become a dataset: every file is taken, counted or refused."""

import json
import os
import re
import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_ins import picture, write_imagenet, write_pictures, write_tiny_imagenet

from sre2l_core import storage
from sre2l_core.data import load
from sre2l_core.data.folders import LeftOut, pictures_in, shown
from sre2l_core.errors import DataError

KINDS = {
    "pictures": "{name}/{n}.png",
    ".gif files": "{name}/{n}.gif",
    ".txt files": "{name}/{n}.txt",
    "hidden files": "{name}/.{n}.png",
    "pictures in folders within class folders": "{name}/more/deep/{n}.jpg",
    "pictures outside class folders": "{n}-{name}.png",
}
"""What a line calls a file -> where it lies."""


def two_classes(root, **more):
    return write_pictures(root, {"cats": 3, "dogs": 3} | more)


@given(st.dictionaries(st.sampled_from(list(KINDS)), st.integers(1, 4)))
def test_every_file_is_taken_or_counted(messy):
    with TemporaryDirectory() as folder:
        root = two_classes(Path(folder))
        for kind, count in messy.items():
            for number in range(count):
                path = root / KINDS[kind].format(name="cats", n=10 + number)
                path.parent.mkdir(parents=True, exist_ok=True)
                picture(path, size=(4, 4), colour=1, mode="L") if path.suffix != ".txt" else path.write_text("words")
        data = load("folder", root)
    taken = messy.pop("pictures", 0)
    assert len(data.train) + len(data.val) == 6 + taken
    counted = {what: int(count) for count, what in re.findall(r"(?:: |, )(\d+) ([^(]+) \(first", " ".join(data.notes))}
    assert counted == messy
    assert len(data.notes) == (1 if messy else 0)


def test_nothing_is_said_where_nothing_is_left_out(tmp_path):
    assert load("folder", two_classes(tmp_path)).notes == load("digits").notes == ()


def test_pictures_beside_a_folder_of_images_are_counted(tmp_path):
    two_classes(tmp_path)
    for name in ("cats", "dogs"):
        write_pictures(tmp_path / name, {"images": 2})
    data = load("folder", tmp_path)
    assert len(data.train) + len(data.val) == 4
    assert data.notes[0].startswith("left out: 6 pictures beside the folder images of their class (first ")


def test_folders_beside_train_and_val_are_counted(tmp_path):
    for part in ("train", "val", "test", "spare"):
        two_classes(tmp_path / part)
    picture(tmp_path / "stray.png")
    data = load("folder", tmp_path)
    assert (len(data.train), len(data.val)) == (6, 6)
    assert "12 pictures outside train/ and the validation folder" in data.notes[0]
    assert "1 pictures outside class folders (first " in data.notes[0]


def test_a_validation_folder_without_class_folders_is_not_passed_over_silently(tmp_path):
    two_classes(tmp_path / "train")
    picture(tmp_path / "val" / "1.png")
    data = load("folder", tmp_path)
    assert (len(data.train), len(data.val)) == (4, 2)
    assert "1 pictures outside train/ and the validation folder" in data.notes[0]


@pytest.mark.parametrize("stream", [False, True])
def test_classes_that_nothing_judges_and_classes_of_one_picture_are_named(tmp_path, stream):
    two_classes(tmp_path / "train", birds=1)
    write_pictures(tmp_path / "val", {"cats": 2, "dogs": 1})
    (tmp_path / "val" / "birds").mkdir()
    notes = load("folder", tmp_path, stream=stream).notes
    assert notes == (
        "no validation images of 1 of 3 classes ('birds'): the accuracy says nothing about them",
        "one training image only of 1 of 3 classes ('birds')",
    )


@pytest.mark.parametrize("parts", [("train", "val"), ("train", "test"), ("train",), ("train", "val", "spare")])
def test_pictures_right_in_train_and_val_do_not_make_two_classes(tmp_path, parts):
    for part in parts:
        picture(tmp_path / part / "1.png")
        picture(tmp_path / part / "2.png")
    with pytest.raises(DataError, match=r"class folder\(s\)|train/cats/1\.jpg beside val/cats/1\.jpg"):
        load("folder", tmp_path)


def test_an_empty_class_folder_says_what_it_holds_instead(tmp_path):
    two_classes(tmp_path)
    picture(tmp_path / "birds" / "spring" / "1.jpg")
    picture(tmp_path / "birds" / "2.gif", mode="L")
    message = "class 'birds' .*left out: 1 .gif files.*1 pictures in folders within class folders.*right into each"
    with pytest.raises(DataError, match=message):
        load("folder", tmp_path)


def test_what_a_run_wrote_among_the_pictures_does_not_become_a_class(tmp_path):
    two_classes(tmp_path)
    storage.write_json(tmp_path / "runs" / "teacher" / storage.REQUEST, {"kind": "teacher"})
    picture(tmp_path / "runs" / "losses.png")
    data = load("folder", tmp_path)
    assert data.spec.classes == ("cats", "dogs")
    assert "1 folders written by this package (first " in data.notes[0]
    (tmp_path / "runs" / "teacher" / storage.REQUEST).write_text('{"answer": 42}')
    assert load("folder", two_classes(tmp_path, runs=2)).spec.classes == ("cats", "dogs", "runs")


HARMLESS = ["$a_{$", "<img src=x onerror=alert(1)>", "-x", "--out", "x" * 200, "日本 語", "naïve", "a b", "'\"&%\\"]


@pytest.mark.parametrize("name", HARMLESS)
def test_a_strange_name_is_a_name(tmp_path, name):
    data = load("folder", two_classes(tmp_path, **{name: 3}))
    assert name in data.spec.classes
    assert json.loads(json.dumps(data.spec.to_json(), ensure_ascii=False).encode("utf-8"))["class_names"]
    assert data.notes == ()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("two\nlines", "control character"),
        ("\x1b[31mred", "control character"),
        (os.fsdecode(b"caf\xe9"), "not UTF-8"),
        ("a\u2028b", "line break"),
    ],
)
def test_a_name_that_no_table_or_json_can_hold_is_refused(tmp_path, name, reason):
    two_classes(tmp_path, **{name: 3})
    with pytest.raises(DataError, match=f"{reason}.*Rename the folder") as error:
        load("folder", tmp_path)
    assert str(error.value).isprintable()
    assert len(load("folder", tmp_path, classes=["cats", "dogs"]).spec.classes) == 2


def test_a_name_too_long_for_the_folder_of_its_condensed_images_is_refused_at_once(tmp_path):
    """Names are at most 255 bytes long on common file systems, and a condensed set writes `00000_` before them."""
    assert "é" * 120 in load("folder", two_classes(tmp_path, **{"é" * 120: 3})).spec.classes
    two_classes(tmp_path, **{"x" * 250: 3})
    with pytest.raises(DataError, match=r"'xxxxxxxxxxxxxxxxxxxx'… .* 250 bytes; 240 at most .*Rename"):
        load("folder", tmp_path)


@pytest.mark.parametrize("other", ["CATS", unicodedata.normalize("NFD", "ñandú")])
def test_names_that_other_systems_take_for_one_are_named(tmp_path, other):
    [note] = load("folder", two_classes(tmp_path, **{other: 3, "ñandú": 3})).notes
    assert ascii(other) in note
    assert "differ only in case or in how Unicode writes them" in note


@given(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=30).filter(lambda t: t not in (".", "..")))
def test_any_path_is_shown_in_one_line(name):
    assert shown(Path("/x", name)).isprintable()
    assert shown("/x/ordinary name.png") == "/x/ordinary name.png"


def test_a_folder_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(DataError, match=r"cannot be listed \(Permission denied\)"):
        pictures_in(tmp_path)


def test_links_that_lead_round_in_circles_are_followed_once(tmp_path):
    two_classes(tmp_path)
    (tmp_path / "cats" / "again").symlink_to(tmp_path)
    (tmp_path / "cats" / "self").symlink_to("self")
    data = load("folder", tmp_path)
    assert len(data.train) + len(data.val) == 6


def test_counting_names_the_first(tmp_path):
    left_out = LeftOut()
    for name in ("b.GIF", "a.gif", "Thumbs.db", "README"):
        left_out.file(tmp_path / name)
    [line] = left_out.notes()
    assert f"2 .gif files (first {tmp_path}/b.GIF)" in line
    assert "1 hidden files" in line
    assert "1 nameless files (first" in line


def test_half_of_a_published_dataset_is_not_taken_for_all_of_it(tmp_path):
    tiny = load("tiny-imagenet", write_tiny_imagenet(tmp_path / "tiny")).notes
    assert len(tiny) == 1
    assert tiny[0].startswith("3 of its 200 classes are there; train pictures are missing: n01 has 3 of 500, ")
    assert "val pictures are missing: n01 has 2 of 50" in tiny[0]
    assert tiny[0].endswith("unpack http://cs231n.stanford.edu/tiny-imagenet-200.zip anew")
    write_imagenet(tmp_path / "net", size=(10, 10))
    [note] = load("imagenette", tmp_path / "net", resolution=8).notes
    assert note.startswith("3 of its 10 classes are there; train pictures are missing: n01440764 has 2 of 963, ")
    assert "n02979186 has 2 of 357" in note
    [note] = load("imagenet-1k", tmp_path / "net", resolution=8, classes=[0, 1]).notes
    assert note.startswith("train pictures are missing: n01440764 has 2 of 732, n02102040 has 2 of 732; val ")


def test_a_whole_class_of_imagenette_needs_no_words(tmp_path):
    for part, counts in {"train": (963, 955), "val": (387, 395)}.items():
        for wnid, count in zip(("n01440764", "n02102040"), counts, strict=True):
            picture(tmp_path / part / wnid / "0.JPEG", size=(4, 4))
            for number in range(1, count):
                os.link(tmp_path / part / wnid / "0.JPEG", tmp_path / part / wnid / f"{number}.JPEG")
    assert load("imagenette", tmp_path, resolution=8, classes=[0, 1]).notes == ()


def test_listed_validation_pictures_that_are_not_there_are_counted(tmp_path):
    home = write_tiny_imagenet(tmp_path)
    for name in ("val_0.JPEG", "val_2.JPEG"):
        (home / "val" / "images" / name).unlink()
    with pytest.raises(DataError, match=r"2 pictures of val_annotations\.txt are not in .*'val_2\.JPEG'.*unpack"):
        load("tiny-imagenet", home)


@pytest.mark.parametrize("name", ["words.txt", "wnids.txt", "val/val_annotations.txt"])
def test_a_list_that_is_not_text_is_named(tmp_path, name):
    home = write_tiny_imagenet(tmp_path)
    (home / name).write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match=f"{name} cannot be read .*unpack"):
        load("tiny-imagenet", home)
