"""Small generated copies of the datasets, in the official formats: file names, folders, keys."""

import pickle

import numpy as np
from PIL import Image

CIFAR_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
TINY_COLOURS = {"n01": (250, 10, 10), "n02": (10, 250, 10), "n03": (10, 10, 250)}
IMAGENET_COLOURS = {"n01440764": (250, 10, 10), "n02102040": (10, 250, 10), "n02979186": (10, 10, 250)}


def write_cifar(folder, kind, per_file=4):
    """The pickles of CIFAR, five training files for CIFAR-10; image i has red level i."""
    folder.mkdir(parents=True)
    label_key, classes = ("fine_labels", 100) if kind == "cifar100" else ("labels", 10)
    names = [f"name{label}" for label in range(classes)]
    files = ["train", "test"] if kind == "cifar100" else [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
    for number, name in enumerate(files):
        data = np.zeros((per_file, 3, 32, 32), dtype=np.uint8)
        data[:, 0] = (number * per_file + np.arange(per_file))[:, None, None]
        data[:, 2, :, 0] = 255
        labels = [(number + offset) % classes for offset in range(per_file)]
        (folder / name).write_bytes(pickle.dumps({"data": data.reshape(per_file, -1), label_key: labels}))
    meta, key = ("meta", "fine_label_names") if kind == "cifar100" else ("batches.meta", "label_names")
    (folder / meta).write_bytes(pickle.dumps({key: names}))


def save_jpeg(path, colour, mode="RGB", size=(64, 64)):
    """One picture of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, "JPEG", quality=95)


def write_tiny_imagenet(home, per_class=3, wnids=("n03", "n01", "n02")):
    """Tiny-ImageNet: wnids in no order, flat validation images, one of them grey."""
    lines = []
    for number, wnid in enumerate(wnids):
        colour = TINY_COLOURS.get(wnid, (25 * number, 250 - 25 * number, 40 * number % 250))
        for index in range(per_class):
            save_jpeg(home / "train" / wnid / "images" / f"{wnid}_{index}.JPEG", colour)
        (home / "train" / wnid / f"{wnid}_boxes.txt").write_text("boxes")
        save_jpeg(home / "val" / "images" / f"val_{number}.JPEG", colour)
        lines.append(f"val_{number}.JPEG\t{wnid}\t0\t0\t10\t10\n")
    save_jpeg(home / "val" / "images" / "val_grey.JPEG", 128, mode="L")
    lines.append("val_grey.JPEG\tn01\t0\t0\t10\t10\n")
    (home / "val" / "val_annotations.txt").write_text("".join(lines))
    (home / "wnids.txt").write_text("\n".join(wnids) + "\n")
    (home / "words.txt").write_text("n00\tentity\nn01\ttench, Tinca tinca\nn02\tgoldfish\nn03\tshark\n")
    return home


def write_imagenet(home, size=(120, 90), count=2):
    """ImageNet or Imagenette: train/<wnid>/ and val/<wnid>/."""
    for part in ("train", "val"):
        for wnid, colour in IMAGENET_COLOURS.items():
            (home / part / wnid).mkdir(parents=True)
            for index in range(count):
                Image.new("RGB", size, colour).save(home / part / wnid / f"{index}.JPEG")
    return home


def picture(path, size=(20, 20), colour=None, mode="RGB", seed=0):
    """One picture, of noise that depends on its name if no colour is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if colour is None:
        pixels = np.random.default_rng([seed, *path.name.encode()]).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(path)
    else:
        Image.new(mode, size, colour).save(path)
    return path


def write_pictures(root, counts, **options):
    """One folder a class, so many pictures each."""
    for name, count in counts.items():
        for index in range(count):
            picture(root / name / f"{index}.png", **options)
    return root
