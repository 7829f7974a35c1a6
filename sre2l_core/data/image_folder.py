"""`folder`: the user's own pictures, one folder per class.

Either `root/CLASS/*.jpg`, of which a fifth is held out for validation, or `root/train/CLASS/*.jpg` beside `root/val`
(or `validation`, `valid`, `test`). Class ids are the folder names, sorted.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from sre2l_core.data.decode import EXTENSIONS
from sre2l_core.data.picture_sets import Pictures, Recipe, build, pictures_in
from sre2l_core.data.request import Request
from sre2l_core.data.split import Dataset, stratified_split
from sre2l_core.errors import DataError

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
    root = request.folder
    if not root.is_dir():
        raise DataError(f"the folder {root} does not exist")
    train_root = root / "train" if _classes(root / "train") else root
    known = _classes(train_root)
    if len(known) < 2:
        raise DataError(
            f"{train_root} has {len(known)} class folder(s); at least two are needed, each with pictures "
            f"({', '.join(EXTENSIONS)}): {train_root}/cats/1.jpg, {train_root}/dogs/1.jpg, …"
        )
    classes = [known[index] for index in request.pick(known)]
    train = _collect(train_root, classes)
    val_root = next((root / name for name in _VAL_FOLDERS if _classes(root / name)), None)
    if train_root == root or val_root is None:
        train, val = _hold_out(train, classes, request.seed)
    else:
        if strange := sorted(set(_classes(val_root)) - set(known)):
            raise DataError(f"{val_root} has classes that {train_root} has not: {', '.join(strange)}")
        val = Pictures.of_classes([pictures_in(val_root / name) for name in classes])
    resolution = request.resolution or _own_size([*train.paths, *val.paths]) or _DEFAULT_RESOLUTION
    return build(request, classes, (), train, val, Recipe(resolution, upright=True))


def _classes(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def _collect(folder: Path, classes: list[str]) -> Pictures:
    files = [pictures_in(folder / name) for name in classes]
    if empty := [name for name, members in zip(classes, files, strict=True) if not members]:
        raise DataError(f"no pictures ({', '.join(EXTENSIONS)}) of class {', '.join(map(repr, empty))} in {folder}")
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
            with Image.open(path) as image:
                sizes.add(image.size)
        except (OSError, SyntaxError, ValueError):
            continue
        if len(sizes) > 1:
            return None
    width, height = sizes.pop() if sizes else (0, 1)
    return width if width == height <= _OWN_SIZE_UP_TO else None


PLUGINS = {"folder": load_folder}
