"""`sre2l plan`: the table, and what is wrong in one line."""

import pytest

from sre2l_core.__main__ import main

SMOKE = ["plan", "--preset", "digits/smoke", "--resolution", "8", "--device", "cpu", "--seconds", "0.01"]


def test_a_plan_is_a_table_of_four_stages(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*SMOKE, "--workers", "2", "--recover.ipc", "5"]) == 0
    told = capsys.readouterr().out
    assert "digits/smoke, shared by 2 workers" in told
    names = [line.split()[0] for line in told.splitlines() if line][1:7]
    assert names == ["stage", "squeeze", "recover", "relabel", "validate", "all"]
    assert "1 group of 10 images, 4 steps each" in told
    assert "measured here (cpu, " in told
    assert not list(tmp_path.iterdir())


def test_the_help_says_what_is_measured(capsys):
    assert main(["plan", "--preset", "imagenet-1k/resnet18/reference", "--help"]) == 0
    told = capsys.readouterr().out
    for option in ("--preset", "--workers", "--seconds", "--out", "--recover.ipc", "--validate.students"):
        assert option in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "imagenet-1k/resnt18/reference"], "Did you mean 'imagenet-1k/resnet18/reference'"),
        (["--workers", "0"], "at least one worker (got 0)"),
        (["--workers", "-3"], "at least one worker (got -3)"),
        (["--seconds", "0"], "more than 0 seconds (got 0)"),
        (["--seconds", "nan"], "more than 0 seconds (got nan)"),
        (["--device", "cudda"], "device 'cudda' cannot be used"),
        (["--data", "folder"], "folder"),
        (["--recover.init", "nois"], "Did you mean 'noise'"),
    ],
)
def test_wrong_input_is_one_line(words, said, capsys):
    assert main(["plan", *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("error:") == 1
    assert "Traceback" not in told
