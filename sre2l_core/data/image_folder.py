"""`folder`: the user's own pictures, one folder per class.

Either `root/CLASS/*.jpg`, of which a fifth is held out for validation, or `root/train/CLASS/*.jpg` beside `root/val`
(or `validation`, `valid`, `test`). Class ids are the folder names, sorted.
"""

from __future__ import annotations

from pathlib import Path

from sre2l_core.data.folders import (
    EXTENSIONS,
    LeftOut,
    check_names,
    class_folders,
    listed,
    pictures_below,
    pictures_in,
    shown,
    written_here,
)
from sre2l_core.data.picture_sets import Pictures, Recipe, build
from sre2l_core.data.request import Request
from sre2l_core.data.split import Dataset, stratified_split
from sre2l_core.errors import DataError
from sre2l_core.pictures import opened

_DEFAULT_RESOLUTION = 64
_OWN_SIZE_UP_TO = 128
_VAL_SHARE = 0.2
_VAL_FOLDERS = ("val", "validation", "valid", "test")


def load_folder(request: Request) -> Dataset:
    """Pictures of any size and mode as RGB squares; mean and standard deviation are measured on the training part.

    Without a validation folder a fifth of every class is held out, chosen by `request.seed`. The shorter side is
    resized to the resolution and the centre is cropped. Without a resolution: the pictures' own size if they are all
    equal, square and at most 128 pixels, else 64.

    Raises:
        DataError: if the folder is missing or empty, has fewer than two classes, a class has no or too few pictures, or
            a file is corrupt.
    """
    if request.root is None:
        raise DataError("the dataset 'folder' needs root: a folder with one subfolder of pictures per class")
    root, left_out = request.folder, LeftOut()
    if not root.is_dir():
        raise DataError(f"the folder {shown(root)} does not exist")
    train_root = root / "train" if class_folders(root / "train") else root
    val_root = next((root / name for name in _VAL_FOLDERS if class_folders(root / name)), None)
    known = _classes(train_root, left_out)
    _check_layout(train_root, known)
    classes = [known[index] for index in request.pick(known)]
    notes = check_names(classes, train_root)
    train = _collect(train_root, classes, left_out)
    if train_root == root or val_root is None:
        train, val = _hold_out(train, classes, request.seed)
    else:
        if strange := sorted(set(_classes(val_root, left_out)) - set(known)):
            raise DataError(f"{shown(val_root)} has classes that {shown(train_root)} has not: {', '.join(strange)}")
        val = Pictures.of_classes([pictures_in(val_root / name, left_out) for name in classes])
    if train_root != root:
        unused = [root / name for name in class_folders(root, left_out) if root / name not in (train_root, val_root)]
        left_out.add(
            "pictures outside train/ and the validation folder",
            [path for folder in unused for path in pictures_below(folder)],
        )
    resolution = request.resolution or _own_size([*train.paths, *val.paths]) or _DEFAULT_RESOLUTION
    recipe = Recipe(resolution, upright=True)
    return build(request, classes, (), train, val, recipe, [*left_out.notes(), *notes])


def _classes(folder: Path, left_out: LeftOut) -> list[str]:
    """The class folders, without those of runs: a second run would learn the figures of the first."""
    folders = class_folders(folder, left_out)
    ours = [name for name in folders if written_here(folder / name)]
    left_out.add("folders written by this package", [folder / name for name in ours])
    return [name for name in folders if name not in ours]


def _check_layout(folder: Path, known: list[str]) -> None:
    """Refuse too few class folders, and the parts of a dataset taken for its classes."""
    expected = f"{shown(folder)}/cats/1.jpg, {shown(folder)}/dogs/1.jpg, …"
    if len(known) < 2:
        raise DataError(
            f"{shown(folder)} has {len(known)} class folder(s); at least two are needed, each with pictures "
            f"({', '.join(EXTENSIONS)}): {expected}"
        )
    parts = {"train", *_VAL_FOLDERS}
    if set(known) <= parts or {"train", "val"} <= set(known):
        raise DataError(
            f"{shown(folder)} has the folders {', '.join(known)}, and no class folders in train/: pictures must be "
            f"sorted by class, as in train/cats/1.jpg beside val/cats/1.jpg, or without such parts as in {expected}"
        )


def _collect(folder: Path, classes: list[str], left_out: LeftOut) -> Pictures:
    files = [pictures_in(folder / name, left_out) for name in classes]
    if empty := [name for name, members in zip(classes, files, strict=True) if not members]:
        reason = "".join(f" ({note})" for note in left_out.notes())
        raise DataError(
            f"no pictures ({', '.join(EXTENSIONS)}) of class {listed(empty)} in {shown(folder)}{reason}. "
            "Put pictures right into each class folder, or take empty ones away."
        )
    return Pictures.of_classes(files)


def _hold_out(pictures: Pictures, classes: list[str], seed: int) -> tuple[Pictures, Pictures]:
    counts = pictures.labels.bincount()
    if single := [classes[label] for label in (counts < 2).nonzero()[:, 0].tolist()]:
        raise DataError(
            f"class {', '.join(map(repr, single))} has one picture only: training and validation need one each. "
            "Add pictures, or put them into train/ and val/ folders."
        )
    train, val = stratified_split(pictures.labels, val_share=_VAL_SHARE, seed=seed)
    return pictures[train], pictures[val]


def _own_size(paths: list[Path]) -> int | None:
    """The one size of all pictures, if it is square and small; only headers are read."""
    sizes = set()
    for path in paths:
        try:
            with opened(path) as image:
                sizes.add(image.size)
        except Exception:  # whoever decodes it says what is wrong with it
            continue
        if len(sizes) > 1:
            return None
    width, height = sizes.pop() if sizes else (0, 1)
    return width if width == height <= _OWN_SIZE_UP_TO else None


PLUGINS = {"folder": load_folder}
