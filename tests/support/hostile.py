"""Names that do harm where they are taken for markup, mathematics, a path or a command; and all that shows them.

`CLASSES` are folders of pictures. Whoever lets one of them through makes an image or a script whose code sets
`window.pwned`, mathematics that matplotlib cannot parse, or a file `pwned`.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import stand_ins
from matplotlib.figure import Figure

from sre2l_core import presets, recover, relabel, squeeze, widgets
from sre2l_core.artifacts import CondensedSet, Score, ScoreRow, Teacher
from sre2l_core.continual import ContinualConfig, Expert, Learning
from sre2l_core.data import Dataset, ResidentSplit
from sre2l_core.figures import plots
from sre2l_core.paper.entry import Budget, Claim, Entry
from sre2l_core.paper.results import Results
from sre2l_core.presets import Recipe
from sre2l_core.runs.pipeline import load_data
from sre2l_core.runs.store import Store
from sre2l_core.runtime import Runtime
from sre2l_core.stages.labels import SoftLabels

IMAGE = "<img src=x onerror=window.pwned=1>"
SCRIPT = '"><script>window.pwned=1</script>'
"""No folder's name, because of its slash: a readable name, and that of the dataset."""
CLASSES = (
    IMAGE,
    "$a_{$",
    '"><svg onload=window.pwned=1>',
    "a&b;c|&lt;i&gt;",
    "$(touch pwned)`touch pwned`",
    "\u05e9\u05dc\u05d5\u05dd \u202e12",
    unicodedata.normalize("NFD", "\u00e9\u1ec7") + "n\u0303",
    "_" + 199 * "x",
)
READABLE = tuple(SCRIPT if name == CLASSES[2] else name for name in CLASSES)
"""What the classes are called where people read it."""


def shown_by(panel: str) -> tuple[str, ...]:
    """Names to be read in a panel: all classes; the pipeline names two things, runs know classes by their folders."""
    return {"PipelinePanel": (IMAGE, SCRIPT), "Explorer": CLASSES}.get(panel, READABLE)


class World:
    """A tiny run over classes of these names.

    Args:
        place: an empty folder.
    """

    def __init__(self, place: Path) -> None:
        self.place, self.runtime = place, Runtime.auto("cpu")
        stand_ins.write_pictures(place / "pictures", dict.fromkeys(CLASSES, 10), size=(8, 8))
        smoke = presets.get("digits/smoke")
        data = {"data": "folder", "data_root": place / "pictures", "num_classes": None, "resolution": 8}
        made = {"ipc": 2, "steps": 12, "group_images": 2}
        self.recipe: Recipe = replace(smoke.but(data=data, recover=made), store_labels=True)
        self.data = renamed(load_data(self.recipe.data))
        self.teacher: Teacher = squeeze(self.data, self.recipe.squeeze, runtime=self.runtime)
        self.condensed: CondensedSet = recover(self.teacher, self.recipe.recover, runtime=self.runtime)
        self.labels: SoftLabels = relabel(self.teacher, self.condensed, self.recipe.relabel, runtime=self.runtime)

    def panels(self) -> dict[str, Any]:
        """Every panel there is, by the name of its class; whoever adds one adds it here."""
        teacher, recipe, to = self.teacher, self.recipe, {"runtime": self.runtime}
        validate = recipe.validate.but(eval_every=1)
        folder = self.place / IMAGE
        made = [
            widgets.SqueezePanel(self.data, recipe.squeeze, **to),
            widgets.RecoverStudio({IMAGE: teacher, SCRIPT: teacher}, recipe.recover, folder=folder, **to),
            widgets.SideBySide(
                teacher, recipe.recover, {"crop": "none", "lr": 0.2}, names=(IMAGE, SCRIPT), folder=folder, **to
            ),
            widgets.RelabelPanel(teacher, self.condensed, recipe.relabel.but(teacher_mode="eval"), **to),
            widgets.ValidatePanel(self.condensed, self.labels, self.data, validate, teacher=teacher, **to),
            widgets.EmbeddingPanel(teacher, self.data, recipe.recover, per_class=2, **to),
            widgets.PipelinePanel(recipe, data=self.data, **to),
            widgets.Studio(teacher, self.data, recipe, per_class=2, folder=folder, **to),
            widgets.ShortRecovery(teacher, recipe.recover, steps=4, **to),
            widgets.SmallMultiples(teacher, recipe.recover.but(steps=4), {"crop": ["none", "resized"]}, **to),
            widgets.Explorer(self.runs(), **to),
            widgets.ContinualPanel([self.learning(memory) for memory in ("condensed", "random")]),
        ]
        return {type(panel).__name__: panel for panel in made}

    def learning(self, memory: str) -> Learning:
        """A curve of two steps over these classes."""
        students = self.recipe.validate.but(against=(), hard_labels=False, seeds=1)
        config, views = ContinualConfig(steps=2, memory=memory), self.recipe.relabel.but(teacher_mode="eval")
        experts = [Expert(self.teacher, self.condensed)]
        return Learning(self.data, experts, config, views, students, runtime=self.runtime)

    def runs(self) -> Path:
        """A store of one run; a second one failed with a message of these names."""
        store = Store(self.place / "runs")
        alone = self.recipe.but(validate={"against": (), "hard_labels": False})
        store.make(alone, runtime=self.runtime)
        store.write_note(alone.but(recover={"alpha_bn": 0.5}), failure=" ".join((*CLASSES, SCRIPT)))
        return store.folder

    def figures(self) -> dict[str, Figure]:
        """Every figure of `figures.plots`."""
        images, normal = self.condensed.images, self.data.spec.normalize(self.data.train.images)
        return {
            "images": plots.images_figure(self.condensed, self.data),
            "losses": plots.losses_figure({name: [(1, 1.0), (2, 2.0)] for name in CLASSES[:3]}),
            "embedding": plots.embedding_figure(self.condensed, self.data, self.teacher, runtime=self.runtime),
            "rows": plots.rows_figure(dict.fromkeys(CLASSES, images[:8]), CLASSES, title=CLASSES[1]),
            "bn": plots.bn_statistics_figure(self.teacher, dict.fromkeys(CLASSES[:4], normal), runtime=self.runtime),
            "soft": plots.soft_label_figure(self.condensed, self.labels, 2, temperature=5.0, epochs=(0, 1)),
        }

    def pages(self) -> Iterator[str]:
        """Every Markdown that is shown or written: a score, a table of the paper."""
        rows = [ScoreRow(name, name, name, 8, 2, (0.5,), (0.5,)) for name in (*CLASSES, SCRIPT)]
        yield Score(tuple(rows), {"precision": IMAGE}).table()
        entry = Entry("table-0", "Nothing", "rows", ("one",), {"a": (1.0,)}, (Claim("a", "a", "a"),), {})
        results = Results(entry, "laptop", Budget("", ()), Store(self.place / "store"))
        results.failures["a", "one"] = " ".join((*CLASSES, SCRIPT))
        yield results.markdown()


def renamed(data: Dataset) -> Dataset:
    """The same with a name, and for a class a readable one, that no folder can have."""
    names = dict(zip(CLASSES, READABLE, strict=True))
    spec = replace(data.spec, name=SCRIPT, class_names=tuple(names[one] for one in data.spec.classes))
    parts = (ResidentSplit(spec, part.images, part.labels) for part in (data.train, data.val))
    return Dataset(spec, *parts, notes=(f"left out: 3 {IMAGE} files",))
