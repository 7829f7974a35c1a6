"""Labels of the small condensed set, and validation of it."""

import pytest
from small_students import EPOCHS, config

from sre2l_core.config import RelabelConfig
from sre2l_core.stages.labels import LiveLabels
from sre2l_core.stages.relabel import relabel
from sre2l_core.stages.validate import validate


@pytest.fixture(scope="session")
def stored(tiny_teacher, tiny_condensed, cpu):
    return relabel(tiny_teacher, tiny_condensed, RelabelConfig(epochs=EPOCHS, mix="cutmix"), runtime=cpu)


@pytest.fixture(scope="session")
def live(tiny_teacher, tiny_condensed, cpu):
    return LiveLabels(tiny_teacher, tiny_condensed, RelabelConfig(mix="cutmix"), runtime=cpu)


@pytest.fixture
def check(tiny_condensed, stored, tiny_data, tiny_teacher, cpu):
    """Return a function that validates, with any argument replaced."""

    def go(settings=None, **changes):
        usual = {"condensed": tiny_condensed, "labels": stored, "data": tiny_data, "teacher": tiny_teacher}
        return validate(**{**usual, "runtime": cpu, **changes}, config=settings or config())

    return go
