"""`sre2l sweep` from a file and from options: plan, run, find again; what is wrong is said in one line."""

import csv
from pathlib import Path

import attacks
import pytest
from waiting import until

from sre2l_core.__main__ import main, parse
from sre2l_core.commands.sweep import duration, parsed, read, start_of
from sre2l_core.presets import Recipe
from sre2l_core.runs.grid import cells
from sre2l_core.runs.listing import Listing

EXAMPLE = Path(__file__).parents[2] / "examples" / "sweep.toml"
SMALL = [
    *("--preset", "digits/smoke", "--set", "data.resolution=8", "--device", "cpu"),
    *("--set", "recover.alpha_bn=0,0.1", "--set", "recover.crop_scale=[0.1,1],[0.5,1]", "--holdout", "0.4"),
]


def shown(capsys, *arguments, status=0):
    assert main(["sweep", *map(str, arguments)]) == status
    out, err = capsys.readouterr()
    return " ".join((err if status else out).split())


def test_from_plan_to_table(tmp_path, capsys):
    out = tmp_path / "store"
    line = [*SMALL, "--seeds", "2", "--out", out]
    told = shown(capsys, *line, "--dry-run")
    assert "recover.alpha_bn = 0.1, recover.crop_scale = 0.5 1.0: 0 of 2 runs finished" in told
    assert "score 0 of 8; the rest: about" in told
    assert told.count("for one worker, tried now on made-up images") == 4
    assert not out.exists()
    told = shown(capsys, *line)
    assert "8/8 recover.alpha_bn = 0.1, recover.crop_scale = 0.5 1.0, seed 1: made" in told
    assert "Judged on 40 % of the training images, held out with seed 0." in told
    page = (out / "sweep.md").read_text(encoding="utf-8")
    assert " ".join(page.split()) in told
    rows = list(csv.DictReader((out / "sweep.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["recover.alpha_bn"], row["recover.crop_scale"], row["n"]) for row in rows] == [
        ("0.0", "0.1 1.0", "2"), ("0.0", "0.5 1.0", "2"), ("0.1", "0.1 1.0", "2"), ("0.1", "0.5 1.0", "2"),
    ]  # fmt: skip
    assert shown(capsys, *line).count(": found") == 8
    told = shown(capsys, *line, "--set", "recover.ipc=2,4", "--dry-run")
    assert "condensed 8 of 16; the rest: about" in told
    assert "judged by 8 like it" in told
    told = shown(capsys, *line, "--workers", "1", "--judge")
    assert "Chosen on 40 % of the training images, held out with seed 0; the students of this table learnt" in told
    assert "Judged on the validation images." in told
    judged = list(csv.DictReader((out / "sweep-judged.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["judged on"] for row in judged} == {"the validation images"}
    assert len(judged) in (1, 2)  # one, where the first cell is the best


def test_the_example_in_a_file_is_a_sweep():
    asked = read(EXAMPLE)
    base, grid = start_of({"set": {}, **asked}, (), None)
    made = cells(base, grid, seeds=asked["seeds"])
    assert (len(made), len(made[0].recipes)) == (6, 3)
    assert (base.data.holdout, base.recover.steps) == (0.2, 100)


def test_options_come_before_what_a_file_says(tmp_path, capsys):
    file = tmp_path / "mine.toml"
    file.write_text(
        'preset = "digits/smoke"\nseeds = 9\n[set]\ndata.resolution = 8\n[grid]\n"recover.steps" = [2, 3]\n'
    )
    told = shown(capsys, file, "--seeds", "2", "--set", "recover.steps=4,5,6", "--out", tmp_path / "s", "--dry-run")
    assert [f"recover.steps = {steps}: 0 of 2 runs finished" in told for steps in (2, 3, 4, 5, 6)] == [0, 0, 1, 1, 1]


def test_a_grid_may_be_written_in_three_ways_of_toml(tmp_path):
    ways = ("grid.recover.ipc = [1, 2]", '[grid]\n"recover.ipc" = [1, 2]', "[grid.recover]\nipc = [1, 2]")
    for number, way in enumerate(ways):
        (tmp_path / f"{number}.toml").write_text(way)
        assert read(tmp_path / f"{number}.toml") == {"grid": {"recover.ipc": [1, 2]}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("recover.alpha_bn=0,0.1,1", [0, 0.1, 1]),
        ("recover.alpha_bn=1e-3", [0.001]),
        ("recover.crop_scale=[0.1,1],[0.5,1]", [[0.1, 1], [0.5, 1]]),
        ("recover.init=noise,real", ["noise", "real"]),
        ("recover.crop=none,resized", ["none", "resized"]),
        ("data.resolution=none,16", [None, 16]),
        ("squeeze.pretrained=none,IMAGENET1K_V1", [None, "IMAGENET1K_V1"]),
        ("store_labels=true,False", [True, False]),
        ("validate.students=resnet18,resnet50", ["resnet18", "resnet50"]),
        ('validate.students=["resnet18","convnet"]', [["resnet18", "convnet"]]),
        ('data.data_root="a,b"', ["a,b"]),
        ("recover.steps=", []),
    ],
)
def test_values_are_read_as_they_are_typed(text, expected):
    assert parsed(text, Recipe()) == (text.partition("=")[0], expected)


def test_what_is_set_to_one_value_is_the_same_in_all_runs():
    base, grid = start_of({"preset": "digits", "set": {}, "grid": {}}, ["recover.ipc=3", "recover.steps=1,2"], None)
    assert (base.recover.ipc, grid) == (3, {"recover.steps": [1, 2]})
    base, grid = start_of({"preset": "digits", "set": {}, "grid": {}}, ["validate.hard_labels=true"], Path("there"))
    assert (grid, base.data.data_root) == ({"validate.hard_labels": [True]}, Path("there"))


def test_durations_read_well():
    assert [duration(seconds) for seconds in (0.4, 119, 120, 7199, 7200)] == [
        "0 seconds", "119 seconds", "2.0 minutes", "120.0 minutes", "2.0 hours",
    ]  # fmt: skip


TOML = {
    "nothing = ": "cannot be read as TOML",
    "\x00": "cannot be read as TOML",
    "preset = 'digits'": "a sweep needs settings and a list of values",
    "prest = 'digits'": "unknown entry in {}/bad.toml 'prest'. Did you mean 'preset'?",
    "preset = 3": "preset must be a text (got 3)",
    "preset = 'digitz'": "unknown preset 'digitz'",
    "seeds = '3'": "seeds must be a whole number (got '3')",
    "seeds = true": "seeds must be a whole number (got True)",
    "zipped = 1": "zipped must be true or false (got 1)",
    "holdout = 2": "DataConfig.holdout",
    "grid = 3": "grid must be a table (got 3)",
    "[grid]\nrecover.alpha_nb = [1]": "Did you mean 'recover.alpha_bn'?",
    "[grid]\nrecover.alpha_bn = 1": "recover.alpha_bn: expected a list of values (got 1)",
    "[grid]\nrecover.alpha_bn = []": "the grid is empty",
    "[grid]\nrecover = [1]": "unknown setting 'recover'",
    "[grid]\nrecover.steps.more = [1]": "recover.steps: expected a list of values (got {{'more': [1]}})",
    "[grid]\nrecover.steps = [2020-01-01]": "RecoverConfig.steps",
    "[grid]\nrecover.steps = [1]\n[set]\nrecover.steps = 2": "recover.steps is in both set and grid",
    "[set]\nrecover.stebs = 2\n[grid]\nrecover.ipc = [1]": "Did you mean 'recover.steps'?",
}


@pytest.mark.parametrize("text", TOML)
def test_nonsense_in_a_file(text, tmp_path, capsys):
    (tmp_path / "bad.toml").write_bytes(text.encode().decode("unicode_escape").encode("latin-1"))
    told = shown(capsys, tmp_path / "bad.toml", "--out", tmp_path / "new", status=2)
    assert TOML[text].format(tmp_path) in told
    assert told.count("error:") == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere.toml"], "nowhere.toml cannot be read as TOML (No such file or directory). See examples/sweep.toml"),
        (["."], "cannot be read as TOML (Is a directory)"),
        ([], "a sweep needs settings"),
        (["--set", "recover.alpha_bn"], "expected STAGE.FIELD=VALUE,VALUE (got 'recover.alpha_bn')"),
        (["--set", "recover.alpha_nb=1,2"], "Did you mean 'recover.alpha_bn'?"),
        (["--set", "recover.alpha_bn=1,two"], "RecoverConfig.alpha_bn"),
        (["--set", "recover.steps=1,2", "--seeds", "0"], "seeds must be a whole number"),
        (["--set", "recover.steps=1,2", "--holdout", "1"], "DataConfig.holdout"),
        (["--set", "recover.steps=1,2", "--preset", "digitz"], "unknown preset 'digitz'"),
        (["--set", "recover.steps=1,2", "--judge"], "--judge needs --holdout"),
        (["--set", "recover.steps=1,2", "--workers", "0"], "--workers must be within 1.."),
    ],
)
def test_nonsense_in_options(words, told, tmp_path, capsys):
    assert told in shown(capsys, *words, "--out", tmp_path / "new", status=2)
    assert not (tmp_path / "new").exists()


def test_help_shows_an_example_that_is_a_sweep(capsys):
    assert main(["sweep", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    line = text[text.index("sre2l sweep --preset digits") :].partition(" or,")[0].split()
    command = parse(line[1:])
    assert (command.seeds, command.holdout, command.set) == (3, 0.2, ("recover.alpha_bn=0,0.1,1",))


@pytest.mark.slow
def test_two_sweeps_on_one_store_share_the_work_and_a_kill_costs_one_step(tmp_path, capsys):
    """One is killed with SIGKILL while it makes its first images; the other two go on at once."""
    out = tmp_path / "store"
    line = ["sweep", *SMALL, "--seeds", "2", "--out", out]
    with attacks.start(*line) as first:
        until(lambda: list(out.glob("condensed-*/request.json")) or first.poll() is not None, within=60)
        first.kill()
        first.communicate()
    both = [attacks.start(*line, "--name", name) for name in ("one", "two")]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "Traceback" not in "".join(text for pair in said for text in pair)
    made = [line.rpartition(": ")[2] for text, _ in said for line in text.splitlines() if "/8  " in line]
    assert sorted(set(made)) in (["found", "made"], ["made"])
    assert "failed" not in "".join(text for text, _ in said)
    tables = [(out / f"{name}.csv").read_text(encoding="utf-8") for name in ("one", "two")]
    assert tables[0] == tables[1]
    listing = Listing(out)
    assert len(listing.runs) == 8
    assert all(run.score is not None for run in listing.runs.values())
    assert listing.unneeded() == []
