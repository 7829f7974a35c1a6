"""Folders of artifacts: one request, one writer, pieces that are whole, nothing certified that was not checked."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import threading

import pytest
import torch

from sre2l_core import files, storage
from sre2l_core.errors import ArtifactError, InUseError

HOW = {"precision": "fp32", "device": "cpu", "torch": "2"}


def claim(folder, request, *, kind="score", how=HOW, **options):
    """What a stage does first: claim; returns whether it is finished."""
    with storage.claimed(folder, kind, request, how, **options) as work:
        return work.finished


def make(folder, request, pieces=("a/x", "y"), *, finish=True, **options):
    """A stage that writes some pieces and counts those it had to make."""
    made = []
    with storage.claimed(folder, "score", request, options.pop("how", HOW), **options) as work:
        if not work.finished:
            for name in pieces:
                if not work.has(name):
                    made.append(name)
                    work.write(name, lambda path, name=name: path.write_text(f"the content of {name}"))
            if finish:
                work.finish({"rows": []})
    return made


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_folder_is_claimed_for_one_request(tmp_path):
    out, asked = tmp_path / "run", {"config": {"seed": 0, "betas": (0.5, 0.9)}}
    assert claim(out, asked) is False
    make(out, asked, finish=False)
    assert claim(out, asked) is False
    with pytest.raises(
        ArtifactError, match=r"holds another run: config\.seed is 0 there, 1 now\. Choose another --out"
    ):
        claim(out, {"config": {"seed": 1, "betas": (0.5, 0.9)}})
    with pytest.raises(ArtifactError, match="kind is 'score' there, 'teacher' now"):
        claim(out, asked, kind="teacher")
    assert make(out, asked) == []
    assert claim(out, asked) is True
    with pytest.raises(ArtifactError, match=r"config\.seed is 0 there, 1 now"):
        claim(out, {"config": {"seed": 1, "betas": (0.5, 0.9)}})


def test_a_claim_without_work_gives_way(tmp_path):
    claim(tmp_path / "run", {"seed": 0})
    (tmp_path / "run" / ".students.json.partial").write_text("{")
    assert claim(tmp_path / "run", {"seed": 1}) is False
    assert storage.read_json(tmp_path / "run" / storage.REQUEST) == {"kind": "score", "seed": 1, "how": HOW}
    assert names(tmp_path / "run") == [storage.REQUEST]


def test_a_foreign_folder_or_file_is_refused_and_left_alone(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for name in ("folder", "file"):
        with pytest.raises(ArtifactError, match="was not made by this package"):
            claim(tmp_path / name, {})
    assert names(tmp_path) == ["file", "folder/thesis.tex"]
    assert claim(tmp_path / "empty", {}) is False


def test_two_never_work_in_one_folder(tmp_path):
    with storage.claimed(tmp_path, "score", {"seed": 0}, HOW):
        for request in ({"seed": 0}, {"seed": 7}):
            with pytest.raises(
                InUseError, match=r"is in use: this very process on .* works there since 20.*--wait.*\.lock"
            ):
                claim(tmp_path, request)
    assert claim(tmp_path, {"seed": 7}) is False
    assert storage.LOCK not in names(tmp_path)


def test_another_process_is_named_and_waited_for(tmp_path):
    program = (
        "import sys; from sre2l_core import storage\n"
        "with storage.held(storage.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], **pipes) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InUseError, match=rf"process {other.pid} on {os.uname().nodename} works there since"):
            claim(tmp_path, {})
        assert f"process {other.pid} on" in storage.holder(tmp_path)
        other.stdin.close()
        assert claim(tmp_path, {}, wait=True) is False
    assert storage.holder(tmp_path) == ""


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    program = (
        "import os, sys; from sre2l_core import storage\nwith storage.held(storage.Path(sys.argv[1])): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode == 9
    assert (tmp_path / storage.LOCK).exists()
    assert claim(tmp_path, {}) is False


@pytest.mark.parametrize("wait", [False, True])
def test_a_lock_that_nobody_signed_is_taken_over(tmp_path, wait):
    """Of a process killed between making the file and writing its number into it."""
    (tmp_path / storage.LOCK).touch()
    assert claim(tmp_path, {}, wait=wait) is False
    assert not list(tmp_path.glob(".lock*"))


def test_a_lock_that_is_being_signed_is_left_alone(tmp_path):
    (tmp_path / storage.LOCK).touch()
    threading.Timer(0.5, (tmp_path / storage.LOCK).write_text, ["77\nelsewhere\n"]).start()
    with pytest.raises(InUseError, match="process 77 on elsewhere"):
        claim(tmp_path, {})
    assert (tmp_path / storage.LOCK).read_text() == "77\nelsewhere\n"


def test_the_lock_of_another_machine_is_named_and_may_be_deleted(tmp_path):
    (tmp_path / storage.LOCK).write_text("77\nelsewhere\n")
    with pytest.raises(InUseError, match=rf"process 77 on elsewhere .* delete {tmp_path / storage.LOCK}"):
        claim(tmp_path, {})
    (tmp_path / storage.LOCK).unlink()
    assert claim(tmp_path, {}) is False


@pytest.mark.parametrize(
    ("name", "there", "now", "advice"),
    [
        ("precision", "bf16", "fp32", "--precision bf16"),
        ("device", "cuda (A)", "cpu", r"--device cuda \(A\)"),
        ("torch", "2.14", "2.15", r"torch 2\.14"),
        ("images_per_pass", 8, 16, "the same version of the package"),
    ],
)
def test_unfinished_work_goes_on_only_in_the_same_way(tmp_path, name, there, now, advice):
    make(tmp_path, {}, ["x"], finish=False, how={**HOW, name: there})
    with pytest.raises(
        ArtifactError, match=rf"{name} is {re.escape(repr(there))} there, {now!r} now.*go on with {advice}"
    ):
        make(tmp_path, {}, how={**HOW, name: now})
    assert make(tmp_path, {}, how={**HOW, name: there}) == ["a/x", "y"]
    assert claim(tmp_path, {}, how={**HOW, name: now}) is True  # to look at it needs no machine like the one before
    assert storage.read_manifest(tmp_path)["how"] == {**HOW, name: there}


def test_what_nobody_asked_for_goes_on_as_it_began(tmp_path):
    make(tmp_path, {}, ["x"], finish=False, how={**HOW, "images_per_pass": 8})
    with storage.claimed(tmp_path, "score", {}, {**HOW, "images_per_pass": 16}, adopt=("images_per_pass",)) as work:
        assert work.how["images_per_pass"] == 8


def flip(path):
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


DAMAGE = {
    "flipped": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "emptied": lambda path: path.write_bytes(b""),
    "deleted": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_piece_is_made_again_and_not_certified(tmp_path, damage):
    make(tmp_path, {}, finish=False)
    DAMAGE[damage](tmp_path / "y")
    assert make(tmp_path, {}) == ["y"]
    assert storage.verify(tmp_path) == 2
    assert (tmp_path / "y").read_text() == "the content of y"


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_of_a_finished_artifact_is_named_and_remade_once_it_is_deleted(tmp_path, damage):
    make(tmp_path, {})
    DAMAGE[damage](tmp_path / "a" / "x")
    with pytest.raises(ArtifactError, match=r"a/x is (damaged|missing).*Delete it and run .*validate --out .* anew"):
        storage.read_manifest(tmp_path).piece("a/x").checked()
    with pytest.raises(ArtifactError, match="missing, altered or added since it was finished: a/x"):
        storage.verify(tmp_path)
    (tmp_path / "a" / "x").unlink(missing_ok=True)
    assert make(tmp_path, {}) == ["a/x"]
    assert storage.verify(tmp_path) == 2


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied"])
@pytest.mark.parametrize("name", [storage.REQUEST, storage.MANIFEST])
def test_a_damaged_request_or_manifest_stops_by_name(tmp_path, name, damage):
    make(tmp_path, {}, finish=name == storage.MANIFEST)
    DAMAGE[damage](tmp_path / name)
    with pytest.raises(ArtifactError, match=rf"{name} .*Delete the folder {tmp_path} and run the command"):
        make(tmp_path, {})


def test_a_pipe_in_the_place_of_a_piece_is_not_waited_for(tmp_path):
    make(tmp_path, {})
    (tmp_path / "y").unlink()
    os.mkfifo(tmp_path / "y")
    with pytest.raises(ArtifactError, match="y is missing or cannot be read"):
        storage.read_manifest(tmp_path).piece("y").checked()


def test_without_its_request_unfinished_work_belongs_to_nobody(tmp_path):
    make(tmp_path / "pieces", {}, finish=False)
    (tmp_path / "pieces" / storage.REQUEST).unlink()
    with pytest.raises(ArtifactError, match="was not made by this package"):
        claim(tmp_path / "pieces", {"seed": 7})
    with storage.claimed(tmp_path / "state", "score", {"seed": 0}, HOW) as work:
        work.save_state({"x": torch.zeros(2)}, {"step": 1})
    (tmp_path / "state" / storage.REQUEST).unlink()
    with pytest.raises(
        ArtifactError, match=r"request\.json is missing: nobody can tell what was asked\. Delete the folder"
    ):
        claim(tmp_path / "state", {"seed": 7})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (storage.MANIFEST, r"artifact\.json cannot be read \(it is a pipe, not a file\)\. Delete the folder"),
        (storage.REQUEST, r"request\.json cannot be read \(it is a pipe"),
        (storage.PIECES, r"not its own: a/x, y\. Move that away .*pieces\.sha256 does not list it"),
        (storage.LOCK, "is in use: somebody works there"),
    ],
)
def test_a_pipe_in_the_place_of_what_is_kept_beside_the_pieces_is_not_waited_for(tmp_path, name, message):
    make(tmp_path, {}, finish=name == storage.MANIFEST)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(ArtifactError, match=message):
        make(tmp_path, {})


@pytest.mark.parametrize("name", [storage.MANIFEST, storage.REQUEST])
def test_a_folder_that_lost_what_it_is_says_so(tmp_path, name):
    make(tmp_path, {}, finish=name == storage.MANIFEST)
    (tmp_path / name).unlink()
    with pytest.raises(ArtifactError, match=rf"neither .*{name}.*if that was lost, delete the folder and run"):
        make(tmp_path, {})


@pytest.mark.parametrize("cut", [1, 30])
def test_a_note_that_a_crash_cut_off_says_nothing_and_spoils_none_after_it(tmp_path, cut):
    make(tmp_path, {}, finish=False)
    notes = tmp_path / storage.PIECES
    notes.write_bytes(notes.read_bytes()[:-cut])
    (tmp_path / "y").unlink()
    assert make(tmp_path, {}, ["y"], finish=False) == ["y"]
    assert make(tmp_path, {}) == []


def test_a_killed_writer_leaves_a_note_or_nothing(tmp_path, monkeypatch):
    """The hash is noted before the piece takes its place: a kill between the two costs this piece and no other."""
    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", lambda *paths: kill() if paths[1].name == "y" else shutil.move(*paths))
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path, {})
    assert "y" in (tmp_path / storage.PIECES).read_text()
    assert make(tmp_path, {}) == ["y"]


def kill():
    raise KeyboardInterrupt


SYSTEM = [".DS_Store", "images/Thumbs.db", "desktop.ini", ".hidden/x", "images/@eaDir/x"]


@pytest.mark.parametrize("finished", [False, True])
def test_files_of_the_operating_system_are_left_alone(tmp_path, finished):
    make(tmp_path, {}, finish=finished)
    for name in SYSTEM:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    assert make(tmp_path, {}) == []
    assert storage.verify(tmp_path) == 2
    assert all((tmp_path / name).read_text() == "mine" for name in SYSTEM)
    assert list(storage.read_manifest(tmp_path)["files"]) == ["a/x", "y"]


def test_strangers_are_named_and_never_become_pieces(tmp_path):
    make(tmp_path, {}, finish=False)
    (tmp_path / "a" / "stray.png").write_text("")
    with pytest.raises(ArtifactError, match=r"holds what is not its own: a/stray\.png\. Move that away"):
        make(tmp_path, {})
    (tmp_path / "a" / "stray.png").unlink()
    make(tmp_path, {})
    (tmp_path / "a" / "stray.png").write_text("")
    with pytest.raises(ArtifactError, match=r"added since it was finished: a/stray\.png"):
        storage.verify(tmp_path)


def test_what_is_only_needed_meanwhile_goes_but_not_before_the_manifest_is_there(tmp_path, monkeypatch):
    def refuse(source, target):
        if target.name == storage.MANIFEST:
            raise OSError(errno.ENOSPC, "No space left on device")
        source.rename(target)

    with storage.claimed(tmp_path, "score", {}, HOW) as work:
        work.save_state({"x": torch.zeros(2)}, {"step": 1})
        with monkeypatch.context() as broken:
            broken.setattr(os, "replace", refuse)
            with pytest.raises(ArtifactError, match="No space left"):
                work.finish({})
        assert work.state()["step"] == 1
        work.finish({})
    assert names(tmp_path) == [storage.MANIFEST]


def test_a_folder_that_vanishes_stops_the_work_and_is_not_made_anew(tmp_path):
    with storage.claimed(tmp_path / "run", "score", {}, HOW) as work:
        work.write("x", lambda path: path.write_text("x"))
        shutil.rmtree(tmp_path / "run")
        for write in (lambda: work.write("y", lambda path: path.write_text("y")), lambda: work.finish({})):
            with pytest.raises(ArtifactError, match="is gone: the folder was deleted, moved or unmounted"):
                write()
    assert not (tmp_path / "run").exists()


def test_a_finished_artifact_is_only_read(tmp_path, monkeypatch):
    make(tmp_path, {})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    monkeypatch.setattr(os, "open", lambda *args, **kwargs: (_ for _ in ()).throw(OSError(errno.EROFS, "read-only")))
    assert claim(tmp_path, {}) is True
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_verify_counts_intact_files(tmp_path):
    make(tmp_path, {})
    assert storage.verify(tmp_path) == 2
    manifest = json.loads((tmp_path / storage.MANIFEST).read_text())
    assert {"torch", "python"} <= manifest["versions"].keys()
    assert list(manifest["files"]) == ["a/x", "y"]
    assert (manifest["how"], manifest["request"]) == (HOW, {"kind": "score"})


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (lambda folder: (folder / "y").write_text("{}"), "y"),
        (lambda folder: (folder / "y").unlink(), "y"),
        (lambda folder: (folder / "a" / "new").write_text(""), "a/new"),
        (lambda folder: (folder / "y").rename(folder / "z"), "y, z"),
    ],
)
def test_verify_names_what_was_altered_removed_or_added(tmp_path, damage, name):
    make(tmp_path, {})
    damage(tmp_path)
    with pytest.raises(ArtifactError, match=f"missing, altered or added since it was finished: {name}"):
        storage.verify(tmp_path)


def test_manifests_of_another_kind_or_none_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"artifact\.json is missing"):
        storage.read_manifest(tmp_path)
    make(tmp_path, {})
    with pytest.raises(ArtifactError, match="holds a score, expected a teacher"):
        storage.read_manifest(tmp_path, "teacher")
    storage.write_json(tmp_path / storage.MANIFEST, {"kind": "cake"})
    with pytest.raises(ArtifactError, match="holds a cake"):
        storage.read_manifest(tmp_path)


def rewrite(folder, **changes):
    """Another manifest, properly sealed."""
    body = {**storage.read_manifest(folder), **changes}
    files.write_json(folder / storage.MANIFEST, {name: value for name, value in body.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, r"is of format 99, this version of sre2l_core reads format 2: use the version that wrote it"),
        ({"format": 1}, "is of format 1"),
        ({"files": None}, "does not say 'files'"),
        ({"files": [1]}, "does not list its files"),
        ({"how": 3}, "has how 3, which is no object"),
        ({"rows": {}}, r"has rows \{\}, which is no list"),
        ({"kind": "a\nb"}, r"holds a 'a\\nb', expected a teacher or"),
        ({"files": {"../y": "0"}}, r"lists '\.\./y', which leads out"),
        ({"files": {"/etc/passwd": "0"}}, "leads out"),
        ({"files": {"a/../../y": "0"}}, "leads out"),
        ({"files": {"C:\\y": "0"}}, "leads out"),
    ],
)
def test_manifests_of_another_format_or_leading_out_are_refused(tmp_path, changes, message):
    make(tmp_path, {})
    rewrite(tmp_path, **changes)
    with pytest.raises(ArtifactError, match=message):
        storage.verify(tmp_path)


@pytest.mark.parametrize("name", ["y", "a"])
def test_links_that_lead_out_are_refused(tmp_path, name):
    make(tmp_path / "run", {})
    (tmp_path / "run" / name).rename(tmp_path / "outside")
    (tmp_path / "run" / name).symlink_to(tmp_path / "outside")
    with pytest.raises(ArtifactError, match="leads out of its folder"):
        storage.verify(tmp_path / "run")


def test_saving_replaces_what_was_saved_and_nothing_else(tmp_path):
    def save(*pieces):
        with storage.saving(tmp_path, "teacher") as work:
            for name in pieces:
                work.write(name, lambda path: path.write_text("x"))
            work.finish({})

    save("a", "b")
    save("b", "c")
    assert names(tmp_path) == [storage.MANIFEST, "b", "c"]
    with pytest.raises(ArtifactError, match=r"holds a teacher that was saved there\. Choose another --out"):
        claim(tmp_path, {}, kind="teacher")
    (tmp_path / "letter").write_text("")
    with pytest.raises(ArtifactError, match="holds what is not its own: letter"):
        save("b")
    (tmp_path / "letter").unlink()
    (tmp_path / storage.MANIFEST).unlink()
    with pytest.raises(ArtifactError, match="was not made by this package"):
        save("b")


@pytest.mark.parametrize("how", [None, 3, "fp32", []])
def test_a_request_that_does_not_say_how_is_not_gone_on_with(tmp_path, how):
    make(tmp_path, {"x": 1}, finish=False)
    request = files.read_json(tmp_path / storage.REQUEST)
    files.write_json(tmp_path / storage.REQUEST, {**request, "how": how})
    with pytest.raises(ArtifactError, match="begun in another way: precision is None there, 'fp32' now"):
        claim(tmp_path, {"x": 1})


def test_what_differs_is_told_in_one_short_line(tmp_path):
    make(tmp_path, {"x": "a" * 5000, "y": "\x1b[2J", "z": list(range(999))}, finish=False)
    with pytest.raises(ArtifactError, match="holds another run: x is 'aaa") as caught:
        claim(tmp_path, {f"{n}": n for n in range(50)})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_a_lock_of_anything_is_spoken_of_in_one_line(tmp_path):
    (tmp_path / storage.LOCK).write_text("\x1b[2J\nho\x07st\n")
    assert storage.holder(tmp_path).isprintable()
    assert r"process '\x1b[2J' on 'ho\x07st'" in storage.holder(tmp_path)


def test_a_folder_with_a_zero_byte_in_its_name_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"cannot write .*\\x00"):
        claim(f"{tmp_path}/a\0b", {})
