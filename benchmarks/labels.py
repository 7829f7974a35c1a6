"""Size of soft labels: bytes per image and epoch of every codec, written to disk, beside the reference's pickles.

The reference stores half-precision logits with crop, flip and mixing data, a pickle for each batch: 2 C + 27.3 bytes at
batch size 1024. Here views are a seed and cost nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from harness import parser, report, started

from sre2l_core import storage
from sre2l_core.codecs import build_codec
from sre2l_core.registry import catalogue
from sre2l_core.stages.relabel import REFERENCE_BYTES

SETS = {"digits": 10, "cifar100": 100, "tiny-imagenet": 200, "imagenet-1k": 1000, "imagenet-21k": 10_450}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    made = parser(__doc__)
    made.add_argument("--images", type=int, default=1024, help="images in one batch, the reference's 1024")
    options = made.parse_args(arguments)
    device = started(options)
    rows = []
    for dataset, classes in SETS.items():
        logits = 4 * torch.randn(options.images, classes, generator=torch.Generator().manual_seed(0))
        formula = 2 * classes + REFERENCE_BYTES
        with TemporaryDirectory() as name:
            written = reference_bytes(logits, Path(name)) / options.images
            rows.append(row(dataset, classes, "reference", written, formula, written))
            for codec_name in sorted(catalogue("codecs")):
                codec = build_codec(codec_name)
                path = Path(name) / f"{codec_name}.safetensors"
                storage.write_tensors(path, codec.encode(logits))
                size = path.stat().st_size / options.images
                rows.append(row(dataset, classes, codec_name, size, codec.bytes_per_row(classes), written))
    report("labels", rows, options, device, ["`topk` keeps the default k; the others keep every class."])


def row(dataset: str, classes: int, codec: str, written: float, formula: float, reference: float) -> dict[str, object]:
    """One codec on one dataset; the total is for 50 images a class and 300 epochs."""
    return {
        "dataset": dataset,
        "classes": classes,
        "codec": codec,
        "bytes, on disk": written,
        "bytes, formula": float(formula),
        "reference / codec": reference / written,
        "GiB for 50 × 300": formula * 50 * classes * 300 / 2**30,
    }


def reference_bytes(logits: torch.Tensor, folder: Path) -> int:
    """Size of a pickle with what the reference stores of a batch."""
    count = len(logits)
    content = [
        torch.rand(count, 4), torch.rand(count) < 0.5, torch.randperm(count), 0.3, [1, 2, 3, 4], logits.half()
    ]  # fmt: skip
    torch.save(content, folder / "batch_0.tar")
    return (folder / "batch_0.tar").stat().st_size


if __name__ == "__main__":
    sys.exit(main())
