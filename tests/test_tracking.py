"""Trackers are listeners: TensorBoard's files, and the example of the documentation as it stands there."""

import re
from pathlib import Path

import pytest
import torch

from sre2l_core.errors import ConfigError
from sre2l_core.events import StepEvent
from sre2l_core.tracking import TensorBoard

PAGE = (Path(__file__).parents[1] / "docs" / "tracking.md").read_text(encoding="utf-8")


def points(folder):
    """Curve -> (step, value), as TensorBoard reads them."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder))
    found.Reload()
    return {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


@pytest.mark.filterwarnings("ignore")
def test_each_metric_is_a_curve_and_each_run_has_a_folder(tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard is missing: pip install 'sre2l-core[tracking]'")
    with TensorBoard(tmp_path / "board", every=5) as board:
        for step in range(1, 13):
            board(StepEvent("recover", step, 12, {"loss": torch.tensor(1.0 / step), "r_bn": 2.0}))
        board(StepEvent("validate", 1, 1, {"top1": 0.5}))
        board(StepEvent("validate", 1, 1))
        board(StepEvent("recover", 5, 12, {"loss": 9.0}))
    first, second = (points(tmp_path / "board" / name) for name in ("001", "002"))
    assert [step for step, _ in first["recover/loss"]] == [5, 10, 12]
    assert first["recover/loss"][2][1] == pytest.approx(1 / 12)
    assert first["validate/top1"] == [(1, 0.5)]
    assert second == {"recover/loss": [(5, 9.0)]}
    with TensorBoard(tmp_path / "board") as board:
        board(StepEvent("squeeze", 1, 1, {"loss": 1.0}))
    assert (tmp_path / "board" / "003").is_dir()


def test_without_the_package_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"pip install 'sre2l-core\[tracking\]'"):
        TensorBoard(tmp_path)


def test_the_tracker_of_the_documentation_is_one(tmp_path, monkeypatch, cpu):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    small = example.replace('presets.get("digits")', 'presets.get("digits/smoke")')
    assert small != example
    exec(compile(small, "docs/tracking.md", "exec"), {})
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert {re.search(r'"stage": "(\w+)"', line)[1] for line in lines} >= {"squeeze", "recover", "validate"}
