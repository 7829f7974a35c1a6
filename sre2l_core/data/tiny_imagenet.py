"""`tiny-imagenet`: 200 ImageNet classes, 500 + 50 pictures each at 64x64 (Le and Yang, 2015), in its official layout.

Mean and standard deviation are those of the reference's Tiny-ImageNet recipe. Label i is the i-th of the sorted wnids.
"""

from __future__ import annotations

from pathlib import Path

from sre2l_core.data.picture_sets import Pictures, Recipe, build, pictures_in
from sre2l_core.data.request import Request
from sre2l_core.data.split import Dataset
from sre2l_core.errors import DataError

_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
_STATISTICS = (0.4802, 0.4481, 0.3975), (0.2302, 0.2265, 0.2262)
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
    )


def _class_list(home: Path) -> tuple[list[str], list[str]]:
    """Sorted wnids and their readable names; the folders of train/ where the lists are missing."""
    listed = home / "wnids.txt"
    if listed.is_file():
        wnids = sorted(listed.read_text(encoding="utf-8").split())
    else:
        wnids = sorted(path.name for path in (home / "train").iterdir() if path.is_dir())
    names: dict[str, str] = {}
    if (home / "words.txt").is_file():
        for line in (home / "words.txt").read_text(encoding="utf-8").splitlines():
            wnid, _, words = line.partition("\t")
            names[wnid] = words.strip()
    return wnids, [names.get(wnid) or wnid for wnid in wnids]


def _validation_files(home: Path, classes: list[str]) -> list[list[Path]]:
    """By val_annotations.txt (file, wnid, box; tab-separated), or by class folders if someone has sorted them."""
    annotations = home / "val" / "val_annotations.txt"
    if not annotations.is_file():
        return [pictures_in(home / "val" / wnid) for wnid in classes]
    files: dict[str, list[Path]] = {wnid: [] for wnid in classes}
    for number, line in enumerate(annotations.read_text(encoding="utf-8").splitlines(), start=1):
        name, _, rest = line.partition("\t")
        wnid = rest.split("\t")[0]
        if not wnid:
            raise DataError(f"{annotations}, line {number}: expected 'file<TAB>wnid<TAB>…' (got {line!r})")
        if wnid in files:
            files[wnid].append(home / "val" / "images" / name)
    return [sorted(members) for members in files.values()]


def _expected(problem: str) -> str:
    return (
        f"tiny-imagenet: {problem}. Expected tiny-imagenet-200/ with train/<wnid>/images/*.JPEG, val/images/*.JPEG, "
        f"val/val_annotations.txt, wnids.txt and words.txt: unpack {_URL} and pass root (or set SRE2L_DATA)."
    )


PLUGINS = {"tiny-imagenet": load_tiny_imagenet}
