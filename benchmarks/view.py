"""What the live view costs, against a real kernel over the wire protocol.

Targets: at least 8 frames a second reach the front end while a recovery runs (every step, where it takes fewer), they
slow the recovery by at most 10 %, a slider is in the computation within 200 ms and Stop acknowledged within 300 ms
(90th percentiles), and a frame is at most 60 KB at 32 pixels and 120 KB at 224.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path

import torch
from harness import parser, report

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/support"))
import wire

SETUP = """
import json, time, torch
torch.set_num_threads({threads} or torch.get_num_threads())
from harness import network
from sre2l_core.config import RecoverConfig
from sre2l_core.stages.recover import Recovery, plan
from sre2l_core.worker import Run
from sre2l_core.runtime import Runtime
from sre2l_core.widgets import RecoverStudio
from sre2l_core.widgets.base.panel import LivePanel
runtime = Runtime.auto("cpu")
teacher = network({network!r}, {resolution}, 10, **{options})
config = RecoverConfig(ipc={ipc}, steps=1_000_000, flip=0, group_images=10, first_bn_multiplier=1)
config = config.but(only_classes=teacher.spec.classes[:{classes}])
studio = RecoverStudio(teacher, config, runtime=runtime)
heard = []
retune = Recovery.retune
def listening(self, **changes):
    heard.append(time.time())
    retune(self, **changes)
Recovery.retune = listening
spent = [0.0, 0.0]
publish, step = LivePanel._on_frame, Recovery.step
def timed(call, index):
    def clocked(*args):
        start = time.thread_time()
        try:
            return call(*args)
        finally:
            spent[index] += time.thread_time() - start
    return clocked
LivePanel._on_frame, Recovery.step = timed(publish, 0), timed(step, 1)
def headless(seconds):
    recovery = Recovery(studio.teacher, plan(studio.config, teacher.spec), studio.config, runtime=runtime)
    run = Run(lambda: recovery)
    run.start()
    time.sleep(0.3)
    steps, start = recovery.step_count, time.perf_counter()
    time.sleep(seconds)
    rate = (recovery.step_count - steps) / (time.perf_counter() - start)
    run.stop()
    run.wait()
    print(rate)
"""
LARGE = {"network": "convnet", "resolution": 224, "options": {"depth": 5, "width": 8}, "ipc": 1}
CASES = {
    "digits, 10 of 16 px": {
        "network": "convnet", "resolution": 16, "options": {"depth": 3, "width": 32}, "ipc": 1, "classes": 10
    },
    "ResNet-10, 20 of 32 px": {
        "network": "resnet10", "resolution": 32, "options": {"width": 32}, "ipc": 2, "classes": 10
    },
    "ConvNet, 4 of 224 px": LARGE | {"classes": 4},
    "ConvNet, 10 of 224 px": LARGE | {"classes": 10},
}  # fmt: skip
"""The last takes fewer steps a second than the eight frames wanted: there every step is shown."""


def p90(values: list[float]) -> float:
    return statistics.quantiles(values, n=10, method="inclusive")[-1]


def start(kernel: wire.Wire) -> None:
    kernel.run("studio.reset()")
    kernel.click("sre-start")
    kernel.until("sre-status", lambda model: "<b>running</b>" in model["value"] and "step" in model["value"])


def stop(kernel: wire.Wire) -> float:
    """Seconds from the click to the acknowledgement."""
    clicked = kernel.click("sre-stop")
    took = kernel.until("sre-status", lambda model: "stop" in model["value"]) - clicked
    kernel.until("sre-status", lambda model: "<b>stopped</b>" in model["value"])
    return took


def watched(kernel: wire.Wire, seconds: float) -> tuple[float, float, list[float], list[int]]:
    """Steps a second, the view's CPU time per step's, times of frames and bytes of each, while a panel runs."""
    start(kernel)
    kernel.listen(0.3)
    kernel.run("spent[:] = [0, 0]; before = studio.recovery.step_count, time.perf_counter()")
    kernel.updates.clear()
    kernel.listen(seconds)
    count = "(studio.recovery.step_count - before[0]) / (time.perf_counter() - before[1])"
    rate, share = map(float, kernel.run(f"print({count}, spent[0] / spent[1])").split())
    grid = kernel.find("sre-grid")
    times = [when for when, comm, names, _ in kernel.updates if comm == grid and "value" in names]
    sizes = [
        sum(size for when, _, _, size in kernel.updates if first < when <= last) for first, last in pairwise(times)
    ]
    stop(kernel)
    return rate, share, times, sizes


def drags(kernel: wire.Wire, count: int) -> list[float]:
    """Milliseconds from each move of a slider to the recovery's own `retune`."""
    start(kernel)
    kernel.run("heard.clear()")
    sent = []
    for number in range(count):
        sent.append(time.time())
        kernel.set("sre-alpha-bn", index=1 + number % 5)
        kernel.until("sre-loss", lambda model, marks=number + 1: model["value"].count("sre-mark") >= marks)
        kernel.listen(0.013 * (number % 7))
    heard = json.loads(kernel.run("print(json.dumps(heard))"))
    stop(kernel)
    assert len(heard) == len(sent), (len(heard), len(sent))
    return [1000 * (late - early) for early, late in zip(sent, heard, strict=True)]


def stops(kernel: wire.Wire, count: int) -> list[float]:
    taken = []
    for _ in range(count):
        start(kernel)
        kernel.listen(0.1)
        taken.append(1000 * stop(kernel))
    return taken


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--seconds", type=float, default=4, help="length of one measurement")
    made.add_argument("--count", type=int, default=20, help="drags and stops")
    options = made.parse_args()
    rows = []
    for name, case in CASES.items():
        paths = os.pathsep.join([str(wire.ROOT), str(Path(__file__).parent)])
        with wire.kernel(PYTHONPATH=paths) as kernel:
            kernel.run(SETUP.format(**case, threads=options.threads or 0))
            kernel.run("headless(0.5)")
            slower, shares, rates, frames, sizes = [], [], [], [], []
            for _ in range(options.rounds):
                alone = float(kernel.run(f"headless({options.seconds})"))
                rate, share, times, bytes_of = watched(kernel, options.seconds)
                slower.append(100 * (1 - rate / alone))
                rates.append(rate)
                shares.append(100 * share)
                frames.append((len(times) - 1) / (times[-1] - times[0]))
                sizes += bytes_of
            rows.append(
                {
                    "recovery": name,
                    "steps/s": round(statistics.median(rates), 1),
                    "frames/s": round(statistics.median(frames), 1),
                    "slower by %": round(statistics.median(slower), 1),
                    "view's CPU, % of the steps'": round(statistics.median(shares), 1),
                    "frame KB, largest": round(max(sizes) / 1000, 1),
                    "slider ms, p90": round(p90(drags(kernel, options.count))),
                    "Stop ms, p90": round(p90(stops(kernel, options.count))),
                }
            )
    report("view", rows, options, torch.device("cpu"), [__doc__.strip().split("\n\n")[1]])


if __name__ == "__main__":
    main()
