"""A folder of artifacts named after what they depend on: what several runs have in common is made once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import Any

from sre2l_core import storage
from sre2l_core.errors import ArtifactError, InUseError, SRe2LError, came
from sre2l_core.events import Listener, StepEvent, ignore
from sre2l_core.presets.recipe import CLASSES, Recipe
from sre2l_core.runs.notes import Note, Stopwatch
from sre2l_core.runs.pipeline import Places, running, running_up_to
from sre2l_core.runtime import Runtime
from sre2l_core.steps import drive, observed, stepwise

MARK = "store.json"
FORMAT = 1
PARTS = ("teacher", "condensed", "labels", "score")
"""Of a run, each made from those before it."""


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
        elif self.folder.exists() and (held := sorted(p.name for p in self.folder.iterdir() if p.name[0] != ".")):
            shown = ", ".join(held[:3]) + (f" and {len(held) - 3} more" if len(held) > 3 else "")
            raise ArtifactError(
                f"{self.folder} holds {shown}, and no {MARK}: it is no store of runs. Choose another --out."
            )

    def places(self, recipe: Recipe) -> Places:
        """Where the parts of a run lie, finished or not."""
        data = recipe.data.model_dump(mode="json")
        if recipe.data.data in CLASSES:  # the same pictures wherever they lie, which a folder of one's own need not be
            del data["data_root"]
        if not recipe.data.holdout:  # as before there was such a setting
            del data["holdout"], data["holdout_seed"]
        teacher = key_of(data, recipe.squeeze.request())
        condensed = key_of(teacher, recipe.recover.request())
        labels = key_of(condensed, recipe.relabel.request())
        score = key_of(labels, recipe.validate.request(), recipe.store_labels)
        members = [key_of(data, one.request()) for one in recipe.squeeze.each()] if recipe.squeeze.others else []
        return Places(
            self.folder / f"teacher-{teacher}",
            self.folder / f"condensed-{condensed}",
            self.folder / f"labels-{labels}",
            self.folder / f"score-{score}",
            self.folder / f"log-{score}.csv",
            tuple(self.folder / f"teacher-{member}" for member in members),
        )

    def note(self, recipe: Recipe) -> Path:
        """Where the note of a run lies."""
        return self.folder / f"run-{self.places(recipe).score.name.partition('-')[2]}.json"

    def place(self, kind: str, recipe: Recipe, *more: Any) -> Path:
        """Where something else lies that is made from a run, such as a curve: named after the run and plain values."""
        return self.folder / f"{kind}-{key_of(self.places(recipe).score.name, *more)}"

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
        wait: bool = False,
        executor: Executor | None = None,
        on_step: Listener = ignore,
        say: Callable[[str], object] = lambda line: None,
        images_only: bool = False,
    ) -> Places:
        """Make or continue a run, or find it; where its parts lie. Arguments are those of `pipeline.run`.

        With `images_only` teacher and images are enough; the run, unfinished then, goes on from them when asked for.
        """
        how: dict[str, Any] = {"wait": wait, "executor": executor, "say": say, "images_only": images_only}
        steps = self.making(recipe, runtime=runtime, **how)
        try:
            return drive(steps, on_step)
        except SRe2LError as error:  # may be the listener's, of which the steps know nothing
            with suppress(ArtifactError):
                self.write_note(recipe, failure=_reason(error))
            raise

    @stepwise
    def making(
        self,
        recipe: Recipe,
        *,
        runtime: Runtime | None = None,
        wait: bool = False,
        executor: Executor | None = None,
        say: Callable[[str], object] = lambda line: None,
        images_only: bool = False,
    ) -> Generator[StepEvent, None, Places]:
        """The steps of `make`."""
        places, watch = self.places(recipe), Stopwatch()
        if images_only and (places.condensed / storage.MANIFEST).exists():
            return places
        if self.finished(recipe):
            if not self.note(recipe).exists():
                with suppress(ArtifactError):  # on a disc that nobody can write to
                    self.write_note(recipe)
            return places
        self.write_note(recipe, wait=wait)
        failure = ""
        try:
            how: dict[str, Any] = {"runtime": runtime, "wait": wait, "executor": executor, "say": say}
            if images_only:
                yield from observed(running_up_to("recover", recipe, places, **how), watch)
            else:
                yield from observed(running(recipe, places, **how), watch)
        except SRe2LError as error:
            failure = _reason(error)
            raise
        finally:
            with suppress(ArtifactError):  # what happened to the run itself matters more
                self.write_note(recipe, watch.seconds, failure)
        return places

    def write_note(
        self, recipe: Recipe, seconds: Mapping[str, float] | None = None, failure: str = "", *, wait: bool = False
    ) -> None:
        """Say what the run asks for, before it begins; how long it took and why it failed are added when it ends."""
        path, places = self.note(recipe), self.places(recipe)
        with storage.held(self.folder, wait=wait):  # several processes may write into one store
            self._mark()
            spent = Counter(Note.read(path).seconds if path.exists() else {})
            parts = {name: getattr(places, name).name for name in PARTS if name != "labels" or recipe.store_labels}
            Note(recipe.to_json(), parts, dict(spent + Counter(seconds or {})), failure).write(path)

    def begin(self) -> None:
        """Make the folder a store, so that other things of a store may be written there before the first run."""
        with storage.held(self.folder, wait=True):
            self._mark()

    def _mark(self) -> None:
        if not (self.folder / MARK).exists():
            storage.write_json(self.folder / MARK, {"kind": "store of runs", "format": FORMAT})

    def _check_format(self) -> None:
        try:
            found = storage.read_json(self.folder / MARK).get("format")
        except ArtifactError:  # whose remedy would be to delete the whole store
            raise ArtifactError(
                f"{self.folder / MARK} is damaged. Copy that of another store over it: they are all alike."
            ) from None
        if type(found) is not int or not 1 <= found <= FORMAT:
            raise ArtifactError(
                f"{self.folder} is a store of format {came(found)}, this version knows {FORMAT}: it was written by a "
                "newer one. Update the package, or choose another --out."
            )


def _reason(error: SRe2LError) -> str:
    """Why a run failed; nothing where another process works on it."""
    return "" if isinstance(error, InUseError) else str(error)


def key_of(*parts: Any) -> str:
    """Twelve hex digits for plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
