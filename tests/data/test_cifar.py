from pathlib import Path

import pytest
import torch
from stand_ins import CIFAR_FOLDERS, write_cifar

from sre2l_core.data import load
from sre2l_core.errors import DataError


@pytest.fixture
def any_hash(monkeypatch):
    """Ours are not the official files: accept them if they exist."""
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: Path(path).is_file())


@pytest.mark.parametrize("inside", ["", "{name}/"])
@pytest.mark.parametrize("name", CIFAR_FOLDERS)
def test_images_and_labels(tmp_path, any_hash, name, inside):
    write_cifar(tmp_path / inside.format(name=name) / CIFAR_FOLDERS[name], name)
    data = load(name, tmp_path, download=False)
    count = 20 if name == "cifar10" else 4
    assert len(data.train) == count
    assert len(data.val) == 4
    assert data.train.images[:, 0, 5, 5].tolist() == list(range(count))
    assert data.train.images[0, 2, 0].tolist() == [255] + [0] * 31
    assert data.train.labels[:4].tolist() == [0, 1, 2, 3]
    assert data.spec.classes[3] == "name3"
    assert (data.spec.num_classes, data.spec.size) == (100 if name == "cifar100" else 10, (32, 32))


@pytest.mark.parametrize("name", CIFAR_FOLDERS)
def test_both_use_the_statistics_of_the_reference(tmp_path, any_hash, name):
    write_cifar(tmp_path / CIFAR_FOLDERS[name], name)
    spec = load(name, tmp_path).spec
    assert (spec.mean, spec.std) == ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))


def test_root_may_be_the_folder_of_batches(tmp_path, any_hash):
    write_cifar(tmp_path / CIFAR_FOLDERS["cifar10"], "cifar10")
    assert len(load("cifar10", tmp_path / CIFAR_FOLDERS["cifar10"]).train) == 20


def test_a_subset_and_another_resolution(tmp_path, any_hash):
    write_cifar(tmp_path / CIFAR_FOLDERS["cifar10"], "cifar10")
    everything = load("cifar10", tmp_path)
    some = load("cifar10", tmp_path, classes=["name5", "name6"], resolution=16)
    keep = (everything.train.labels == 5) | (everything.train.labels == 6)
    assert some.train.labels.equal(everything.train.labels[keep] - 5)
    assert some.train.images.shape[1:] == (3, 16, 16)
    assert torch.equal(some.train.images[:, 0, 3, 3], everything.train.images[keep][:, 0, 3, 3])


@pytest.mark.parametrize("name", CIFAR_FOLDERS)
def test_what_is_missing_says_what_to_download_and_where_to_put_it(tmp_path, name):
    with pytest.raises(DataError, match=rf"www\.cs\.toronto\.edu.*{tmp_path}.*{CIFAR_FOLDERS[name]} exists"):
        load(name, tmp_path, download=False)


def test_altered_files_are_refused(tmp_path):
    write_cifar(tmp_path / CIFAR_FOLDERS["cifar10"], "cifar10")
    with pytest.raises(DataError, match="Download https"):
        load("cifar10", tmp_path, download=False)


def test_a_failed_download_says_why(tmp_path, monkeypatch):
    def no_network(*args, **options):
        raise OSError("network is unreachable")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", no_network)
    with pytest.raises(DataError, match="download failed: network is unreachable"):
        load("cifar10", tmp_path)
