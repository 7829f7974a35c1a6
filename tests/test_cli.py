"""The command line as a user meets it: help, options, every command, interruption. Wrong input: test_bad_input.py."""

import errno
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext, redirect_stdout
from importlib.metadata import entry_points
from io import StringIO
from pathlib import Path

import nbformat
import pytest
import torch
from attacks import handles
from stand_ins import picture, write_pictures
from waiting import until

from sre2l_core import __version__, cli, presets
from sre2l_core.__main__ import main, parse
from sre2l_core.artifacts import CondensedSet, Score, Teacher
from sre2l_core.registry import catalogue, names_of

ROOT = Path(__file__).parents[1]
SMOKE = ["--preset", "digits/smoke", "--resolution", "8", "--device", "cpu"]
RUN = ["run", *SMOKE, "--recover.group-images", "1"]
COMMAND = [sys.executable, "-m", "sre2l_core"]


def options(text):
    """Command-line words of a test, written as one would type them."""
    return shlex.split(text)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run, never interrupted."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert main([*RUN, "--out", str(folder)]) == 0
    return folder


def test_help_lists_the_commands(capsys):
    for arguments in ([], ["--help"], ["-h"], ["help"], ["help", "help"], ["-h", "--help"]):
        assert main(arguments) == 0
        shown = capsys.readouterr().out
        assert all(f"• {command} " in shown for command in cli.COMMANDS)
        assert "usage: sre2l [-h]" in shown
        assert "sre2l COMMAND --help" in " ".join(shown.split())
        assert "sre2l --version" in " ".join(shown.split())


def test_the_console_command_is_the_module(capsys):
    (script,) = entry_points(group="console_scripts", name=cli.PROGRAM)
    assert script.load() is main
    long_way = subprocess.run([*COMMAND, "presets", "--help"], capture_output=True, text=True, check=True)
    assert long_way.stdout.startswith("usage: sre2l presets [-h]")
    assert main(["presets", "--help"]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == long_way.stdout.splitlines()[:3]


def test_help_of_a_command_may_be_asked_in_both_orders(capsys):
    assert main(["help", "demo"]) == main(["demo", "--help"]) == 0
    first, second = capsys.readouterr().out.split("usage: ")[1:]
    assert first == second
    assert "the whole method" in first.lower()
    assert main(["help", "dmo"]) == 2
    assert "unknown command 'dmo'. Did you mean 'demo'?" in capsys.readouterr().err


def test_an_option_before_the_command_is_told_where_it_belongs(capsys):
    assert main(options("--preset digits run")) == 2
    assert "the command comes first, then its options: sre2l COMMAND --preset" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["squeeze", ""],
        ["squeeze", "--out", "x", *("--epochs", "", "")],
        ["inspect", ""],
        ["squeeze", "--epochs", "", " "],
    ],
)
def test_an_empty_word_is_told_where_it_stands(capsys, words):
    assert main(words) == 2
    assert f"an empty word ({words[-1]!r}) comes after {' '.join(map(repr, words[:-1]))}" in capsys.readouterr().err


def test_nothing_similar_is_suggested_for_a_name_that_is_like_no_other(capsys):
    assert main(options("presets qqq")) == 2
    assert "Did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("squeeze", ["--out", "--data", "--classes", "--backbone-options", "--epochs", "--device"]),
        ("recover", ["--teacher", "--verifier", "--alpha-bn", "--steps", "--only-classes", "--snapshot-every"]),
        ("relabel", ["--dry-run", "--codec", "--mix-alpha", "--ipc"]),
        ("validate", ["--labels", "--students", "--against", "--views.crop", "--temperature"]),
        ("run", ["--squeeze.lr", "--recover.alpha-tv", "--relabel.epochs", "--validate.students", "--seed"]),
        ("demo", ["--out", "--seed"]),
        ("inspect", ["PATH"]),
        ("presets", ["a preset to show", "--against"]),
        ("runs", ["--against", "--tree", "--delete", "--prune", "--dry-run", "--yes"]),
        ("sweep", ["--set", "--seeds", "--holdout", "--zipped", "--dry-run", "recover.alpha_bn=0,0.1,1"]),
        ("plan", ["--preset", "--workers", "--seconds", "--store-labels", "--recover.ipc"]),
    ],
)
def test_help_of_each_command(capsys, command, flags):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert [flag for flag in flags if flag not in shown] == []
    assert "{None}" not in shown
    assert "STR [STR" not in shown


def test_help_shows_the_values_of_the_preset(capsys):
    main(options("recover --preset imagenet-1k/resnet18/paper --help"))
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "(default: 0.01)" in shown  # alpha_bn
    assert "(default: 2000)" in shown  # steps


def test_version_and_presets(capsys):
    for words in ("--version", "-V", "version"):
        assert main([words]) == 0
        assert capsys.readouterr().out == f"sre2l_core {__version__}\n"
    assert main(["presets"]) == 0
    assert capsys.readouterr().out.split() == sorted(presets.PRESETS)
    assert main(["presets", "digits/smoke"]) == 0
    assert presets.Recipe.of(json.loads(capsys.readouterr().out)) == presets.get("digits/smoke")


@pytest.mark.parametrize(
    ("words", "part", "field", "expected"),
    [
        ("", "recover", "ipc", presets.get("digits").recover.ipc),
        ("--preset cifar100/resnet18/paper", "recover", "lr", 0.25),
        ("--preset=cifar100/resnet18/paper --recover.lr 0.5", "recover", "lr", 0.5),
        ("--data cifar100", "validate", "temperature", 30.0),
        ("--data tiny-imagenet", "recover", "roll", (-4, 4)),
        ("--recover.roll -3 2", "recover", "roll", (-3, 2)),
        ("--preset digits --data folder", "data", "data", "folder"),
        ("--preset digits --data folder", "squeeze", "backbone", "convnet"),
        ("--classes 3,4", "data", "classes", ("3", "4")),
        ("--classes 3 4", "data", "classes", ("3", "4")),
        ("--preset digits/smoke --num-classes none", "data", "num_classes", None),
        ("--validate.students resnet18,resnet50", "validate", "students", ("resnet18", "resnet50")),
        ("--validate.students resnet18,resnet50", "validate", "student_options", {}),
        ("--validate.students convnet", "validate", "student_options", presets.get("digits").validate.student_options),
        ("--squeeze.backbone resnet18", "squeeze", "backbone_options", {}),
        ("--squeeze.backbone-options depth=2 width=8", "squeeze", "backbone_options", {"depth": 2, "width": 8}),
        ("--validate.student-options none", "validate", "student_options", {}),
        ("--squeeze.backbone-options a=true b=0.5 c=x", "squeeze", "backbone_options", {"a": True, "b": 0.5, "c": "x"}),
        ("--validate.against random", "validate", "against", ("random",)),
        ("--validate.against random full", "validate", "against", ("random", "full")),
        ("--validate.against random,full", "validate", "against", ("random", "full")),
        ("--validate.against none", "validate", "against", ()),
        ("--validate.against", "validate", "against", ()),
        ("--recover.snapshot-every 5", "recover", "snapshot_every", 5),
        ("--validate.no-hard-labels", "validate", "hard_labels", False),
    ],
)
def test_options_of_a_run(words, part, field, expected):
    assert getattr(getattr(parse(["run", *options(words)]), part), field) == expected


@pytest.mark.parametrize("command", ["squeeze", "recover", "relabel", "validate", "run"])
def test_help_names_what_is_in_each_catalogue(command, capsys):
    folders = {"backbone": "backbones", "students": "backbones", "init": "starts", "against": "starts"}
    folders |= {"data": "data", "codec": "codecs", "parametrisation": "parametrisations"}
    assert main([command, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    listed = re.findall(r"--(?:\w+\.)?([a-z]+) (?:NAME|NAME,NAME) (?:(?!--).)*?/(\w+): ([\w, -]+) \(default", shown)
    assert listed
    for option, folder, names in listed:
        assert folder == folders[option]
        assert names.split(", ") == sorted(catalogue(folder))


@pytest.mark.parametrize(
    "folder", ["data", "backbones", "codecs", "starts", "terms", "parametrisations", "commands", "paper"]
)
def test_names_read_from_the_files_are_those_of_the_catalogue(folder):
    assert names_of(folder) == sorted(catalogue(folder))


def test_none_is_no_dataset_and_no_preset():
    assert parse(options("recover --teacher t --out x --data none --preset none")).data is None
    assert parse(options("run --preset=none")).data.data == "digits"


COMPLETED = {
    "rec": ["recover"],
    "run --recover.alpha-b": ["--recover.alpha-bn"],
    "run --recover.init ": sorted(catalogue("starts")),
    "run --validate.against random r": ["random", "rded", "real"],
    "squeeze --data cifar": ["cifar10", "cifar100"],
    "recover --data dig": ["digits"],
    "squeeze --backbone convnet": ["convnet", "convnet3", "convnet4"],
    "relabel --preset imagenette/resnet18/f": ["imagenette/resnet18/fadrm", "imagenette/resnet18/fadrm+"],
    "run --recover.image-format ": ["png", "webp", "jpeg"],
    "inspect here": [],  # the shell takes files then
}


@pytest.mark.parametrize(("typed", "expected"), COMPLETED.items())
def test_bash_completes(typed, expected, tmp_path):
    script = tmp_path / "sre2l"
    with redirect_stdout(StringIO()) as printed:
        assert main(["completion", "bash"]) == 0
    script.write_text(printed.getvalue())
    words = ["sre2l", *typed.split(" ")]
    press_tab = (
        f"source {shlex.quote(str(script))}; COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; "
        """f=$(complete -p sre2l | sed 's/.*-F //; s/ .*//'); $f; printf '%s\n' "${COMPREPLY[@]}"; complete -p sre2l"""
    )
    done = subprocess.run(["bash", "--norc", "-c", press_tab], capture_output=True, text=True, check=True)
    *found, rule = filter(None, done.stdout.splitlines())
    assert (found, done.stderr) == (expected, "")
    assert "-o default" in rule


@pytest.mark.parametrize(("shell", "start"), [("zsh", "#compdef sre2l"), ("fish", "complete --no-files --command")])
def test_other_shells_get_a_script_too(shell, start, capsys):
    assert main(["completion", shell]) == 0
    shown = capsys.readouterr().out
    assert start in shown
    assert "--recover.alpha-bn" in shown
    assert main(["completion", "ksh"]) == 2


SAID = re.compile(r"(?:^|`)sre2l ((?:" + "|".join(cli.COMMANDS) + r")\b[^`#\\\n]*)", re.MULTILINE)


@pytest.mark.parametrize("path", ["README.md", "benchmarks/README.md", "notebooks/00_quickstart.ipynb"])
def test_the_commands_that_the_text_shows_are_understood(path):
    text = (ROOT / path).read_text()
    if path.endswith(".ipynb"):
        text = "\n".join(cell.source for cell in nbformat.reads(text, as_version=4).cells)
    shown = [line.strip() for line in SAID.findall(text) if "…" not in line and "--help" not in line]
    assert shown
    for line in shown:
        parse(shlex.split(line))


def test_there_is_one_spelling_of_the_command():
    folders = [ROOT / name for name in ("sre2l_core", "docs", "notebooks", "benchmarks")]
    texts = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".md", ".ipynb")]
    for path in [*texts, *ROOT.glob("*.md"), ROOT / "Makefile"]:
        assert not re.search(r"python3? -m sre2l_core [a-z]", path.read_text()), path


def test_a_run_goes_to_a_folder_named_after_its_data():
    assert str(parse(["run"]).out) == "runs/digits"
    assert str(parse(options("run --data cifar10 --out here")).out) == "here"


def test_a_whole_run(finished, capsys):
    names = {"teacher", "condensed", "labels", "score", "log.csv", "condensed.png", "losses.png", "embedding.png"}
    assert {path.name for path in finished.iterdir()} == names
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("artifact.json")}
    assert len(before) == 4
    assert main([*RUN, "--out", str(finished)]) == 0
    shown = capsys.readouterr().out
    assert "digits: 288 + 72 images, 2 classes, 8 pixels" in shown
    assert "| condensed | soft | convnet | 4 |" in shown
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("artifact.json")}


def test_one_seed_for_all_stages(tmp_path):
    few = "--seed 5 --validate.seeds 1 --validate.against none --no-store-labels"
    assert main([*RUN, *options(few), "--out", str(tmp_path)]) == 0
    origins = [Teacher.load(tmp_path / "teacher").origin, CondensedSet.load(tmp_path / "condensed").origin]
    origins.append(Score.load(tmp_path / "score").origin)
    assert [origin["config"]["seed"] for origin in origins] == [5, 5, 5]
    assert origins[2]["labels"]["config"]["seed"] == 5
    assert not (tmp_path / "labels").exists()


def test_stage_after_stage_as_each_proposes(tmp_path, capsys):
    """Every stage prints the command that goes on; typed in with smaller settings, they lead to a table."""
    small = {
        "squeeze": "--epochs 1 --num-classes 2 --backbone-options depth=2 width=8",
        "recover": "--steps 2 --ipc 2",
        "relabel": "--epochs 2",
        "validate": "--epochs 2 --seeds 1 --against random --student-options depth=2 width=8",
    }
    line = shlex.join(["squeeze", "--out", str(tmp_path / "a b" / "teacher")])
    for command, settings in small.items():
        words = options(line)
        assert words[0] == command
        assert main([*words, *options(settings), "--device", "cpu"]) == 0
        shown = capsys.readouterr().out.splitlines()
        line = shown[-1].removeprefix("next: sre2l ")
    assert sum(row.startswith("| random real |") for row in shown) == 2
    assert CondensedSet.load(tmp_path / "a b" / "condensed").spec.num_classes == 2
    assert main(["inspect", str(tmp_path / "a b")]) == 0


def test_settings_come_from_the_dataset_an_artifact_was_made_from(finished, tmp_path):
    teacher = Teacher.load(finished / "teacher")
    Teacher(teacher.net, teacher.spec.from_json(teacher.spec.to_json() | {"name": "cifar100"}), "convnet").save(
        tmp_path
    )
    assert parse(["recover", "--teacher", str(tmp_path), "--out", "x"]).config.lr == 0.25
    assert parse(["recover", "--teacher", str(finished / "teacher"), "--out", "x"]).config.lr == 0.1
    assert parse(["recover", "--teacher", "torchvision:resnet50", "--out", "x"]).config.alpha_bn == 0.01
    assert parse(["validate", "--condensed", str(finished / "condensed"), "--out", "x"]).data.data == "digits"


def test_labels_on_the_fly_and_real_starts(finished, tmp_path, capsys):
    teacher, images = str(finished / "teacher"), str(tmp_path / "real")
    few = options("--steps 1 --ipc 2 --init real --only-classes 1 --device cpu")
    assert main(["recover", "--teacher", teacher, "--verifier", teacher, "--out", images, *few]) == 0
    assert CondensedSet.load(images).labels.tolist() == [1, 1]
    few = options("--epochs 1 --seeds 1 --against none --students convnet,resnet10 --batch-size 2 --device cpu")
    arguments = ["validate", "--condensed", images, "--teacher", teacher, "--out", str(tmp_path / "score"), *few]
    assert main(arguments) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| condensed |")]
    assert [row.split(" | ")[2] for row in rows] == ["convnet", "convnet", "resnet10", "resnet10"]


def test_the_size_of_labels_is_known_before_anything_exists(capsys, finished):
    assert main(options("relabel --dry-run --preset imagenet-1k/resnet18/reference")) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "50,000 images x 300 epochs, 1,000 classes" in shown
    assert "reference 28.321 GiB in 14,700 files (batches of 1,024)" in shown
    assert main(options("relabel --dry-run --preset imagenet-1k/resnet18/reference --ipc 200")) == 0
    assert "113.284 GiB in 58,800 files" in capsys.readouterr().out
    assert main(options("relabel --dry-run --preset folder --num-classes 3 --ipc 2 --epochs 10")) == 0
    assert "6 images x 10 epochs, 3 classes" in capsys.readouterr().out
    assert main(["relabel", "--dry-run", "--condensed", str(finished / "condensed"), "--epochs", "7"]) == 0
    assert "4 images x 7 epochs, 2 classes" in capsys.readouterr().out


def test_small_labels_have_a_size_and_an_unknown_codec_has_none(capsys):
    assert main(options("relabel --dry-run --preset folder --num-classes 8 --ipc 128 --epochs 64")) == 0
    assert "fp16           1.000 MiB in 64 files" in capsys.readouterr().out  # 2 bytes * 8 * 1024 * 64 = 2^20
    assert main(options("relabel --dry-run --codec fp17")) == 2
    assert "unknown codec 'fp17'. Did you mean 'fp16'" in capsys.readouterr().err


def test_own_pictures_of_odd_sizes_and_modes(tmp_path, capsys):
    root = tmp_path / "my pictures"
    write_pictures(root, {"cats, black": 3}, size=(33, 21))
    write_pictures(root, {"dogs": 2}, size=(10, 70), mode="L")
    picture(root / "dogs" / "x.jpg", size=(5, 5), mode="CMYK")
    arguments = ["run", "--preset", "folder/smoke", "--data-root", str(root), "--out", str(tmp_path / "run")]
    assert main([*arguments, "--device", "cpu"]) == 0
    assert "folder: 4 + 2 images, 2 classes, 32 pixels" in capsys.readouterr().out
    assert CondensedSet.load(tmp_path / "run" / "condensed").spec.classes == ("cats, black", "dogs")


@pytest.mark.filterwarnings("always::UserWarning")
def test_corrupt_pictures_are_skipped_only_when_asked_and_named_in_one_line(tmp_path, capsys):
    root = write_pictures(tmp_path / "data", {"a": 4, "b": 4})
    (root / "b" / "0.png").write_bytes(b"no picture")
    few = ["--preset", "folder/smoke", "--data-root", str(root), "--device", "cpu", "--out", str(tmp_path / "teacher")]
    assert main(["squeeze", *few]) == 2
    assert "0.png cannot be read" in capsys.readouterr().err
    assert main(["squeeze", *few, "--skip-corrupt"]) == 0
    warning = [line for line in capsys.readouterr().err.splitlines() if "skipped 1 unreadable" in line]
    assert len(warning) == 1
    assert warning[0].startswith("warning: ")


def stop(stage, step):
    """Bars that are interrupted in the middle of a stage."""

    def listener(event):
        if (event.stage, event.step) == (stage, step):
            raise KeyboardInterrupt

    return lambda machine: nullcontext(listener)


@pytest.mark.parametrize(
    ("stage", "step"), [("squeeze", 3), ("squeeze", 11), ("recover", 6), ("relabel", 1), ("validate", 5)]
)
def test_an_interrupted_run_is_continued_by_the_same_command(stage, step, finished, tmp_path, monkeypatch, capsys):
    arguments = [*RUN, "--out", str(tmp_path)]
    with monkeypatch.context() as patch:
        patch.setattr(cli, "progress", stop(stage, step))
        assert main(arguments) == 130
    said = capsys.readouterr().err
    assert said.endswith(
        f"\nstopped. The same command goes on where it was:\n  {cli.PROGRAM} {shlex.join(arguments)}\n"
    )
    assert main(arguments) == 0
    for part, kind in (("teacher", Teacher), ("condensed", CondensedSet)):
        assert kind.load(tmp_path / part).id == kind.load(finished / part).id
    assert Score.load(tmp_path / "score").rows == Score.load(finished / "score").rows


def test_ctrl_c_in_a_real_process(tmp_path):
    arguments = [*COMMAND, *RUN, "--recover.steps", "100000", "--out", str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        log, deadline = tmp_path / "log.csv", time.monotonic() + 60
        while not (log.exists() and "recover" in log.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert (tmp_path / "condensed" / "progress.safetensors").exists()
    assert main(["inspect", str(tmp_path)]) == 0


def test_a_real_process_says_what_is_wrong_and_help_needs_no_torch():
    wrong = subprocess.run([*COMMAND, "recovr"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: unknown command 'recovr'. Did you mean 'recover'?")
    code = "import sys, sre2l_core.__main__ as m; m.main(['run', '--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_the_demo_is_the_digits_preset(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(presets.PRESETS, "digits", presets.get("digits/smoke"))
    assert main(["demo", "--out", str(tmp_path), "--seed", "3", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert f"\n  sre2l inspect {tmp_path}/condensed\n" in shown
    assert CondensedSet.load(tmp_path / "condensed").origin["config"]["seed"] == 3


@pytest.mark.parametrize(("found", "times"), [(None, 1), ("/somewhere/sre2l", 0)])
def test_the_demo_says_how_the_shell_finds_the_command(found, times, monkeypatch, capsys):
    monkeypatch.setattr(cli, "run_and_show", lambda *_: None)
    monkeypatch.setattr(cli, "which", lambda program: found)
    assert main(["demo"]) == 0
    assert capsys.readouterr().out.count(f"source {shlex.quote(sys.prefix)}/bin/activate ") == times


def test_a_full_device_is_told_in_one_message(monkeypatch, capsys):
    def fill():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80 GiB.\nmore")

    monkeypatch.setattr("sre2l_core.__main__.parse", lambda arguments: fill)
    assert main([]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: CUDA out of memory. Tried to allocate 80 GiB. What was finished is kept.")
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "status", "after"),
    [(signal.SIGINT, 130, 0.1), (signal.SIGTERM, 143, 0.5), (signal.SIGHUP, 129, 1), (signal.SIGINT, 130, 2)],
)
def test_signals_in_the_first_seconds_end_in_a_line(number, status, after, tmp_path):
    arguments = [*RUN, "--out", str(tmp_path / "run")]
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        until(lambda: handles(process.pid, number), within=30)  # Python itself has to come up first
        time.sleep(after)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == status, said
    assert "Traceback" not in said
    assert f"The same command goes on where it was:\n  {cli.PROGRAM} {shlex.join(arguments)}\n" in said


def test_a_reader_that_goes_away_is_no_error():
    line = f"{shlex.join(COMMAND)} presets | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert done.returncode in (0, 141)


def test_a_reader_that_is_gone_already_ends_with_the_status_of_a_broken_pipe():
    program = "import os, sys; from sre2l_core.__main__ import main; sys.exit(main(['presets']))"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", program], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (MemoryError(), 2, "error: out of memory. What was finished is kept. Use smaller batches"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
            2,
            "error: can't allocate memory: you tried to allocate 9 bytes. What was finished is kept.",
        ),
        (OSError(errno.EROFS, "x", "/place"), 2, "error: cannot write /place: Read-only file system. "),
        (OSError(errno.ENAMETOOLONG, "x", "/long"), 2, "error: cannot write /long: File name too long. "),
        (ZeroDivisionError("division by zero"), 1, "error: ZeroDivisionError: division by zero. This is a defect"),
    ],
)
def test_what_is_left_over_becomes_a_line_and_developers_see_where_it_arose(monkeypatch, capsys, error, code, message):
    def fail():
        raise error

    monkeypatch.setattr("sre2l_core.__main__.parse", lambda arguments: fail)
    assert main([]) == code
    said = capsys.readouterr().err
    assert said.startswith(message)
    assert "[Errno" not in said
    assert said.count("\n") == 1
    with pytest.raises(type(error)):
        main(["--traceback"])


def test_a_finished_run_can_be_looked_at_where_nobody_can_write(finished, monkeypatch, capsys):
    def refuse(*paths, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    for name in ("replace", "mkdir", "open"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert main([*RUN, "--out", str(finished)]) == 0
    shown = capsys.readouterr().out
    assert "| condensed | soft | convnet | 4 |" in shown
    assert "losses.png" in shown


@pytest.mark.parametrize("name", ["labels/labels/epoch_00000.safetensors", "score/score.md", "score/students.json"])
def test_damage_that_a_finished_run_need_not_read_is_never_certified(finished, tmp_path, name, capsys):
    shutil.copytree(finished, run := tmp_path / "run")
    whole = (run / name).read_bytes()
    (run / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert main([*RUN, "--out", str(run)]) == 0
    assert main(["inspect", str(run)]) == 2
    assert Path(name).name in capsys.readouterr().err
    (run / name).unlink()
    assert main([*RUN, "--out", str(run)]) == 0
    assert (run / name).read_bytes() == whole
    assert main(["inspect", str(run)]) == 0


def test_places_that_cannot_be_are_told_in_words(tmp_path, capsys):
    data = write_pictures(tmp_path / "data", {"a": 4, "b": 4})
    few = ["--preset", "folder/smoke", "--data-root", str(data), "--device", "cpu"]
    for command in ("run", "squeeze"):
        assert main([command, *few, "--out", str(data / "run")]) == 2
        assert "lies within the data" in capsys.readouterr().err
    assert main(["run", *few, "--out", str(tmp_path / "made")]) == 0
    made = ["--condensed", str(tmp_path / "made" / "condensed"), "--teacher", str(tmp_path / "made" / "teacher")]
    for line in (["validate", *made, "--epochs", "1"], ["recover", *made[2:], "--init", "real"]):
        assert main([*line, "--data-root", str(data), "--device", "cpu", "--out", str(data / "more")]) == 2
        assert "lies within the data" in capsys.readouterr().err
    assert sorted(path.name for path in data.iterdir()) == ["a", "b"]
    for out in ("x" * 300, "y/" * 3000):
        assert main([*RUN, "--out", str(tmp_path / out)]) == 2
        assert "File name too long. What was finished before is kept: choose a shorter name" in capsys.readouterr().err
    assert main(options("relabel --dry-run --codec nope --num-classes 3")) == 2
    assert "unknown codec 'nope'" in capsys.readouterr().err
    assert main([*RUN, "--out", str(tmp_path / "new"), "--squeeze.backbone-options", "num_classes=3"]) == 2
    assert "num_classes comes from the dataset" in capsys.readouterr().err


def test_figures_of_a_resumed_run_are_those_of_one_run(finished, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cli, "progress", stop("recover", 6))
        assert main([*RUN, "--out", str(tmp_path)]) == 130
    assert main([*RUN, "--out", str(tmp_path)]) == 0
    for name in ("log.csv", "losses.png"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()
