"""Appendix D: bounds on information against cases whose information is known, invariances, and bad input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sre2l_core.artifacts import CondensedSet, Teacher
from sre2l_core.errors import ConfigError, DataError
from sre2l_core.theory import (
    Information,
    information,
    input_compression_bound,
    log_ratios,
    measure,
    pac_bound,
    spread,
)


def gaussian(count: int, *stds: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1000 + seed)  # other numbers than those of the noise
    return torch.randn(count, len(stds), generator=generator, dtype=torch.float64) * torch.tensor(stds)


@pytest.mark.parametrize("stds", [(1.0,), (3.0,), (0.3,), (1.0, 1.0), (2.0, 0.5, 0.1)])
def test_a_gaussian_lies_between_the_bounds_and_they_are_close(stds: tuple[float, ...]) -> None:
    """I = 1/2 Σ log2(1 + s² / σ²): the capacity of parallel Gaussian channels."""
    known = sum(0.5 * math.log2(1 + std**2) for std in stds)
    found = information(gaussian(2000, *stds), sigma=1.0, draws=4)
    assert found.lower <= known + 3 * found.error
    assert known - 3 * found.error <= found.upper
    assert found.upper - found.lower < 0.02 + 0.05 * known
    assert found.error < 0.05


def test_the_bounds_are_on_their_sides_on_average_over_samples() -> None:
    """Ten images in five dimensions: far from the truth, where a wrong mean over images would show."""
    known = 2.5 * math.log2(1 + 1)
    found = [information(gaussian(10, *[1.0] * 5, seed=seed), 1.0, draws=4, seed=seed) for seed in range(200)]
    uppers, lowers = np.array([one.upper for one in found]), np.array([one.lower for one in found])
    assert uppers.mean() - 3 * uppers.std() / math.sqrt(200) > known
    assert lowers.mean() + 3 * lowers.std() / math.sqrt(200) < known


@pytest.mark.parametrize(("places", "copies"), [(2, 50), (5, 8), (16, 2)])
def test_points_far_apart_are_counted(places: int, copies: int) -> None:
    """K places, m images at each: the mean over the others knows m - 1 of K m - 1, the mean over all 1 of K."""
    points = (1000.0 * torch.eye(places)).repeat(copies, 1)
    found = information(points, 1.0)
    assert found.upper == pytest.approx(math.log2((places * copies - 1) / (copies - 1)))
    assert found.lower == pytest.approx(math.log2(places))


def test_the_upper_bound_of_single_far_points_grows_without_end_and_the_lower_ends_at_log_n() -> None:
    points = torch.eye(8)
    found = [information(points, sigma) for sigma in (0.1, 0.01, 0.001)]
    assert [one.lower for one in found] == pytest.approx([3.0] * 3)
    assert found[1].upper > 50 * found[0].upper > 50 * 3
    assert found[2].upper > 50 * found[1].upper


def test_much_noise_leaves_nothing() -> None:
    found = information(gaussian(500, 1.0, 1.0), sigma=1e4)
    assert found.upper == pytest.approx(0, abs=1e-3)
    assert found.lower == pytest.approx(0, abs=1e-3)


def test_one_draw_is_the_formula_of_the_paper() -> None:
    points, seen, sigma = gaussian(7, 1.0, 2.0), gaussian(7, 1.5, 2.5, seed=1), 0.7
    upper, lower = [], []
    for i in range(7):
        likely = [
            np.exp(-((seen[i] - points[j]) ** 2).sum().item() / (2 * sigma**2)) / (2 * np.pi * sigma**2)
            for j in range(7)
        ]
        upper.append(np.log2(likely[i] / (sum(likely[j] for j in range(7) if j != i) / 6)))
        lower.append(np.log2(likely[i] / (sum(likely) / 7)))
    found = log_ratios(points / sigma, seen / sigma)
    assert found[0].tolist() == pytest.approx(upper)
    assert found[1].tolist() == pytest.approx(lower)


def test_images_in_parts_are_the_same_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    points = gaussian(23, 1.0, 1.0)
    whole = log_ratios(points, points + 0.5)
    monkeypatch.setattr("sre2l_core.theory._AT_ONCE", 100)
    assert torch.allclose(log_ratios(points, points + 0.5), whole)


@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3), shift=st.floats(-1e6, 1e6))
def test_order_place_and_scale_do_not_matter(seed: int, scale: float, shift: float) -> None:
    points, noise = gaussian(12, 1.0, 2.0, seed=seed), gaussian(12, 1.0, 1.0, seed=seed + 1)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    alone = log_ratios(points, points + noise)
    assert torch.allclose(log_ratios(points[order], (points + noise)[order]), alone[:, order])
    plain, moved = information(points, 0.8, seed=seed), information(scale * (points + shift), scale * 0.8, seed=seed)
    assert (moved.lower, moved.upper) == pytest.approx((plain.lower, plain.upper), rel=1e-5, abs=1e-5)
    assert spread(scale * (points + shift)) == pytest.approx(scale * spread(points), rel=1e-5)


def test_a_rotation_changes_nothing_but_the_noise_that_is_drawn() -> None:
    points = gaussian(400, 2.0, 0.5)
    turned = points @ torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    one, other = information(points, 1.0), information(turned, 1.0)
    assert one.upper == pytest.approx(other.upper, abs=3 * (one.error + other.error))
    assert one.upper != other.upper


def test_the_seed_fixes_the_noise_and_more_draws_average_it() -> None:
    points = gaussian(50, 1.0, 1.0)
    assert information(points, 1.0, seed=3) == information(points, 1.0, seed=3)
    assert information(points, 1.0, seed=3) != information(points, 1.0, seed=4)
    few, many = ([information(points, 1.0, draws=n, seed=s).upper for s in range(20)] for n in (1, 32))
    assert np.std(many) < 0.5 * np.std(few)


def test_spread_is_the_standard_deviation_of_all_dimensions_together() -> None:
    points = torch.tensor([[1.0, 10.0], [3.0, 10.0]])
    assert spread(points) == pytest.approx(math.sqrt(0.5))


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (torch.ones(5, 3), "all 5 images are alike"),
        (torch.zeros(5, 3), "all 5 images are alike"),
        (torch.full((4, 2), 1 / 3), "all 4 images are alike"),
        (1 + 1e-7 * torch.arange(6.0)[:, None].expand(-1, 3), "all 6 images are alike"),  # but for rounding
        (torch.tensor([[1e200], [0.0]], dtype=torch.float64), r"as large as 1e\+200"),
        (torch.tensor([[0.0], [1.0], [math.inf]]), "image 2 are infinite or no numbers"),
        (torch.tensor([[math.nan], [1.0]]), "image 0 are infinite or no numbers"),
        (torch.zeros(1, 3), r"at least two images \(got \[1, 3\]\)"),
        (torch.zeros(4), r"must be \[N, D\]"),
        (torch.zeros(0, 3), "at least two images"),
    ],
)
def test_features_that_cannot_be_measured_are_refused(points: torch.Tensor, said: str) -> None:
    for ask in (spread, lambda given: information(given, 1.0)):
        with pytest.raises(DataError, match=said):
            ask(points)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf])
def test_noise_must_be_there(sigma: float) -> None:
    with pytest.raises(ConfigError, match="sigma must be a number above 0"):
        information(torch.eye(3), sigma)


def test_too_little_noise_and_no_draws_are_refused() -> None:
    with pytest.raises(ConfigError, match="too little"):
        information(torch.eye(3), 1e-200)
    with pytest.raises(ConfigError, match=r"draws must be at least 1 \(got 0\)"):
        information(torch.eye(3), 1.0, draws=0)


def test_bounds_on_the_gap_are_the_papers() -> None:
    assert pac_bound(math.log(1000), 50, 0.05) == pytest.approx(math.sqrt((math.log(1000) + math.log(20)) / 100))
    assert input_compression_bound(3.0, 100, 0.1) == pytest.approx(math.sqrt((8 + math.log(10)) / 200))
    assert input_compression_bound(0.0, 1, 0.5) == pytest.approx(math.sqrt((1 + math.log(2)) / 2))
    assert Information(1.0, 2.5, 0.1, 40).gap(0.2) == pytest.approx(math.sqrt((2**2.5 + math.log(5)) / 80))
    assert Information(-0.1, -0.01, 0.1, 40).gap() == input_compression_bound(0.0, 40)


def test_more_images_and_less_information_lower_the_bound_and_too_much_makes_it_infinite() -> None:
    bounds = [input_compression_bound(bits, n) for bits, n in ((5.0, 10), (5.0, 100), (2.0, 100))]
    assert bounds[0] > bounds[1] > bounds[2]
    assert input_compression_bound(1e6, 100) == math.inf
    assert input_compression_bound(math.inf, 100) == math.inf


@pytest.mark.parametrize("images", [0, -5])
def test_a_bound_needs_images(images: int) -> None:
    with pytest.raises(ConfigError, match="at least one training image"):
        input_compression_bound(1.0, images)


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, math.nan])
def test_delta_is_a_probability_of_neither_never_nor_always(delta: float) -> None:
    with pytest.raises(ConfigError, match="delta must be between 0 and 1"):
        input_compression_bound(1.0, 10, delta)


@pytest.mark.parametrize("bits", [-0.1, math.nan])
def test_information_is_not_negative(bits: float) -> None:
    with pytest.raises(ConfigError, match="0 bits or more"):
        input_compression_bound(bits, 10)
    with pytest.raises(ConfigError, match="0 or more"):
        pac_bound(bits, 10)


def test_sets_are_measured_under_one_noise(tiny_teacher, tiny_data, tiny_condensed, cpu) -> None:
    real = CondensedSet(tiny_data.train.images, tiny_data.train.labels, tiny_data.spec)
    found = measure(tiny_teacher, {"real": real, "few": tiny_condensed}, (0.01, 1.0, 100.0), runtime=cpu)
    assert {name: one.images for name, one in found.items()} == {"real": 60, "few": 11}
    for one in found.values():
        uppers = [bits.upper for bits in one.information]
        assert uppers == sorted(uppers, reverse=True)
        assert one.recognised[0] > 0.9
        assert one.recognised[-1] < 0.6
    with torch.no_grad():
        body = nn.Sequential(*list(tiny_teacher.net.children())[:-1])
        points = body(tiny_data.spec.normalize(real.images)).flatten(1)
    alone = information(points, float((points - points.mean(0)).square().mean().sqrt()))
    assert found["real"].information[1].upper == pytest.approx(alone.upper)
    assert found["few"].information[1].upper != pytest.approx(alone.upper)


def test_sets_that_cannot_be_measured_are_refused(tiny_teacher, tiny_data, tiny_condensed, tiny_spec, cpu) -> None:
    own = tiny_condensed.labels == 0
    alone = CondensedSet(tiny_condensed.images[own], tiny_condensed.labels[own], tiny_spec)
    with pytest.raises(DataError, match=r"alone: all 3 images are of 1 class"):
        measure(tiny_teacher, {"all": tiny_condensed, "alone": alone}, runtime=cpu)
    grey = CondensedSet(torch.full_like(tiny_condensed.images, 90), tiny_condensed.labels, tiny_spec)
    with pytest.raises(DataError, match="grey: the features of all 11 images are alike"):
        measure(tiny_teacher, {"grey": grey}, runtime=cpu)
    with pytest.raises(ConfigError, match="nothing to measure"):
        measure(tiny_teacher, {}, runtime=cpu)
    with pytest.raises(ConfigError, match="nothing to measure"):
        measure(tiny_teacher, {"all": tiny_condensed}, (), runtime=cpu)
    with pytest.raises(ConfigError, match="above 0"):
        measure(tiny_teacher, {"all": tiny_condensed}, (0.0,), runtime=cpu)
    sick = Teacher(nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Linear(4, 5)), tiny_spec, "sick")
    sick.net[1].weight.fill_(math.inf)
    with pytest.raises(DataError, match="all: the features of image 0 are infinite or no numbers"):
        measure(sick, {"all": tiny_condensed}, runtime=cpu)
