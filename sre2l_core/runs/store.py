"""A folder of artifacts named after what they depend on: what several runs have in common is made once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from sre2l_core import storage
from sre2l_core.errors import ArtifactError, came
from sre2l_core.events import Listener, ignore
from sre2l_core.presets.recipe import CLASSES, Recipe
from sre2l_core.runs.pipeline import Places, run
from sre2l_core.runtime import Runtime

MARK = "store.json"
FORMAT = 1


class Store:
    """Runs in one folder, each part of them under the hash of its settings and of what it was made from.

    Ten temperatures share a teacher and its images, two tables share a teacher, and a run that is there already is
    found.

    Raises:
        ArtifactError: if the folder holds something else, or was written by a newer version.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise ArtifactError(f"{self.folder} is not a folder. Choose another --out.")
        if (self.folder / MARK).exists():
            self._check_format()
        elif self.folder.exists() and (held := sorted(path.name for path in self.folder.iterdir())):
            shown = ", ".join(held[:3]) + (f" and {len(held) - 3} more" if len(held) > 3 else "")
            raise ArtifactError(
                f"{self.folder} holds {shown}, and no {MARK}: it is no store of runs. Choose another --out."
            )

    def places(self, recipe: Recipe) -> Places:
        """Where the parts of a run lie, finished or not."""
        values = recipe.to_json()
        data = values["data"]
        if recipe.data.data in CLASSES:  # the same pictures wherever they lie, which a folder of one's own need not be
            del data["data_root"]
        teacher = _key(data, values["squeeze"])
        condensed = _key(teacher, values["recover"])
        labels = _key(condensed, values["relabel"])
        score = _key(labels, values["validate"], recipe.store_labels)
        return Places(
            self.folder / f"teacher-{teacher}",
            self.folder / f"condensed-{condensed}",
            self.folder / f"labels-{labels}",
            self.folder / f"score-{score}",
            self.folder / f"log-{score}.csv",
        )

    def finished(self, recipe: Recipe) -> bool:
        """Whether the run is there to its end."""
        return (self.places(recipe).score / storage.MANIFEST).exists()

    def parts(self, recipes: Iterable[Recipe]) -> dict[str, tuple[int, int]]:
        """What the runs consist of: `teacher`, `condensed` and `score` -> how many are finished, how many there are."""
        places = [self.places(recipe) for recipe in recipes]
        folders = {part: {getattr(place, part) for place in places} for part in ("teacher", "condensed", "score")}
        return {
            part: (sum((folder / storage.MANIFEST).exists() for folder in found), len(found))
            for part, found in folders.items()
        }

    def make(
        self,
        recipe: Recipe,
        *,
        runtime: Runtime | None = None,
        executor: Executor | None = None,
        on_step: Listener = ignore,
        say: Callable[[str], object] = lambda line: None,
    ) -> Places:
        """Make or continue a run, or find it; where its parts lie. Arguments are those of `pipeline.run`."""
        places = self.places(recipe)
        if not self.finished(recipe):
            storage.write_json(self.folder / MARK, {"kind": "store of runs", "format": FORMAT})
            run(recipe, places, runtime=runtime, executor=executor, on_step=on_step, say=say)
        return places

    def _check_format(self) -> None:
        found = storage.read_json(self.folder / MARK).get("format")
        if type(found) is not int or not 1 <= found <= FORMAT:
            raise ArtifactError(
                f"{self.folder} is a store of format {came(found)}, this version knows {FORMAT}: it was written by a "
                "newer one. Update the package, or choose another --out."
            )


def _key(*parts: Any) -> str:
    """Twelve hex digits for plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
