"""A store of thousands of runs that nobody computed: notes and scores as the package writes them, quickly."""

import hashlib
import json
from itertools import islice, product
from pathlib import Path

from sre2l_core import presets
from sre2l_core.artifacts import ScoreRow
from sre2l_core.files import SEAL
from sre2l_core.manifests import FORMAT, versions
from sre2l_core.runs.store import Store

BASE = presets.get("digits/smoke").but(
    data={"resolution": 8}, validate={"seeds": 1, "against": (), "hard_labels": False}, store_labels=False
)
ALPHAS, STEPS, LRS, SEEDS = [0, *(round(0.01 * 1.5**n, 5) for n in range(19))], range(10, 60), (0.05, 0.1), (0, 1)


def write(folder: Path, count: int) -> Store:
    """A store of so many runs that differ in α_BN, iterations, learning rate and seed; the runs of a pair of seeds
    follow one another."""
    store, plain, made_with = Store(folder), json.dumps(BASE.to_json()), versions()
    store.begin()
    row = dict(vars(ScoreRow("condensed", "soft", "convnet", 4, 2, (0.5,), (0.5,))))
    for number, (alpha, lr, steps, seed) in enumerate(islice(product(ALPHAS, LRS, STEPS, SEEDS), count)):
        recipe, name = json.loads(plain), f"{number:012x}"
        recipe["recover"] |= {"alpha_bn": alpha, "lr": lr, "steps": steps, "seed": seed}
        recipe["relabel"]["seed"] = recipe["validate"]["seed"] = seed
        parts = {"teacher": f"teacher-{0:012x}", "condensed": f"condensed-{name}", "score": f"score-{name}"}
        note = {"recipe": recipe, "parts": parts, "seconds": {"validate": 1.0}, "failure": ""}
        _sealed(store.folder / f"run-{name}.json", {"kind": "run", "format": 1, **note})
        row["last"] = row["best"] = [0.5 + number * 7919 % 997 / 2000]
        body = {"kind": "score", "format": FORMAT, "rows": [row], "origin": {}, "how": {}, "request": None}
        (store.folder / parts["score"]).mkdir()
        _sealed(store.folder / parts["score"] / "artifact.json", {**body, "versions": made_with, "files": {}})
    return store


def _sealed(path: Path, content: dict) -> None:
    text = json.dumps({**content, SEAL: "0" * 64}) + "\n"
    before, _, after = text.rpartition("0" * 64)
    path.write_text(before + hashlib.sha256(text.encode()).hexdigest() + after)
