"""Settings shared by all tests: Hypothesis profiles, small fixtures, and data that is not part of the project."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from small_runs import store, thousands, three_runs  # noqa: F401 (fixtures of several folders)
from tally import TALLY

from sre2l_core import pictures, terms
from sre2l_core.artifacts import CondensedSet, Teacher, empty_network
from sre2l_core.config import RecoverConfig, setting
from sre2l_core.data import Dataset, DatasetSpec, ResidentSplit
from sre2l_core.data.split import epoch_order
from sre2l_core.data.streaming import StreamSplit
from sre2l_core.registry import catalogue
from sre2l_core.runtime import Runtime

# Shared cores make deadlines flaky. CI draws the same examples every time; by hand they vary.
settings.register_profile("local", deadline=None, max_examples=25)
settings.register_profile("ci", parent=settings.get_profile("local"), derandomize=True)
settings.register_profile("soak", parent=settings.get_profile("local"), max_examples=200, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")

torch.set_num_threads(1)  # the tensors are tiny: threads would only wait for one another


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="fuzz/ and survival/ at full length: about fifteen minutes")
    parser.addoption("--figures", type=Path, metavar="PAGE", help="write what came of the attacks into a page")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--soak"):
        settings.load_profile("soak")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker of pytest-xdist hand over what it counted."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tally"] = TALLY.sent()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Count what a worker counted; one that died has nothing to say."""
    if hasattr(node, "workeroutput"):
        TALLY.join(node.workeroutput["tally"])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--soak"):
        terminalreporter.write_line(f"\n{TALLY.table()}")
    if page := config.getoption("--figures"):
        TALLY.write_into(page)


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether there is time for more than a quick share."""
    return bool(request.config.getoption("--soak"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("soak", default=False) or "soak" in config.option.markexpr:
        return
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: run with -m soak"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder named by SRE2L_DATA (it holds `tiny-imagenet/`), or skip the test."""
    if not (root := os.environ.get("SRE2L_DATA")):
        pytest.skip("SRE2L_DATA is not set: point it to the folder that holds tiny-imagenet/")
    if not (path := Path(root)).is_dir():
        pytest.fail(f"SRE2L_DATA is {root!r}, which is not a folder")
    return path


@pytest.fixture(scope="session")
def cpu() -> Runtime:
    """Return the machine that every test can count on, in full precision."""
    return Runtime(torch.device("cpu"))


@pytest.fixture(scope="session")
def tiny_spec() -> DatasetSpec:
    """Return five classes of 8x8 RGB pictures with different statistics per channel."""
    classes = ("ant", "bee", "cat", "dog", "eel")
    return DatasetSpec("tiny", classes, 3, 8, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


@pytest.fixture(scope="session")
def tiny_data(tiny_spec: DatasetSpec) -> Dataset:
    """Return random pixels around one random picture per class: easy to learn, 60 for training and 25 to judge."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randint(40, 216, (5, 3, 8, 8), generator=generator)

    def split(count: int) -> ResidentSplit:
        labels = torch.arange(count) % 5
        pixels = means[labels] + torch.randint(-40, 41, (count, 3, 8, 8), generator=generator)
        return ResidentSplit(tiny_spec, pixels.to(torch.uint8), labels)

    return Dataset(tiny_spec, split(60), split(25))


@pytest.fixture
def torn_data(tiny_data: Dataset, tmp_path: Path) -> Dataset:
    """Return ten streamed pictures whose first epoch of batches of four, with seed 0, ends one batch early.

    Of the two pictures in its last batch one is torn, and BatchNorm cannot use the other alone.
    """
    paths = [tmp_path / "pictures" / f"{index}.png" for index in range(10)]
    for path, image in zip(paths, tiny_data.train.take(torch.arange(10)), strict=True):
        path.parent.mkdir(exist_ok=True)
        pictures.write(path, image, "png")
    paths[int(epoch_order(10, seed=0, epoch=0)[-1])].write_bytes(b"torn")
    labels = torch.arange(10) % 5
    return Dataset(
        tiny_data.spec, StreamSplit(tiny_data.spec, paths, labels, skip_corrupt=True, workers=0), tiny_data.val
    )


@pytest.fixture(scope="session")
def tiny_teacher(tiny_spec: DatasetSpec, tiny_data: Dataset) -> Teacher:
    """Return a ConvNet of two BatchNorm blocks, trained for a moment, so that its statistics are its own."""
    options = {"depth": 2, "width": 8}
    net = empty_network("convnet", tiny_spec, options, seed=0)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(30):
        logits = net(tiny_spec.normalize(tiny_data.train.images))
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, tiny_data.train.labels).backward()
        optimizer.step()
    net.zero_grad()
    return Teacher(net, tiny_spec, "convnet", options)


@pytest.fixture(scope="session")
def tiny_condensed(tiny_spec: DatasetSpec, tiny_data: Dataset) -> CondensedSet:
    """Return eleven images, so that no batch size divides them: two per class, three of the first."""
    return CondensedSet(tiny_data.train.images[:11], tiny_data.train.labels[:11], tiny_spec, {"method": "test"})


@pytest.fixture
def new_term() -> Iterator[str]:
    """Register a regulariser that the package does not have, for one test; its weight is `alpha_mean`."""
    weight = setting(
        0.0, ge=0, le=100, label="α_mean", slider=(0.01, 10), log=True, description="weight of the mean brightness"
    )
    term = terms.Term(
        "mean brightness",
        "this test",
        lambda seen: seen.per_group(seen.views.mean((1, 2, 3)) ** 2),
        "alpha_mean",
        weight,
    )
    terms.register("r_mean", term)
    yield "r_mean"
    del catalogue("terms")["r_mean"], RecoverConfig.__pydantic_fields__["alpha_mean"]
    RecoverConfig.model_rebuild(force=True)
