"""`tiny-imagenet`: 200 ImageNet classes, 500 + 50 pictures each at 64x64 (Le and Yang, 2015), in its official layout.

Mean and standard deviation are those of the reference's Tiny-ImageNet recipe. Label i is the i-th of the sorted wnids.
"""

from __future__ import annotations

from pathlib import Path

from sre2l_core.data.folders import class_folders, listed, pictures_in, shortfall
from sre2l_core.data.picture_sets import Pictures, Recipe, build
from sre2l_core.data.request import Request
from sre2l_core.data.split import Dataset
from sre2l_core.errors import DataError

_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_STATISTICS = (0.4802, 0.4481, 0.3975), (0.2302, 0.2265, 0.2262)
_CLASSES, _TRAIN, _VAL = 200, 500, 50
"""Classes, and pictures of each, of the whole dataset."""
_PLACES = ("tiny-imagenet-200", "tiny-imagenet", "tiny-imagenet/tiny-imagenet-200")


def load_tiny_imagenet(request: Request) -> Dataset:
    """Tiny-ImageNet, decoded once and held in memory (1.3 GB in full); only the wanted classes are read.

    Raises:
        DataError: if the layout is not found or incomplete; says what is expected and where to get it.
    """
    home = request.find(*_PLACES)
    if home is None:
        raise DataError(_expected(f"no train/ folder in {request.folder} or its {', '.join(_PLACES)}"))
    known, names = _class_list(home)
    wanted = request.pick(known, names)
    classes = [known[index] for index in wanted]
    train = [pictures_in(home / "train" / wnid) for wnid in classes]
    val = _validation_files(home, classes)
    for part, files in (("training", train), ("validation", val)):
        if empty := [wnid for wnid, members in zip(classes, files, strict=True) if not members]:
            raise DataError(_expected(f"{home} has no {part} images of {', '.join(empty[:5])}"))
    return build(
        request,
        classes,
        [names[index] for index in wanted],
        Pictures.of_classes(train),
        Pictures.of_classes(val),
        Recipe(request.resolution or 64, _STATISTICS, stream=False),
        _missing(request, known, classes, train, val),
    )


def _class_list(home: Path) -> tuple[list[str], list[str]]:
    """Sorted wnids and their readable names; the folders of train/ where the lists are missing."""
    lines = home / "wnids.txt"
    wnids = sorted(_text(lines).split()) if lines.is_file() else class_folders(home / "train")
    names: dict[str, str] = {}
    if (home / "words.txt").is_file():
        for line in _text(home / "words.txt").splitlines():
            wnid, _, words = line.partition("\t")
            names[wnid] = words.strip()
    return wnids, [names.get(wnid) or wnid for wnid in wnids]


def _validation_files(home: Path, classes: list[str]) -> list[list[Path]]:
    """By val_annotations.txt (file, wnid, box; tab-separated), or by class folders if someone has sorted them."""
    annotations = home / "val" / "val_annotations.txt"
    if not annotations.is_file():
        return [pictures_in(home / "val" / wnid) for wnid in classes]
    files: dict[str, list[Path]] = {wnid: [] for wnid in classes}
    for number, line in enumerate(_text(annotations).splitlines(), start=1):
        name, _, rest = line.partition("\t")
        wnid = rest.split("\t")[0]
        if not wnid:
            raise DataError(f"{annotations}, line {number}: expected 'file<TAB>wnid<TAB>…' (got {line!r})")
        if wnid in files:
            files[wnid].append(home / "val" / "images" / name)
    there = set(pictures_in(home / "val"))
    absent = [path for members in files.values() for path in members if path not in there]
    if absent:
        raise DataError(
            _expected(
                f"{len(absent):,} pictures of {annotations.name} are not in {home / 'val' / 'images'}: "
                f"{listed([path.name for path in absent])}"
            )
        )
    return [sorted(members) for members in files.values()]


def _missing(
    request: Request, known: list[str], classes: list[str], train: list[list[Path]], val: list[list[Path]]
) -> list[str]:
    """What an incomplete download lacks, in one line, or none."""
    notes = [f"{len(known)} of its {_CLASSES} classes are there"] * (len(known) < _CLASSES and request.classes is None)
    for part, files, count in (("train", train, _TRAIN), ("val", val, _VAL)):
        notes += shortfall(part, classes, list(map(len, files)), dict.fromkeys(classes, count))
    if not notes:
        return []
    return [f"{'; '.join(notes)}. If this is not meant, the download or copy is incomplete: unpack {_URL} anew"]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(_expected(f"{path} cannot be read ({error})")) from None


def _expected(problem: str) -> str:
    return (
        f"tiny-imagenet: {problem}. Expected tiny-imagenet-200/ with train/<wnid>/images/*.JPEG, val/images/*.JPEG, "
        f"val/val_annotations.txt, wnids.txt and words.txt: unpack {_URL} and pass root (or set SRE2L_DATA)."
    )


PLUGINS = {"tiny-imagenet": load_tiny_imagenet}
