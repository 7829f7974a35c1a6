"""`sre2l search`: from ranges to two tables; what is wrong is said in one line."""

import pytest

from sre2l_core.__main__ import main

SMALL = [
    *("--preset", "digits/smoke", "--set", "data.resolution=8", "--set", "validate.seeds=1", "--device", "cpu"),
    *("--holdout", "0.4", "--trials", "2"),
]


def shown(capsys, *arguments, status=0):
    assert main(["search", *map(str, arguments)]) == status
    out, err = capsys.readouterr()
    return " ".join((err if status else out).split())


def test_from_ranges_to_tables(tmp_path, capsys):
    pytest.importorskip("optuna", reason="Optuna is missing: pip install 'sre2l-core[search]'")
    line = [
        *SMALL,
        "--range",
        "recover.alpha_bn=0.1,2,log",
        "--choice",
        "recover.crop=resized,none",
        "--out",
        tmp_path / "s",
    ]
    told = shown(capsys, *line)
    assert "trial 1: " in told
    assert "Chosen on 40 % of the training images, held out with seed 0" in told
    names = {path.name for path in (tmp_path / "s").glob("search*.*")}
    assert names == {f"search{which}.{end}" for which in ("", "-judged") for end in ("md", "csv", "tex")}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "a search needs settings and a range or values"),
        (["--range", "recover.alpha_bn"], "expected STAGE.FIELD=VALUE,VALUE"),
        (["--range", "recover.alpha_bn=1"], "--range takes STAGE.FIELD=LOW,HIGH"),
        (["--range", "recover.alpha_bn=0.1,1,lug"], "--range takes STAGE.FIELD=LOW,HIGH"),
        (["--range", "recover.alpha_bn=2,1"], "a range goes from a number to a larger one"),
        (["--range", "recover.alpha_nb=1,2"], "Did you mean 'recover.alpha_bn'"),
        (["--range", "recover.ipc=1,2", "--choice", "recover.ipc=1,2"], "recover.ipc is named twice"),
        (["--range", "recover.ipc=1,2", "--set", "recover.steps=1,2"], "--set takes one value of recover.steps"),
        (["--range", "recover.ipc=1,2", "--holdout", "0"], "would choose by the test images"),
    ],
)
def test_nonsense_is_answered_in_a_line(words, told, tmp_path, capsys):
    assert told in shown(capsys, *SMALL, *words, "--out", tmp_path / "new", status=2)
    assert not (tmp_path / "new").exists()
