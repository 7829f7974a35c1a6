"""RelabelPanel without a front end: the very labels that relabelling stores, temperature at once, clicks, costs."""

import time
from collections.abc import Iterator

import pytest
import torch

from sre2l_core import relabel
from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.config import RelabelConfig
from sre2l_core.errors import ConfigError
from sre2l_core.runtime import Runtime
from sre2l_core.studies.crops import Crops, CropStudy
from sre2l_core.widgets import RelabelPanel
from sre2l_core.worker import State

CONFIG = RelabelConfig(epochs=6, crop_scale=(0.3, 1.0))
SOON = 30.0


@pytest.fixture
def panel(tiny_teacher: Teacher, tiny_condensed: CondensedSet, cpu: Runtime) -> Iterator[RelabelPanel]:
    options = {"topk": {"k": 2}}
    panel = RelabelPanel(tiny_teacher, tiny_condensed, CONFIG, crops=4, codec_options=options, runtime=cpu)
    yield panel
    panel.close()


def test_labels_are_those_that_relabelling_stores(
    panel: RelabelPanel, tiny_teacher: Teacher, tiny_condensed: CondensedSet, cpu: Runtime
) -> None:
    panel.image = 7
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    assert panel.error == ""
    stored = relabel(tiny_teacher, tiny_condensed, CONFIG, runtime=cpu)
    expected = torch.cat([stored.logits(epoch, torch.tensor([7])) for epoch in range(4)])
    torch.testing.assert_close(panel.crops.logits, expected, rtol=2e-3, atol=2e-2)  # stored as fp16
    boxes = torch.stack([stored.views(epoch).box[7] for epoch in range(4)])
    assert panel.crops.box.tolist() == boxes.tolist()
    assert panel.crops.pixels.shape == (4, 3, 8, 8)


def test_a_click_looks_at_another_image(panel: RelabelPanel) -> None:
    panel.picks[3].click()
    assert panel.wait(SOON) is State.FINISHED
    assert (panel.image, panel._number.value, panel.crops.index) == (3, 3, 3)
    assert "sre-chosen" in panel.picks[3]._dom_classes
    assert "sre-chosen" not in panel.picks[0]._dom_classes
    before = panel._html["crops"].value
    panel._number.value = 4
    assert panel._html["crops"].value == before  # until the new crops are there
    assert panel.wait(SOON) is State.FINISHED
    assert panel.crops.index == 4
    assert panel._html["crops"].value.count("<image") == 4


def test_temperature_redraws_at_once_and_labels_nothing(panel: RelabelPanel) -> None:
    panel.start()
    panel.wait(SOON)
    run, crops, before = panel.run, panel.crops, panel._html["crops"].value
    started = time.perf_counter()
    panel.temperature = 2
    assert time.perf_counter() - started < 0.5
    assert panel.run is run
    assert panel.crops is crops
    assert panel._html["crops"].value != before
    assert "T = 2 " in panel.status
    panel._slider.set_state({"index": 0})
    assert panel.temperature == pytest.approx(0.1)
    with pytest.raises(ConfigError, match="temperature"):
        panel.temperature = 0


def test_crop_scale_looks_again(panel: RelabelPanel) -> None:
    panel.start()
    panel.wait(SOON)
    before = panel.crops.box.tolist()
    panel.crop_scale = (0.05, 0.1)
    assert panel.wait(SOON) is State.FINISHED
    assert panel.crops.box.tolist() != before
    assert int(panel.crops.box[:, 2:].prod(1).max()) <= 12


def test_costs_are_those_of_the_codecs(panel: RelabelPanel) -> None:
    panel.start()
    panel.wait(SOON)
    costs = {cost.codec: cost for cost in panel.costs}
    assert costs["fp16"].bytes_per_label == 10
    assert costs["fp16"].total == 10 * 11 * 6
    assert costs["fp16"].per_image == pytest.approx(10 * 6 / (3 * 8 * 8))
    assert costs["topk"].bytes_per_label == 12
    assert costs["fp16"].lost < costs["int8"].lost < costs["topk"].lost
    assert "fp16" in panel._html["codecs"].value
    picture = panel.picture()
    assert picture.width > 300
    whole, against, agree, cards = panel._views
    for name, view in (("whole", whole), ("against", against), ("agree", agree)):
        assert view.drawings in panel._html[name].value
        assert view.drawings.body in picture
    assert len(cards.drawings) == 4
    assert all(card in panel._html["crops"].value and card.body in picture for card in cards.drawings)


def test_agreement_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [20.0, -20.0], [20.0, -20.0]])
    crops = Crops(0, torch.zeros(3, 4), torch.zeros(3), torch.zeros(3, 1, 2, 2), logits)
    expected = torch.tensor([[1, 0.5, 0.5], [0.5, 1, 1], [0.5, 1, 1]])
    torch.testing.assert_close(crops.agreement(1.0), expected, rtol=0, atol=1e-6)
    assert crops.mean_agreement(1.0) == pytest.approx(2 / 3)
    assert crops.mean_agreement(1e4) == pytest.approx(1, abs=1e-2)
    assert crops.same_top() == 1
    assert crops.top(1, 1.0)[1] == [(0, pytest.approx(1))]


def test_what_cannot_be_shown_is_refused(
    panel: RelabelPanel, tiny_teacher: Teacher, tiny_condensed: CondensedSet, cpu: Runtime
) -> None:
    with pytest.raises(ConfigError, match="images 0 to 10, got 11"):
        panel.image = 11
    with pytest.raises(ConfigError, match="whole batch"):
        CropStudy(tiny_teacher, tiny_condensed, CONFIG.but(teacher_mode="batch"), runtime=cpu)
    with pytest.raises(RuntimeError, match="start the panel first"):
        panel.snapshot()
