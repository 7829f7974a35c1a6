"""What is left of a grid of runs, and how long it takes and how much room, judged by what like runs took."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import mean

from sre2l_core.errors import SRe2LError
from sre2l_core.presets import Recipe
from sre2l_core.runs.notes import Note
from sre2l_core.runs.parts import STAGE, Part
from sre2l_core.runs.plan import plan_run
from sre2l_core.runs.store import PARTS, Store
from sre2l_core.runtime import Runtime
from sre2l_core.stages.rows import rows_of_a_network


@dataclass
class Forecast:
    """Of one kind of part."""

    kind: str
    there: int = 0
    """Finished parts that the grid needs."""
    seconds: float | None = 0.0
    """Of those that are missing; None where no run like theirs was measured."""
    bytes: float | None = 0.0
    missing: int = 0
    measured: set[str] = field(default_factory=set)
    """Parts that it is judged by."""
    tried: bool = False
    """Whether some of it is judged by a trial on made-up images, because no part like it is there."""


Trial = Callable[[Recipe], Mapping[str, tuple[float, float]]]
"""A recipe -> of each kind of part, the seconds and bytes of making it."""


def forecast(recipes: Iterable[Recipe], store: Store, trial: Trial = lambda recipe: {}) -> list[Forecast]:
    """What the runs need, kind by kind; kinds that none of them has are left out.

    Work is taken to grow with epochs, iterations, images per class and students, on the same data and networks.

    Args:
        recipes: the runs.
        store: where they will lie; what like parts took there is what it judges by.
        trial: asked where no part like a missing one was timed, once for runs that are alike.
    """
    recipes, known, tried = list(recipes), list(_measured(store)), set[object]()
    found = {kind: Forecast(kind) for kind in PARTS}
    places = {(kind, folder): recipe for recipe in recipes for kind, folder in _folders(recipe, store)}
    for (kind, folder), recipe in places.items():
        part, so_far = Part(kind, folder, store.folder / folder), found[kind]
        if part.finished:
            so_far.there += 1
            continue
        like = [other for other in known if other.kind == kind and _alike(kind, other.recipe) == _alike(kind, recipe)]
        if not like and (key := repr(_alike("score", recipe))) not in tried:
            tried.add(key)
            known += [_Measured(each, "", recipe, *cost) for each, cost in trial(recipe).items()]
            like = [
                other for other in known if other.kind == kind and _alike(kind, other.recipe) == _alike(kind, recipe)
            ]
        like = [other for other in like if other.name] or like
        so_far.missing += 1
        so_far.measured |= {other.name for other in like if other.name}
        so_far.tried |= any(not other.name for other in like)
        so_far.seconds = _plus(
            so_far.seconds, [other.seconds / _work(kind, other.recipe) for other in like], _work(kind, recipe)
        )
        so_far.bytes = _plus(
            so_far.bytes, [other.bytes / _room(kind, other.recipe) for other in like], _room(kind, recipe)
        )
    return [each for each in found.values() if each.there + each.missing]


@dataclass(frozen=True)
class _Measured:
    kind: str
    name: str
    """Of the part; empty where it was only tried."""
    recipe: Recipe
    seconds: float
    bytes: float


def _measured(store: Store) -> Iterator[_Measured]:
    """Every finished part of a store whose making was timed."""
    for path in sorted(store.folder.glob("run-*.json")):
        with suppress(SRe2LError):  # damaged, or with settings that this version does not know
            note = Note.read(path)
            recipe = Recipe.of(note.recipe)
            for kind, name in note.parts.items():
                part = Part(kind, name, store.folder / name)
                if part.finished and STAGE[kind] in note.seconds:
                    yield _Measured(kind, name, recipe, note.seconds[STAGE[kind]], part.bytes)


def seconds_of_parts(store: Store) -> dict[str, float]:
    """Folder of a part -> how long it took, for every finished part of a store whose making was timed."""
    found: dict[str, float] = {}
    for made in _measured(store):
        found[made.name] = found.get(made.name, 0.0) + made.seconds
    return found


def _folders(recipe: Recipe, store: Store) -> Iterator[tuple[str, str]]:
    places = store.places(recipe)
    for kind in PARTS:
        if kind != "labels" or recipe.store_labels:
            yield kind, getattr(places, kind).name


def _alike(kind: str, recipe: Recipe) -> tuple[object, ...]:
    """What has to be the same for two runs to be comparable."""
    data = recipe.data.but(data_root=None, holdout=0.0, holdout_seed=0)
    students = (recipe.validate.students, recipe.validate.student_options) if kind == "score" else ()
    as_it_is = recipe.recover.init if kind == "condensed" and not recipe.recover.steps else ""
    squeeze = recipe.squeeze
    return data, squeeze.backbone, squeeze.backbone_options, squeeze.others, students, as_it_is


def _work(kind: str, recipe: Recipe) -> float:
    """What the time of a stage grows with."""
    ipc, students = recipe.recover.ipc, recipe.validate
    trained = students.epochs * students.seeds * rows_of_a_network(students)
    work = {
        "teacher": recipe.squeeze.epochs * (1 + len(recipe.squeeze.others)),
        "condensed": ipc * recipe.recover.steps,
        "labels": ipc * recipe.relabel.epochs,
    }
    return max(work.get(kind, ipc * trained), 1)


def _room(kind: str, recipe: Recipe) -> float:
    """What the bytes of a part grow with."""
    ipc = recipe.recover.ipc
    return {"condensed": ipc, "labels": ipc * recipe.relabel.epochs}.get(kind, 1)


def _plus(so_far: float | None, rates: list[float], amount: float) -> float | None:
    return None if so_far is None or not rates else so_far + mean(rates) * amount


def tried(recipe: Recipe, *, seconds: float = 2.0, runtime: Runtime | None = None) -> dict[str, tuple[float, float]]:
    """Measure the stages of a recipe on made-up images, see `plan`; nothing where that cannot be done."""
    with suppress(SRe2LError):
        stages = {stage.stage: stage for stage in plan_run(recipe, seconds=seconds, runtime=runtime)}
        return {kind: (3600 * stages[name].hours, stages[name].disk) for kind, name in STAGE.items()}
    return {}
