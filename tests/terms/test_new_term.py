"""A regulariser is one file, or one `register` in a cell; the command line and recovery know it by its name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import sre2l_core
from sre2l_core import terms
from sre2l_core.__main__ import main, parse
from sre2l_core.config import RecoverConfig
from sre2l_core.errors import ConfigError
from sre2l_core.stages.recover import Recovery, plan

FILE = '''"""R_mean: images should be neither bright nor dark."""

from sre2l_core.config import setting
from sre2l_core.terms import Term


def r_mean(seen):
    return seen.per_group(seen.views.mean((1, 2, 3)) ** 2)


weight = setting(0.5, ge=0, le=100, label="α_mean", slider=(0.01, 10), log=True, description="weight of R_mean")
PLUGINS = {"r_mean": Term("R_mean", "a test", r_mean, "alpha_mean", weight)}
'''


def test_one_file_and_the_command_line_has_it(tmp_path):
    package = tmp_path / "sre2l_core"
    shutil.copytree(Path(sre2l_core.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "terms" / "r_mean.py").write_text(FILE)
    where = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for command, option in (("recover", "--alpha-mean"), ("run", "--recover.alpha-mean")):
        words = [sys.executable, "-m", "sre2l_core", command, "--help"]
        shown = subprocess.run(words, cwd=tmp_path, env=where, capture_output=True, text=True, check=True).stdout
        assert option in shown
        assert "weight of R_mean" in " ".join(shown.split())
        assert "0.5" in shown


def test_what_a_cell_registers_is_in_the_command_line_too(new_term, capsys):
    for command, option in (("recover", "--alpha-mean"), ("run", "--recover.alpha-mean")):
        assert main([command, "--help"]) == 0
        shown = capsys.readouterr().out
        assert option in shown
        assert "weight of the mean brightness" in " ".join(shown.split())
    assert parse(["recover", "--teacher", "t", "--out", "o", "--alpha-mean", "0.25"]).config.alpha_mean == 0.25


def test_its_weight_is_bounded_kept_and_used(new_term, tiny_teacher, cpu):
    config = RecoverConfig(ipc=1, steps=5, alpha_mean=3)
    assert RecoverConfig.of(config.model_dump(mode="json")) == config
    with pytest.raises(ConfigError, match=r"RecoverConfig\.alpha_mean"):
        RecoverConfig(alpha_mean=101)
    assert terms.active(config)[new_term] == 3
    event = Recovery(tiny_teacher, plan(config, tiny_teacher.spec), config, runtime=cpu).step()
    assert {"loss", "ce", "r_bn", new_term} == event.metrics.keys()
    others = event.metrics["ce"] + event.metrics["r_bn"]
    torch.testing.assert_close(event.metrics["loss"], others + 3 * event.metrics[new_term])


def test_configs_made_before_it_have_its_default(request):
    before = RecoverConfig(ipc=3)
    request.getfixturevalue("new_term")
    assert before.alpha_mean == 0
    assert before.but(alpha_mean=2).alpha_mean == 2
    assert "r_mean" not in terms.active(before)
    with pytest.raises(AttributeError, match="alpha_maen"):
        _ = before.alpha_maen


def test_it_is_gone_after_a_test(tiny_teacher):
    assert "r_mean" not in terms.all_terms()
    with pytest.raises(ConfigError, match="alpha_mean"):
        RecoverConfig(alpha_mean=1)
