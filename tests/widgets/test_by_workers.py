"""Panels whose work is done by workers: progress, Pause, Stop and results as without them."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

import pytest
import waiting
from small_runs import BASE, key

from sre2l_core import LiveLabels
from sre2l_core.config import RelabelConfig, ValidateConfig
from sre2l_core.data import load
from sre2l_core.widgets import Explorer, PipelinePanel, ValidatePanel
from sre2l_core.widgets.student_bench import StudentBench
from sre2l_core.worker import State

STUDENTS = ValidateConfig(
    students=("convnet",), student_options={"depth": 2, "width": 8}, epochs=3, batch_size=6, seeds=2, eval_every=1
)
VIEWS = RelabelConfig(crop_scale=(0.5, 1.0))
SOON = 60.0
until = partial(waiting.until, within=SOON)


class Gate(ThreadPoolExecutor):
    """Two workers that begin nothing before it is opened."""

    def __init__(self):
        super().__init__(2)
        self.opened, self.names = Event(), []

    def submit(self, fn, /, *args):
        self.names.append(fn.__name__)
        return super().submit(lambda: self.opened.wait(SOON) and fn(*args))


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()
    gate.shutdown()


@pytest.fixture
def panels(tiny_teacher, tiny_condensed, tiny_data, store, cpu):
    """Kind -> a function of an executor that makes a panel, and one of the panel that tells what came out."""
    labels, made = LiveLabels(tiny_teacher, tiny_condensed, VIEWS, runtime=cpu), []
    digits = load("digits", resolution=8)

    def pipeline(**how):
        return PipelinePanel(BASE.but(validate={"seeds": 1}, store_labels=True), data=digits, **how)

    def validate(**how):
        config = STUDENTS.but(against=("random",))
        return ValidatePanel(tiny_condensed, labels, tiny_data, config, teacher=tiny_teacher, **how)

    def students(**how):
        images = {"images": lambda: tiny_condensed, "about": lambda: "eleven"}
        return StudentBench(tiny_teacher, tiny_data, VIEWS, STUDENTS, **images, **how)

    def explorer(**how):
        panel = Explorer(store.folder, **how)
        panel.open_run(key(store, BASE))
        panel.turn("recover.steps", 3 if how.get("executor") else 5)
        return panel

    def shown(panel):
        curves = [view.drawings for name, view in panel._views.items() if name != "table"]
        return panel.score.rows, curves, {name: values.tolist() for name, values in panel.by_class.items()}

    def stages(panel):
        artifacts = [panel.bench.artifact(stage) for stage in ("squeeze", "recover", "validate")]
        return artifacts[0].id, artifacts[1].id, artifacts[2].rows

    results = {
        pipeline: stages,
        validate: shown,
        students: lambda panel: panel.trials,
        explorer: lambda panel: len(panel.points.points),
    }

    def make(kind, executor=None):
        maker = next(one for one in results if one.__name__ == kind)
        made.append(maker(executor=executor, runtime=cpu, name=f"{kind} {executor}"))
        return made[-1], partial(results[maker], made[-1])

    yield make
    for panel in made:
        panel.close()


@pytest.mark.parametrize("kind", ["pipeline", "validate", "students", "explorer"])
def test_it_pauses_goes_on_and_ends_as_without_workers(kind, panels, gate):
    alone, expected = panels(kind)
    if kind != "explorer":
        alone.start()
        assert alone.wait(SOON) is State.FINISHED
    panel, found = panels(kind, gate)
    panel.start()
    until(lambda: gate.names)
    panel.pause()
    until(lambda: panel.state is State.PAUSED)  # while units take their time
    begun = len(gate.names)
    assert begun <= 4  # two for each worker
    if panel.event is not None and kind in ("validate", "students"):
        assert panel.event.step == 0
        assert "none is done" in panel.status
    gate.opened.set()
    panel.resume()
    assert panel.wait(SOON) is State.FINISHED
    assert panel.error == ""
    assert panel.event.step == panel.event.total
    assert found() == (4 if kind == "explorer" else expected())


@pytest.mark.parametrize("kind", ["pipeline", "students"])
def test_it_stops_while_units_take_their_time(kind, panels, gate):
    panel, _ = panels(kind, gate)
    panel.start()
    until(lambda: gate.names)
    panel.stop()
    assert panel.wait(10) is State.STOPPED
    assert panel.error == ""
    panel.executor = None  # from the next start on
    begun = len(gate.names)
    panel.start()
    assert panel.wait(SOON) is State.FINISHED
    assert len(gate.names) == begun


def test_an_executor_that_was_shut_down_is_said_in_a_line(panels, gate):
    gate.shutdown()
    panel, _ = panels("validate", gate)
    panel.start()
    assert panel.wait(SOON) is State.FAILED
    assert "the executor takes no more work" in panel.error
