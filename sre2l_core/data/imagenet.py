"""`imagenet-1k` (ILSVRC 2012) and `imagenette` (ten of its classes, by fast.ai): folders named by wnid.

Validation images are resized to 256/224 of the resolution and their centre is cropped, as torchvision's pretrained
networks were evaluated: this file says so and no other. Streamed, training crops are cut from the whole picture;
resident, from its central square.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from sre2l_core.data.folders import class_folders, pictures_in, shortfall
from sre2l_core.data.picture_sets import Pictures, Recipe, build
from sre2l_core.data.request import Request
from sre2l_core.data.spec import DatasetSpec
from sre2l_core.data.split import Dataset
from sre2l_core.errors import DataError

_STATISTICS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_EVAL_SCALE = 256 / 224
_ARCHIVES = ("ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")
_IMAGENETTE_SIZES = (
    (160, "160px", "imagenette2-160"),
    (320, "320px", "imagenette2-320"),
    (10**9, "full", "imagenette2"),
)
"""Shorter side in pixels, torchvision's name, folder; the full version has the original sizes."""
_IMAGENETTE = {
    "n01440764": (963, 387, "tench"),
    "n02102040": (955, 395, "English springer"),
    "n02979186": (993, 357, "cassette player"),
    "n03000684": (858, 386, "chain saw"),
    "n03028079": (941, 409, "church"),
    "n03394916": (956, 394, "French horn"),
    "n03417042": (961, 389, "garbage truck"),
    "n03425413": (931, 419, "gas pump"),
    "n03445777": (951, 399, "golf ball"),
    "n03888257": (960, 390, "parachute"),
}
"""Training pictures, validation pictures, name."""
_LEAST_OF_IMAGENET = (732, 50)
"""Training and validation pictures that each of the 1,000 classes has at least."""


@cache
def wnids() -> tuple[str, ...]:
    """Ids of the 1,000 classes of ImageNet-1K in the order of labels, which is that of the alphabet.

    As in `imagenet_synsets.txt` of timm 1.0.31 (Apache-2.0).
    """
    return tuple(Path(__file__).with_name("imagenet_wnids.txt").read_text(encoding="ascii").split())


def weights_spec(categories: Sequence[str], resolution: int = 224) -> DatasetSpec:
    """What a network with ImageNet weights knows, where the data itself is not at hand; named as the data is."""
    ids = wnids() if len(categories) == len(wnids()) else tuple(categories)
    return DatasetSpec("imagenet-1k", ids, 3, resolution, *_STATISTICS, tuple(categories))


def load_imagenet(request: Request) -> Dataset:
    """ImageNet-1K at 224 pixels, or at 112 or 64 for Table 9; streamed unless the wanted classes fit in memory.

    Takes train/<wnid>/ and val/<wnid>/, or the three official archives, which torchvision unpacks beside them.

    Raises:
        DataError: if neither is there; ImageNet cannot be downloaded without an account.
    """
    home = request.find("imagenet-1k", "imagenet", "ILSVRC2012") or _unpacked(request.folder)
    if home is None:
        raise DataError(
            f"imagenet-1k: no train/ folder in {request.folder}. Expected train/<wnid>/*.JPEG and val/<wnid>/*.JPEG, "
            f"or in that folder {', '.join(_ARCHIVES)} from https://image-net.org/download (account needed)."
        )
    known = class_folders(home / "train")
    return _load(request, home, known, _readable(known), dict.fromkeys(known, _LEAST_OF_IMAGENET), 1000)


def load_imagenette(request: Request) -> Dataset:
    """Imagenette: 9,469 + 3,925 pictures, from the smallest version that need not be enlarged to evaluate.

    Raises:
        DataError: if it is neither there nor can be downloaded.
    """
    needed = round((request.resolution or 224) * _EVAL_SCALE)
    fitting = [entry for entry in _IMAGENETTE_SIZES if entry[0] >= needed] or _IMAGENETTE_SIZES[-1:]
    _, size, version = fitting[0]
    home = request.find(*(name for _, _, name in fitting))
    if home is None:
        home = request.folder / version
        url = f"https://s3.amazonaws.com/fast-ai-imageclas/{version}.tgz"
        advice = f"Download {url} and unpack it into {request.folder}."
        if not request.download:
            raise DataError(f"imagenette: no train/ folder in {request.folder} or {home}. {advice}")
        from torchvision.datasets import Imagenette

        try:
            Imagenette(request.folder, size=size, download=True)
        except (OSError, RuntimeError) as error:
            raise DataError(f"imagenette: the download failed: {error}. {advice}") from error
    known = class_folders(home / "train")
    names = [_IMAGENETTE[wnid][2] if wnid in _IMAGENETTE else wnid for wnid in known]
    expected = {wnid: counts for wnid, (*counts, _) in _IMAGENETTE.items()}
    return _load(request, home, known, names, expected, len(_IMAGENETTE))


def _load(
    request: Request,
    home: Path,
    known: list[str],
    names: list[str],
    expected: Mapping[str, Sequence[int]],
    total: int,
) -> Dataset:
    """The wanted of the `known` classes; `expected` counts what each has in the `total` classes of the whole set."""
    wanted = request.pick(known, names)
    classes = [known[index] for index in wanted]
    parts, notes = [], []
    if len(known) < total and request.classes is None:
        notes.append(f"{len(known)} of its {total:,} classes are there")
    for place, part in enumerate(("train", "val")):
        files = [pictures_in(home / part / wnid) for wnid in classes]
        if empty := [wnid for wnid, members in zip(classes, files, strict=True) if not members]:
            raise DataError(
                f"{request.name}: no pictures in {home / part} of class {', '.join(empty[:5])}. Expected "
                f"{part}/<wnid>/*.JPEG; the official validation archive is flat and must be sorted into class folders."
            )
        parts.append(Pictures.of_classes(files))
        least = {wnid: counts[place] for wnid, counts in expected.items()}
        notes += shortfall(part, classes, list(map(len, files)), least)
    if notes:
        notes = [f"{'; '.join(notes)}. If this is not meant, the download or copy is incomplete: unpack {home} anew"]
    recipe = Recipe(request.resolution or 224, _STATISTICS, eval_scale=_EVAL_SCALE)
    train, val = parts
    return build(request, classes, [names[index] for index in wanted], train, val, recipe, notes)


def _readable(known: list[str]) -> list[str]:
    """Their names in torchvision, which sorts them by wnid; what it does not know keeps its id."""
    from torchvision.models import ResNet18_Weights

    names = list(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
    named = dict(zip(wnids(), names, strict=True))
    return names if len(known) == len(names) else [named.get(wnid, wnid) for wnid in known]


def _unpacked(folder: Path) -> Path | None:
    """Let torchvision unpack the official archives, if all three lie in `folder`."""
    if not all((folder / name).is_file() for name in _ARCHIVES):
        return None
    from torchvision.datasets import ImageNet

    try:
        for split in ("train", "val"):
            ImageNet(folder, split=split)
    except (OSError, RuntimeError) as error:
        raise DataError(f"imagenet-1k: the archives in {folder} could not be unpacked: {error}") from error
    return folder


PLUGINS = {"imagenet-1k": load_imagenet, "imagenette": load_imagenette}
