"""A store of three small runs, made once, for all who look at stores, and one of thousands; the names of runs."""

import shutil

import many_runs
import pytest

from sre2l_core import presets
from sre2l_core.runs.store import Store

BASE = presets.get("digits/smoke").but(
    data={"resolution": 8}, validate={"seeds": 2, "against": (), "hard_labels": False}
)
WARM, SPARSE = BASE.but(validate={"temperature": 2.0}), BASE.but(recover={"alpha_bn": 0.5}, store_labels=False)


@pytest.fixture(scope="session")
def three_runs(tmp_path_factory, cpu):
    """BASE, WARM (from the same labels) and SPARSE (other images, labels on the fly)."""
    folder = tmp_path_factory.mktemp("three") / "store"
    for recipe in (BASE, WARM, SPARSE):
        Store(folder).make(recipe, runtime=cpu)
    return folder


@pytest.fixture(scope="session")
def thousands(tmp_path_factory):
    """A store of three thousand runs that nobody computed; to be read only."""
    return many_runs.write(tmp_path_factory.mktemp("thousands") / "store", 3000)


@pytest.fixture
def store(three_runs, tmp_path):
    """A copy of the three runs."""
    return Store(shutil.copytree(three_runs, tmp_path / "store"))


def key(store, recipe):
    """The name of a run."""
    return store.note(recipe).stem.partition("-")[2]
