"""SqueezePanel without a front end: the same network as `squeeze` makes, curves, BatchNorm's memory, confusion."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
import torch
import waiting

from sre2l_core import squeeze
from sre2l_core.config import SqueezeConfig
from sre2l_core.data import Dataset
from sre2l_core.errors import ConfigError
from sre2l_core.runtime import Runtime
from sre2l_core.stages.training import class_accuracy, confusion
from sre2l_core.studies.diagnose import bn_memory, worst_confusions
from sre2l_core.widgets import SqueezePanel
from sre2l_core.worker import State

CONFIG = SqueezeConfig(
    backbone="convnet", backbone_options={"depth": 2, "width": 8}, epochs=3, batch_size=20, lr=0.05, flip=0
)
SOON = 30.0
until = partial(waiting.until, within=SOON)


@pytest.fixture
def panel(tiny_data: Dataset, cpu: Runtime) -> Iterator[SqueezePanel]:
    panel = SqueezePanel(tiny_data, CONFIG, runtime=cpu)
    yield panel
    panel.close()


def test_trains_the_very_network_that_squeeze_does(panel: SqueezePanel, tiny_data: Dataset, cpu: Runtime) -> None:
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    assert panel.error == ""
    expected = squeeze(tiny_data, CONFIG, runtime=cpu)
    assert panel.teacher.id == expected.id
    assert panel.teacher.accuracy == expected.accuracy


def test_shows_curves_memory_and_confusion(panel: SqueezePanel, tiny_data: Dataset) -> None:
    assert "nothing yet" in panel._html["loss"].value
    assert "after the first epoch" in panel._html["confusion"].value
    panel.start()
    panel.wait(SOON)
    training = panel.training
    assert [step for step, _ in training.loss] == list(range(1, 10))
    assert [step for step, _ in training.val] == [3, 6, 9]
    assert int(panel.confusion.sum()) == len(tiny_data.val)
    assert training.val[-1][1] == pytest.approx(panel.teacher.accuracy["top1"])
    assert "polyline" in panel._html["loss"].value
    assert panel._html["bn-mean"].value.count("<rect") == 2
    assert "epoch 3/3" in panel.status
    picture = panel.picture()
    assert picture.width > 300
    for name, view in panel._views.items():
        assert view.drawings in panel._html[name].value
        assert view.drawings.body in picture
    assert f"validation images {training.val[-1][1]:.1%} right" in picture


def test_the_learning_rate_changes_while_it_runs_and_is_marked(tiny_data: Dataset, cpu: Runtime) -> None:
    panel = SqueezePanel(tiny_data, CONFIG.but(epochs=2000), runtime=cpu)
    panel.start()
    until(lambda: panel.event)
    panel.controls["lr"].value = panel.controls["lr"].options[2][1]
    with pytest.raises(RuntimeError, match="being trained"):
        _ = panel.teacher
    until(lambda: panel.stage._known.changes)
    assert panel.stop()
    assert panel.wait(SOON) is State.STOPPED
    assert panel.stage.trainer.config.lr == panel.lr
    assert panel.stage.curves().changes[0][1] == f"lr = {panel.lr:g}"
    assert panel.teacher.accuracy
    with pytest.raises(ConfigError, match="lr"):
        panel.lr = -1
    panel.close()


def test_before_the_first_step_it_says_what_to_do(panel: SqueezePanel) -> None:
    for ask in (lambda: panel.teacher, lambda: panel.confusion, lambda: panel.training, panel.snapshot):
        with pytest.raises(RuntimeError, match="start the panel first"):
            ask()


def test_a_network_that_does_not_exist_is_said_in_the_panel(tiny_data: Dataset, cpu: Runtime) -> None:
    panel = SqueezePanel(tiny_data, CONFIG.but(backbone="convnett", backbone_options={}), runtime=cpu)
    panel.start()
    assert panel.wait(SOON) is State.FAILED
    assert "convnett" in panel.error
    panel.close()


def test_confusion_counts_by_hand(tiny_data: Dataset, cpu: Runtime) -> None:
    class Always(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(torch.full((len(images),), 2), 5).float()

    net = Always().train()
    counts = confusion(net, tiny_data.val, cpu)
    assert counts[:, 2].tolist() == [5] * 5
    assert int(counts.sum()) == 25
    assert net.training
    assert class_accuracy(counts).tolist() == [0, 0, 1, 0, 0]
    assert worst_confusions(counts, 2) == [(0, 2, 5), (1, 2, 5)]
    assert worst_confusions(torch.eye(3, dtype=torch.int64)) == []


def test_memory_reads_the_running_statistics() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 5, 1), torch.nn.BatchNorm2d(5))
    net[1].running_mean.copy_(torch.tensor([4.0, 0.0, 1.0, 3.0, 2.0]))
    net[1].running_var.fill_(9)
    (layer,) = bn_memory(net)
    assert (layer.name, layer.channels) == ("1", 5)
    assert layer.mean == pytest.approx((0.2, 1, 2, 3, 3.8))
    assert layer.std == pytest.approx((3, 3, 3, 3, 3))


def test_what_the_loader_left_out_is_shown_as_text(tiny_data: Dataset, cpu: Runtime) -> None:
    data = replace(tiny_data, notes=("left out: 2 <b>gif</b> files",))
    panel = SqueezePanel(data, CONFIG, runtime=cpu)
    assert "left out: 2 &lt;b&gt;gif&lt;/b&gt; files" in panel._numbers.value
    panel.close()
