"""`sre2l runs`: list, show, compare, delete, free; what is wrong is said in one line."""

import csv
import io
import shutil

import pytest
from small_runs import BASE, SPARSE, WARM, key

from sre2l_core import storage
from sre2l_core.__main__ import main
from sre2l_core.artifacts import Score


def shown(capsys, *arguments, status=0):
    assert main(["runs", *map(str, arguments)]) == status
    out, err = capsys.readouterr()
    return err if status else out


def test_the_list_has_the_settings_that_differ_and_the_accuracies(store, capsys):
    lines = shown(capsys, store.folder).splitlines()
    assert lines[0].split() == [
        "run", "recover.alpha_bn", "validate.temperature", "store_labels", "top-1", "of", "students",
    ]  # fmt: skip
    assert len(lines) == 4
    assert [line.split()[0] for line in lines[1:]] == [key(store, recipe) for recipe in (SPARSE, WARM, BASE)]
    accuracy = 100 * Score.load(store.places(WARM).score).row("condensed", "soft").mean_std()[0]
    assert f"1.0                2.0                    True           {accuracy:.1f} ± " in lines[2]


def test_a_run_a_part_and_the_tree(store, capsys):
    told = shown(capsys, store.folder, key(store, WARM)[:8])
    assert f"{store.places(WARM).labels.name}: finished" in told
    assert f"also of {key(store, BASE)}" in told
    assert "validate.temperature" in told
    assert Score.load(store.places(WARM).score).table() in told
    told = shown(capsys, store.folder, store.places(BASE).labels.name)
    assert f"{store.places(WARM).score.name} was made from it" in told
    needing = told.partition("runs that need it: ")[2].strip().split(", ")
    assert set(needing) == {key(store, BASE), key(store, WARM)}
    tree = shown(capsys, store.folder, "--tree").splitlines()
    assert [len(line) - len(line.lstrip()) for line in tree] in ([0, 2, 4, 6, 6, 2, 4], [0, 2, 4, 2, 4, 6, 6])


def test_two_runs_are_compared(store, capsys):
    one, other = key(store, BASE), key(store, SPARSE)
    lines = shown(capsys, store.folder, one, "--against", other).splitlines()
    assert [line.split() for line in lines[:3]] == [
        [one, other], ["recover.alpha_bn", "1.0", "0.5"], ["store_labels", "True", "False"],
    ]  # fmt: skip
    assert sum(line.startswith("| condensed | soft |") for line in lines) == 2
    assert "have the same settings" in shown(capsys, store.folder, one, "--against", one)


def test_deleting_says_what_goes_asks_and_says_what_could_go_too(store, capsys, monkeypatch):
    name = key(store, SPARSE)
    told = shown(capsys, store.folder, name, "--delete", "--dry-run")
    assert (f"runs: {name}" in told, store.places(SPARSE).score.name in told, "in all" in told) == (True,) * 3
    answers = io.StringIO("no\n")
    answers.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", answers)
    assert "Nothing was deleted." in shown(capsys, store.folder, name, "--delete")
    assert store.finished(SPARSE)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert "say --yes" in shown(capsys, store.folder, name, "--delete", status=2)
    assert store.finished(SPARSE)
    told = shown(capsys, store.folder, name, "--delete", "--yes")
    assert f"No run needs {store.places(SPARSE).condensed.name}: --prune frees" in told
    assert "No run needs" in shown(capsys, store.folder)
    assert store.places(SPARSE).condensed.name in shown(capsys, store.folder, "--prune", "--dry-run")
    shown(capsys, store.folder, "--prune", "--yes")
    assert not store.places(SPARSE).condensed.exists()
    assert "There is nothing to delete" in shown(capsys, store.folder, "--prune", "--yes")
    assert store.finished(BASE)


def test_an_answer_of_yes_deletes(store, capsys, monkeypatch):
    answers = io.StringIO("y\n")
    answers.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", answers)
    assert "Deleted." in shown(capsys, store.folder, store.places(BASE).teacher.name, "--delete")
    assert [path.name for path in store.folder.iterdir()] == ["store.json"]
    assert shown(capsys, store.folder) == ""


def test_a_run_folder_is_listed_and_deleted_too(store, tmp_path, capsys):
    for kind in ("teacher", "condensed", "labels", "score"):
        shutil.copytree(getattr(store.places(BASE), kind), tmp_path / "mine" / "demo" / kind)
    assert "demo" in shown(capsys, tmp_path / "mine")
    shown(capsys, tmp_path / "mine", "demo", "--delete", "--yes")
    assert not (tmp_path / "mine" / "demo").exists()


@pytest.mark.parametrize(
    ("line", "phrases"),
    [
        ("nowhere", ["there is no folder", "nowhere"]),
        ("empty", ["holds no runs of this package"]),
        ("store abcdef", ["unknown run or part", "'abcdef'"]),
        ("store score-", ["unknown run or part", "Known: "]),
        ("store --delete", ["--delete needs the name of a run"]),
        ("store --against x", ["--against needs the name of a run"]),
        ("store teacher --against labels", ["--against compares two runs"]),
        ("newer", ["format 2", "newer"]),
    ],
)
def test_wrong_input(line, phrases, store, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    storage.write_json(tmp_path / "newer" / "store.json", {"kind": "store of runs", "format": 2})
    folder, *rest = line.split()
    told = shown(capsys, tmp_path / folder, *rest, status=2)
    assert [phrase for phrase in phrases if phrase not in told] == []
    assert told.count("error:") == 1
    assert store.finished(BASE)


def test_what_is_in_use_is_not_deleted(store, capsys):
    with storage.held(store.places(BASE).labels):
        told = shown(capsys, store.folder, store.places(BASE).teacher.name, "--delete", "--yes", status=2)
    assert "is in use" in told
    assert store.finished(BASE)


def test_the_list_and_a_score_are_written_for_programs_and_papers(store, capsys):
    rows = list(csv.DictReader(io.StringIO(shown(capsys, store.folder, "--format", "csv"))))
    assert [row["run"] for row in rows] == [key(store, recipe) for recipe in (SPARSE, WARM, BASE)]
    assert [float(row["recover.alpha_bn"]) for row in rows] == [0.5, 1.0, 1.0]
    score = Score.load(store.places(WARM).score)
    name = key(store, WARM)
    assert shown(capsys, store.folder, name, "--format", "latex") == score.tabulated().to_latex() + "\n"
    assert shown(capsys, store.folder, name, "--format", "csv") == score.tabulated().to_csv()
    assert shown(capsys, store.folder, name, "--format", "markdown").startswith("| images | labels |")


def test_what_has_no_table_is_said(store, capsys):
    teacher = store.places(BASE).teacher.name
    assert f"{teacher} has no score" in shown(capsys, store.folder, teacher, "--format", "csv", status=2)
    assert "--format csv is for the list" in shown(capsys, store.folder, "--tree", "--format", "csv", status=2)
    shutil.rmtree(store.places(BASE).score)
    assert "has no score" in shown(capsys, store.folder, key(store, BASE), "--format", "latex", status=2)
