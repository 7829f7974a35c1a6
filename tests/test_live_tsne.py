"""LiveTSNE against formulas of its own: gradient, affinities, descent, warm starts, and clusters it must keep apart."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from sre2l_core.embed import LiveTSNE, joint_affinities
from sre2l_core.errors import DataError


def clusters(count: int = 90, dim: int = 12, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.arange(count) % classes
    return 6 * random.normal(size=(classes, dim))[labels] + random.normal(size=(count, dim)), labels


def divergence(affinities: np.ndarray, coordinates: np.ndarray) -> float:
    """KL(P || Q) pair by pair."""
    count = len(coordinates)
    close = [[0 if i == j else 1 / (1 + ((coordinates[i] - coordinates[j]) ** 2).sum()) for j in range(count)]
             for i in range(count)]  # fmt: skip
    share = np.array(close) / np.sum(close)
    pairs = [(i, j) for i in range(count) for j in range(count) if affinities[i, j] > 0]
    return float(sum(affinities[i, j] * np.log(affinities[i, j] / share[i, j]) for i, j in pairs))


def test_affinities_have_the_asked_perplexity_and_are_symmetric() -> None:
    points, _ = clusters(40)
    joint = joint_affinities(points, 5.0)
    np.testing.assert_allclose(joint, joint.T)
    assert joint.sum() == pytest.approx(1)
    assert np.diag(joint).max() == 0
    # directed rows cannot be read off the symmetric matrix; equidistant points show the perplexity itself
    corners = np.eye(12)
    even = joint_affinities(corners, 10.99)
    np.testing.assert_allclose(even[0, 1:], 1 / (12 * 11), rtol=1e-3)


def test_gradient_by_finite_differences() -> None:
    points, _ = clusters(12, dim=3)
    live = LiveTSNE(points, perplexity=3)
    live.coordinates = np.random.default_rng(1).normal(size=(12, 2))
    found, small = live.gradient(), 1e-5
    for row, column in ((0, 0), (5, 1), (11, 0)):
        shift = np.zeros_like(live.coordinates)
        shift[row, column] = small
        up = divergence(live.affinities, live.coordinates + shift)
        down = divergence(live.affinities, live.coordinates - shift)
        assert found[row, column] == pytest.approx((up - down) / (2 * small), rel=1e-4)


def test_the_divergence_falls_and_clusters_stay_together() -> None:
    points, labels = clusters()
    live = LiveTSNE(points, perplexity=15)
    live.step(live.early)
    seen = []
    for _ in range(4):
        live.step(50)
        seen.append(divergence(live.affinities, live.coordinates))
    assert seen == sorted(seen, reverse=True)
    assert trustworthiness(points, live.coordinates, n_neighbors=5) > 0.9
    distances = ((live.coordinates[:, None] - live.coordinates) ** 2).sum(2)
    np.fill_diagonal(distances, np.inf)
    assert (labels[distances.argmin(1)] == labels).all()


def test_a_warm_start_keeps_points_in_place() -> None:
    points, _ = clusters()
    live = LiveTSNE(points.astype(np.float32), perplexity=15)
    live.step(800)
    before = live.coordinates.copy()
    live.move(points + 0.02 * np.random.default_rng(2).normal(size=points.shape))
    np.testing.assert_array_equal(live.coordinates, before)
    live.step(10)
    moved = np.linalg.norm(live.coordinates - before, axis=1)
    assert 0 < moved.mean() < 0.03 * before.std()
    assert live.coordinates.dtype == np.float32


def test_held_points_stand_still_and_a_changing_point_walks_to_its_new_neighbours() -> None:
    points, labels = clusters()
    live = LiveTSNE(points, perplexity=15)
    live.step(300)
    before = live.coordinates.copy()
    moving = points.copy()
    moving[89] = points[labels == 0].mean(0)  # was in cluster 2
    live.move(moving)
    live.step(200, hold=89)
    np.testing.assert_array_equal(live.coordinates[:89], before[:89])
    centres = np.stack([before[:89][labels[:89] == label].mean(0) for label in range(3)])
    assert np.linalg.norm(centres - before[89], axis=1).argmin() == 2
    assert np.linalg.norm(centres - live.coordinates[89], axis=1).argmin() == 0


@pytest.mark.parametrize("width", [1, 2, 5])
def test_small_and_flat_sets_give_finite_pictures(width: int) -> None:
    live = LiveTSNE(np.zeros((4, width)))
    live.step(20)
    assert np.isfinite(live.coordinates).all()
    live = LiveTSNE(np.arange(6 * width, dtype=float).reshape(6, width))
    live.step(150)
    assert np.isfinite(live.coordinates).all()
    assert np.isfinite(divergence(live.affinities, live.coordinates))


def test_too_few_points_and_another_number_of_points_are_refused() -> None:
    with pytest.raises(DataError, match="at least 4"):
        LiveTSNE(np.zeros((3, 2)))
    live = LiveTSNE(np.random.default_rng(0).normal(size=(5, 2)))
    with pytest.raises(DataError, match="5 points are drawn, got features of 6"):
        live.move(np.zeros((6, 2)))
