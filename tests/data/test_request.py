from pathlib import Path

import pytest

from sre2l_core.data import Request, load, names
from sre2l_core.errors import ConfigError, DataError

KNOWN = ("n10", "n11", "n12", "n13")
READABLE = ("tench, fish", "goldfish, carp", "crane", "crane")


def pick(**asked):
    return Request("toy", **asked).pick(KNOWN, READABLE)


def test_everything_unless_asked():
    assert pick() == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("classes", "wanted"),
    [
        (("n13", "n10"), (0, 3)),
        ((2, 1), (1, 2)),
        (("goldfish", "n12"), (1, 2)),
        (("tench, fish", "n11"), (0, 1)),
    ],
)
def test_ids_indices_and_readable_names_keep_the_order_of_the_dataset(classes, wanted):
    assert pick(classes=classes) == wanted


def test_num_classes_takes_the_first():
    assert pick(num_classes=3) == (0, 1, 2)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"classes": ("n10", "n14")}, "unknown class 'n14' of toy. Did you mean 'n1[0-3]'"),
        ({"classes": ("n10", "goldfsh")}, "Did you mean 'goldfish'"),
        ({"classes": ("n10", "crane")}, "unknown class 'crane'"),
        ({"classes": (0, 4)}, r"index 4 is not within 0\.\.3"),
        ({"classes": (0, "n10")}, "twice"),
        ({"num_classes": 5}, r"within 2\.\.4 \(got 5\)"),
        ({"num_classes": 1}, r"within 2\.\.4 \(got 1\)"),
        ({"classes": (0, 1), "num_classes": 2}, "not both"),
        ({"resolution": 0}, "resolution"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_meant_is_refused(asked, message):
    with pytest.raises(ConfigError, match=message):
        pick(**asked)


def test_one_class_is_too_few():
    with pytest.raises(DataError, match="at least two classes"):
        pick(classes=("n10",))


def test_unknown_dataset_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'digits'"):
        load("digit")


def test_the_catalogue_holds_the_documented_datasets():
    assert {"digits", "cifar10", "cifar100", "tiny-imagenet", "imagenette", "imagenet-1k", "folder"} <= set(names())


def test_data_lies_in_root_else_in_the_environment_else_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SRE2L_DATA", raising=False)
    assert Request("toy").folder == tmp_path / ".cache" / "sre2l" / "data"
    monkeypatch.setenv("SRE2L_DATA", "/somewhere")
    assert Request("toy").folder == Path("/somewhere")
    assert Request("toy", root=Path("~/own")).folder == tmp_path / "own"
