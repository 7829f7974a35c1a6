"""Kills while others are at work too: a pool's process, the driver, Dask's, a rank of torchrun: the same bytes.

Each strikes at a random moment between the beginning of its stage and the end; the name of the case is the seed.
"""

import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import attacks
import pytest
import torch
from distributed import Client
from tally import TALLY
from waiting import until

from sre2l_core import storage
from sre2l_core.__main__ import main

STAGES = {
    "recover": "--ipc 12 --group-images 1 --steps 60 --snapshot-every 20",
    "relabel": "--epochs 24",
    "validate": "--seeds 3 --students convnet --epochs 6 --against random",
}
DONE = {"recover": "images/*/*.png", "relabel": "labels/*.safetensors", "validate": "students.json"}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return a function that has what a stage makes in one process of one thread that nobody disturbs, in a folder."""
    place = tmp_path_factory.mktemp("alone")
    finish("squeeze", *shlex.split("--preset digits/smoke --resolution 8 --device cpu"), "--out", place / "teacher")

    def made(stage):
        for name in list(STAGES)[: list(STAGES).index(stage) + 1]:
            finish(*command(name, place), "--out", place / name)
        return place

    return made


def command(stage, place):
    """The command of a stage without its folder."""
    made_from = {"--teacher": place / "teacher", "--condensed": place / "recover", "--labels": place / "relabel"}
    needed = {"recover": 1, "relabel": 2, "validate": 3}[stage]
    folders = [str(word) for pair in list(made_from.items())[:needed] for word in pair]
    return [stage, *folders, "--preset", "digits/smoke", "--device", "cpu", *shlex.split(STAGES[stage])]


def finish(*words):
    """Run a command to its end, with as many threads as workers use."""
    assert torch.get_num_threads() == 1
    assert main([*map(str, words)]) == 0


def contents(folder):
    """Name -> bytes of a finished artifact, its manifest too: it names threads and versions, never who computed."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def children(process):
    """Processes that a process began, without the tracker of its resources."""
    words = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in _children_of(process.pid)}
    return [pid for pid, line in words.items() if b"spawn_main" in line]


def _children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def written(out, stage):
    """Pieces of finished units: path -> which file it is, and when it was written."""
    found = [path for path in out.glob(DONE[stage]) if stage != "recover" or unit_is_whole(out, int(path.stem) // 2)]
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def unit_is_whole(out, number):
    """Whether a batch of two images and their three snapshots each are all there."""
    return all(
        len([*out.glob(f"images/*/{index:08d}.png"), *out.glob(f"snapshots/*/{index:08d}.png")]) == 4
        for index in (2 * number, 2 * number + 1)
    )


def count(out, stage):
    """How many results of a stage there are: images, epochs of labels, students."""
    found = [*out.glob(DONE[stage])]
    return found[0].read_text().count(" | seed ") if stage == "validate" and found else len(found)


def moment(case, stage, out, whole):
    """Return a function that tells whether a random moment has come on the way to what a `whole` folder holds."""
    dice, begun = random.Random(case), []
    results = int(dice.uniform(0, 0.9) * count(whole, stage))
    rest = dice.uniform(0, BETWEEN if results else BEGINNING)

    def has_come():
        time.sleep(0.01)  # or looking would take the workers' time
        if not begun and (out / storage.REQUEST).exists() and count(out, stage) >= results:
            begun.append(time.monotonic())
        return begun and time.monotonic() >= begun[0] + rest

    return has_come


BETWEEN, BEGINNING = 0.05, 4.0
"""Seconds, about, between two results, and before the first, while workers begin."""


def attack(stage, place, out, workers, strike, expected):
    """Begin a stage by workers and strike at a random moment; what the driver said, if that did not come too late."""
    has_come = moment(f"{stage} {workers[0]} {expected}", stage, out, place / stage)
    with attacks.start(*command(stage, place), "--out", out, *workers) as process:
        until(lambda: has_come() or process.poll() is not None, within=300)
        if process.poll() is None:
            strike(process)
        said = process.communicate(timeout=300)[1]
    assert process.returncode in (0, expected), said
    assert "Traceback" not in said, said
    return said if process.returncode == expected else ""


def goes_on(stage, place, out, workers=()):
    """The same command finishes with the same bytes, and what was finished is not made again."""
    before = written(out, stage) if stage != "validate" else {}
    finish(*command(stage, place), "--out", out, *workers)
    storage.verify(out)
    assert contents(out) == contents(place / stage)
    after = written(out, stage)
    assert {path: after[path] for path in before} == before
    TALLY.count("kills among workers, schedulers and drivers", "held")


POOL = ("--workers", "2")


@pytest.mark.parametrize(
    "stage", ["recover", *(pytest.param(s, marks=pytest.mark.soak) for s in ("relabel", "validate"))]
)
def test_a_process_of_the_pool_is_killed(stage, alone, tmp_path):
    def strike(process):
        until(lambda: children(process) or process.poll() is not None, within=60)
        os.kill(random.Random(stage).choice(children(process)), signal.SIGKILL)

    said = attack(stage, alone(stage), tmp_path / "out", POOL, strike, 2)
    if said:
        assert re.search(r"error: .*: the executor takes no more work .*is kept; the same command goes on", said)
    goes_on(stage, alone(stage), tmp_path / "out", POOL)


@pytest.mark.soak
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("number", "status"), [("SIGKILL", -9), ("SIGTERM", 143), ("SIGINT", 130)])
def test_the_driver_is_stopped(number, status, stage, alone, tmp_path):
    def strike(process):
        workers.extend(children(process))
        process.send_signal(getattr(signal, number))

    workers = []
    attack(stage, alone(stage), tmp_path / "out", POOL, strike, status)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), within=20)
    goes_on(stage, alone(stage), tmp_path / "out")  # by one process what two began


@pytest.mark.soak
@pytest.mark.parametrize("stage", STAGES)
def test_any_number_of_workers_makes_the_same(stage, alone, tmp_path):
    for workers in ("1", "2"):
        goes_on(stage, alone(stage), tmp_path / workers, ("--workers", workers))


@pytest.mark.soak
def test_a_whole_run_by_workers_is_that_of_one_process(tmp_path):
    assert torch.get_num_threads() == 1
    for name, workers in {"alone": (), "shared": POOL}.items():
        assert main([*attacks.RUN, "--store-labels", "--out", str(tmp_path / name), *workers]) == 0
    alone, shared = (attacks.contents(tmp_path / name) for name in ("alone", "shared"))
    logs = [made.pop("log.csv") for made in (alone, shared)]
    assert shared == alone
    assert all(log.startswith(b"stage,note,step,metric,value") for log in logs)


@contextmanager
def dask(tmp_path):
    """A scheduler and two workers, each a process; its address, and the processes."""
    options = {"env": attacks.ENVIRONMENT, "cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    program, port = [sys.executable, "-m", "dask"], tmp_path / "scheduler.json"
    scheduler = [*program, "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", port]
    worker = [*program, "worker", "--scheduler-file", port, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    processes = [subprocess.Popen([*map(str, words)], **options) for words in (scheduler, worker, worker)]
    try:
        until(lambda: port.exists() and port.read_text().endswith("}"), within=120)
        address = re.search(r'"address": "([^"]+)"', port.read_text())[1]
        with Client(address, timeout=120, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=120)
        yield address, processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.soak
@pytest.mark.parametrize("stage", STAGES)
def test_a_dask_worker_is_killed_and_others_go_on(stage, alone, tmp_path):
    with dask(tmp_path) as (address, processes):
        attack(stage, alone(stage), tmp_path / "out", ("--scheduler", address), lambda _: processes[-1].kill(), 0)
    goes_on(stage, alone(stage), tmp_path / "out")  # nothing is left to do


@pytest.mark.soak
@pytest.mark.parametrize("stage", STAGES)
def test_the_scheduler_is_killed(stage, alone, tmp_path):
    with dask(tmp_path) as (address, processes):
        said = attack(stage, alone(stage), tmp_path / "out", ("--scheduler", address), lambda _: processes[0].kill(), 2)
    if said:
        assert "is kept; the same command goes on with what is left" in said
    goes_on(stage, alone(stage), tmp_path / "out", POOL)


RANKS = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "sre2l_core")
TOGETHER = {
    "squeeze": shlex.split("squeeze --preset digits/smoke --resolution 8 --device cpu --batch-size 64 --epochs 20"),
    "validate": ("--seeds", "2", "--batch-size", "8"),
}


def words_of(stage, alone):
    """The command of a stage that ranks can do, without its folder."""
    if stage == "squeeze":
        return TOGETHER[stage]
    return [*command(stage, alone("validate")), *TOGETHER[stage]]


@contextmanager
def ranks(*words):
    """Two ranks at a command."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": attacks.ENVIRONMENT}
    with subprocess.Popen([*RANKS, *map(str, words)], **pipes) as process:
        yield process


@pytest.fixture(scope="module")
def together(alone, tmp_path_factory):
    """Return a function that has what two ranks make of a stage when nobody disturbs them, and how long they take."""
    place, seconds = tmp_path_factory.mktemp("together"), {}

    def made(stage):
        if stage not in seconds:
            with ranks(*words_of(stage, alone), "--out", place / stage) as process:
                until(lambda: (place / stage / storage.REQUEST).exists() or process.poll() is not None, within=300)
                begun = time.monotonic()
                until(lambda: (place / stage / storage.MANIFEST).exists() or process.poll() is not None, within=300)
                seconds[stage] = time.monotonic() - begun
                said = process.communicate(timeout=attacks.LONG)[1]
            assert process.returncode == 0, said
        return place / stage, seconds[stage]

    return made


def rank(process, number):
    """The process of a rank."""
    return next(
        pid for pid in map(int, _children_of(process.pid))
        if f"\0RANK={number}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    )  # fmt: skip


STRIKES = {
    "rank 1 is killed": lambda process: os.kill(rank(process, 1), signal.SIGKILL),
    "rank 0 is killed": lambda process: os.kill(rank(process, 0), signal.SIGKILL),
    "rank 1 is asked to stop": lambda process: os.kill(rank(process, 1), signal.SIGTERM),
    "all are asked to stop": lambda process: process.send_signal(signal.SIGTERM),
    "all are interrupted": lambda process: process.send_signal(signal.SIGINT),
}
QUICK = ("squeeze", "rank 1 is killed")


@pytest.mark.parametrize(
    ("stage", "strike"),
    [
        pytest.param(stage, strike, marks=() if (stage, strike) == QUICK else pytest.mark.soak)
        for stage in TOGETHER
        for strike in STRIKES
    ],
)  # fmt: skip
def test_a_rank_of_torchrun_is_killed_or_stopped(stage, strike, alone, together, tmp_path):
    words, out = [*words_of(stage, alone), "--out", tmp_path / "out"], tmp_path / "out"
    whole, seconds = together(stage)
    with ranks(*words) as process:
        until(lambda: (out / storage.REQUEST).exists() or process.poll() is not None, within=300)
        time.sleep(random.Random(f"{stage} {strike}").uniform(0, 0.8 * seconds))
        begun = [rank(process, number) for number in range(2)]
        STRIKES[strike](process)
        said = process.communicate(timeout=300)[1]
    assert process.returncode, said
    lines = [line for line in said.splitlines() if line.startswith(("error: ", "stopped. The same command goes on"))]
    assert len(lines) == 1, said
    assert re.match(r"stopped\.|error: another rank ended before its work was done .* is kept", lines[0]), said
    assert not any(Path(f"/proc/{pid}").exists() for pid in begun)
    assert not (out / storage.MANIFEST).exists()
    with ranks(*words) as process:
        said = process.communicate(timeout=attacks.LONG)[1]
    assert process.returncode == 0, said
    storage.verify(out)
    assert contents(out) == contents(whole)
    TALLY.count("kills and signals among ranks", "held")
