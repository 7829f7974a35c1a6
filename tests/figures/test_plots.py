"""Figures: which panels there are, what is drawn in them, and that they can be written."""

import csv

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image

from sre2l_core.artifacts import Score
from sre2l_core.config import RecoverConfig, RelabelConfig
from sre2l_core.events import CsvLog, StepEvent
from sre2l_core.figures import plots, theme
from sre2l_core.figures.colours import of_term
from sre2l_core.figures.encode import VEIL
from sre2l_core.runs.pipeline import Outcome
from sre2l_core.runs.report import draw_run, read_log
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.stages.recover import recover


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.fixture(scope="module")
def logged(tmp_path_factory, tiny_teacher, cpu):
    """The log of a short recovery."""
    path = tmp_path_factory.mktemp("log") / "log.csv"
    config = RecoverConfig(ipc=1, steps=20, alpha_tv=1e-3)
    recover(tiny_teacher, config, runtime=cpu, on_step=CsvLog(path))
    return path


def test_tiles_are_laid_out_row_by_row_under_a_veil():
    images = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(5, 1, 2, 2)
    picture = theme.tiles([images[:3], images[3:]], gap=1)
    shown, opacity = np.full((5, 8), -1), np.full((5, 8), VEIL)
    for index in range(5):
        top, left = 3 * (index // 3), 3 * (index % 3)
        shown[top : top + 2, left : left + 2], opacity[top : top + 2, left : left + 2] = index, 255
    opacity[3:, 5:] = 0  # no image there
    assert picture[..., 3].tolist() == opacity.tolist()
    for channel in range(3):
        assert np.where(opacity == 255, picture[..., channel].astype(int), -1).tolist() == shown.tolist()
    assert theme.tiles([images.expand(5, 3, 2, 2)]).shape == (2, 14, 4)


def test_condensed_images_beside_real_ones(tiny_condensed, tiny_data):
    left, right = plots.images_figure(tiny_condensed, tiny_data, max_classes=4).axes
    assert left.get_title() == "condensed, 3 of each class"
    assert right.get_title() == "real, 3 of each class"
    assert [text.get_text() for text in left.get_yticklabels()] == ["ant", "bee", "cat", "dog"]
    made, real = (axes.images[0].get_array() for axes in (left, right))
    assert made.shape == real.shape == (4 * 9 - 1, 3 * 9 - 1, 4)
    first = tiny_condensed.images[tiny_condensed.labels == 1][0].permute(1, 2, 0).numpy()
    assert np.array_equal(made[9:17, :8, :3], first)
    assert (made[9:17, :8, 3] == 255).all()
    assert (made[9:17, 18:, 3] == 0).all()  # the second class has two images only


def test_the_log_is_read_by_stage(logged, tmp_path):
    log = read_log(logged, "recover")
    assert set(log) == {"loss", "ce", "r_bn", "r_tv"}
    assert [step for step, _ in log["loss"]] == [10, 20]
    rows = [row for row in csv.DictReader(logged.read_text().splitlines()) if row["metric"] == "ce"]
    assert [value for _, value in log["ce"]] == [float(row["value"]) for row in rows]
    assert read_log(logged, "squeeze") == read_log(tmp_path / "none.csv", "recover") == {}


def test_losses_are_drawn_term_by_term(logged):
    log = read_log(logged, "recover")
    (axes,) = plots.losses_figure(log).axes
    assert axes.get_yscale() == "log"
    assert axes.get_xlabel() == "recovery step"
    assert legend(axes) == ["total", "cross-entropy", "R_BN", "R_TV"]
    assert [line.get_color() for line in axes.lines] == [of_term(name) for name in ("loss", "ce", "r_bn", "r_tv")]
    assert axes.lines[2].get_ydata().tolist() == [value for _, value in log["r_bn"]]


def test_a_new_term_is_in_the_legend(tiny_teacher, cpu, tmp_path, new_term):
    config = RecoverConfig(ipc=1, steps=10, alpha_mean=0.5)
    recover(tiny_teacher, config, runtime=cpu, on_step=CsvLog(tmp_path / "log.csv"))
    (axes,) = plots.losses_figure(read_log(tmp_path / "log.csv", "recover")).axes
    assert legend(axes) == ["total", "cross-entropy", "R_BN", "mean brightness"]
    assert len({line.get_color() for line in axes.lines}) == 4


def test_a_term_that_is_not_installed_here_is_drawn_too():
    log = {"r_else": [(1, 2.0), (2, 1.0)], "ce": [(1, 3.0), (2, 2.0)]}
    assert legend(plots.losses_figure(log).axes[0]) == ["cross-entropy", "r_else"]


def test_the_embedding_shows_every_image_once(tiny_condensed, tiny_data, tiny_teacher, cpu):
    figure = plots.embedding_figure(tiny_condensed, tiny_data, tiny_teacher, runtime=cpu, per_class=3)
    (axes,) = figure.axes
    assert legend(axes) == ["ant", "bee", "cat", "dog", "eel", "real", "condensed"]
    sizes = [len(dots.get_offsets()) for dots in axes.collections[:10]]
    assert sizes == [3, 3, 3, 2, 3, 2, 3, 2, 3, 2]


def test_named_rows(tiny_condensed):
    rows = {"first": tiny_condensed.images[:3], "second": tiny_condensed.images[3:5]}
    (axes,) = plots.rows_figure(rows, ["a, b", "c", "d"], title="title").axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["first", "second"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["a", "c", "d"]
    assert axes.get_title() == "title"
    assert axes.images[0].get_array().shape == (17, 26, 4)


def test_batchnorm_statistics_by_channel(tiny_teacher, tiny_data, cpu):
    batches = {"real": tiny_data.spec.normalize(tiny_data.train.images), "noise": torch.randn(20, 3, 8, 8)}
    figure = plots.bn_statistics_figure(tiny_teacher, batches, runtime=cpu)
    mean, var = figure.axes
    assert (mean.get_title(), var.get_title()) == ("mean", "variance")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["remembered", "real", "noise"]
    remembered = next(m for m in tiny_teacher.net.modules() if isinstance(m, torch.nn.BatchNorm2d)).running_mean
    assert np.allclose(mean.lines[0].get_ydata(), remembered.sort().values.numpy())


def test_soft_labels_of_the_crops_of_an_image(tiny_condensed, tiny_teacher, cpu):
    labels = LiveLabels(tiny_teacher, tiny_condensed, RelabelConfig(epochs=4), runtime=cpu)
    figure = plots.soft_label_figure(tiny_condensed, labels, 7, temperature=5.0, epochs=(0, 3))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:3] == ["image of class cat", "its crop in epoch 1", "its crop in epoch 4"]
    for axes in figure.axes[4:]:
        assert sum(bar.get_height() for bar in axes.patches) == pytest.approx(1, abs=1e-5)
    assert len(figure.axes[0].patches) == 2


@pytest.mark.parametrize("with_log", [True, False])
def test_a_run_leaves_pictures(with_log, logged, tmp_path, tiny_condensed, tiny_data, tiny_teacher, cpu):
    if with_log:
        (tmp_path / "log.csv").write_bytes(logged.read_bytes())
    labels = LiveLabels(tiny_teacher, tiny_condensed, RelabelConfig(), runtime=cpu)
    names = draw_run(Outcome(tiny_data, tiny_teacher, tiny_condensed, labels, Score(())), tmp_path, runtime=cpu)
    assert names == ["condensed.png", *(["losses.png"] if with_log else []), "embedding.png"]
    for name in names:
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 200
            white = Image.new("RGBA", picture.size, "white")
            seen = Image.alpha_composite(white, picture.convert("RGBA")).convert("L")
            assert len(np.unique(np.asarray(seen))) > 20


def test_an_empty_log_has_no_rows(tmp_path):
    CsvLog(tmp_path / "log.csv")(StepEvent("recover", 1, 100, {"loss": 1.0}))
    assert read_log(tmp_path / "log.csv", "recover") == {}


def test_figures_bring_no_ground_and_write_in_grey(logged):
    figure = plots.losses_figure(read_log(logged, "recover"))
    (axes,) = figure.axes
    assert figure.get_facecolor()[3] == axes.get_facecolor()[3] == 0
    figure.draw_without_rendering()
    words = [axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_legend().get_texts()]
    assert {to_hex(text.get_color()) for text in words} == {theme.INK}
