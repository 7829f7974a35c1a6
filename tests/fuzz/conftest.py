"""What is damaged: a small run, made once for each file of tests."""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import pytest
from attacks import RUN

from sre2l_core.__main__ import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a finished run."""
    folder = tmp_path_factory.mktemp("run") / "run"
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        assert main([*RUN, "--out", str(folder)]) == 0
    return folder
