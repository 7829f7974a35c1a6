"""Attacks on runs: kills, races, damage. Each takes a seed and a count, and fails with what it found."""

from __future__ import annotations

import math
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import get_context
from pathlib import Path

import torch
from tally import TALLY
from waiting import until

from sre2l_core import storage
from sre2l_core.__main__ import main
from sre2l_core.errors import ArtifactError
from sre2l_core.runs import report
from sre2l_core.runs.inspect import describe

COMMAND = [sys.executable, "-m", "sre2l_core"]
RUN = shlex.split("run --preset digits/smoke --resolution 8 --device cpu --recover.group-images 1 --validate.seeds 1")
LONG = 600
"""Seconds after which a process hangs: a machine that others keep busy takes its time."""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
DAMAGE = {
    "flipped": lambda path, dice: path.write_bytes(flipped(path.read_bytes(), dice)),
    "cut": lambda path, dice: path.write_bytes(path.read_bytes()[: dice.randrange(path.stat().st_size)]),
    "emptied": lambda path, dice: path.write_bytes(b""),
    "deleted": lambda path, dice: path.unlink(),
}


def flipped(content, dice):
    """The same bytes but for one."""
    position = dice.randrange(len(content))
    return content[:position] + bytes([content[position] ^ 1 << dice.randrange(8)]) + content[position + 1 :]


def for_a_while(items, within):
    """Items until so many seconds are over, and one at least: on a busy machine there are fewer."""
    end = time.monotonic() + within
    for item in items:
        yield item
        if time.monotonic() > end:
            return


def handles(pid, number):
    """Whether this package answers a signal in a process: from the moment on that SIGTERM is caught."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return all(caught >> (each - 1) & 1 for each in (number, signal.SIGTERM))


def start(*words, **options):
    """A command in a process of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": ENVIRONMENT}
    return subprocess.Popen([*COMMAND, *map(str, words)], **pipes, **options)


def contents(run):
    """Bytes of everything a run computed: name -> content of teacher, images, labels, students and log."""
    kept = ("weights.safetensors", "students.json", "score.md", "score.csv", "score.tex", "log.csv")
    files = [path for path in run.rglob("*") if path.is_file()]
    chosen = [path for path in files if path.name in kept or path.parent.name == "labels" or "images" in path.parts]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in chosen}


def attack_by_kills(whole, place, *, seed, count, number=signal.SIGKILL, longest=6.0):
    """Kill one run at random moments, again and again, then let it end: the same bytes as those of a `whole` one.

    Returns how many of the processes were killed; the others ended before.
    """
    dice, run, hit = random.Random(seed), place / f"killed{seed}", 0
    for _ in range(count):
        with start(*RUN, "--out", run) as process:
            if number != signal.SIGKILL:  # what Python itself says of a signal is not ours
                until(lambda process=process: process.poll() is not None or handles(process.pid, number), within=LONG)
            try:
                process.wait(dice.uniform(0, longest))
            except subprocess.TimeoutExpired:
                process.send_signal(number)
                hit += 1
            said = process.communicate(timeout=LONG)[1]
        assert "Traceback" not in said, said
        assert process.returncode in (0, -number, 128 + number), said
    with start(*RUN, "--out", run) as process:
        said = process.communicate(timeout=LONG)[1]
    assert process.returncode == 0, said
    _is_whole(run, whole)
    TALLY.count(signal.Signals(number).name, "held", hit)
    return hit


def attack_by_kills_within_stages(whole, place, *, seed, count, within=math.inf):
    """SIGKILL at random moments between the first and the last step, again and again; each run ends as a `whole` one.

    The processes are forked from one that has imported everything: no kill is spent on an import.
    """
    dice, run, lasts = random.Random(seed), place / f"forked{seed}", None
    for _ in for_a_while(range(count), within):
        begun = time.monotonic()
        process = FORKS.Process(target=_run, args=(run,))
        process.start()
        process.join(lasts and dice.uniform(0, lasts))
        if process.exitcode is None:
            process.kill()
            TALLY.count("SIGKILL within the stages", "held")
        process.join()
        if process.exitcode == 0:
            lasts = time.monotonic() - begun if lasts is None else lasts
            _is_whole(run, whole)
            shutil.rmtree(run)
        said = run.with_suffix(".said").read_text() if process.exitcode != 0 else ""
        assert process.exitcode in (0, -signal.SIGKILL), said
    assert lasts
    last = FORKS.Process(target=_run, args=(run,))
    last.start()
    last.join(LONG)
    _is_whole(run, whole)


FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["sre2l_core.__main__", "sre2l_core.runs.pipeline", "sre2l_core.runs.report"])


def _run(run):
    torch.set_num_threads(1)  # as in ENVIRONMENT
    report.draw_run = lambda *args, **options: []  # after the last stage; drawing takes longer than they do
    with run.with_suffix(".said").open("w") as said, redirect_stdout(said), redirect_stderr(said):
        sys.exit(main([*RUN, "--out", str(run)]))


def _is_whole(run, whole):
    for name in ("teacher", "condensed", "labels", "score"):
        storage.verify(run / name)
    assert contents(run) == contents(whole)


def attack_by_races(place, *, seed, count, within=math.inf):
    """Start two runs of different seeds in one folder at almost the same time: one has it, the other is told."""
    dice = random.Random(seed)
    for number in for_a_while(range(count), within):
        run = place / f"race{seed}_{number}"
        first = start(*RUN, "--out", run, "--seed", 0)
        time.sleep(dice.uniform(0, 1.5))
        second = start(*RUN, "--out", run, "--seed", 7)
        ends = [(process.communicate(timeout=LONG)[1], process.returncode) for process in (first, second)]
        assert sorted(code for _, code in ends) == [0, 2], ends
        said = next(said for said, code in ends if code == 2)
        assert re.search(r"is in use: process \d+ on .* works there since|holds another run: .*seed is", said), said
        requests = [storage.read_manifest(run / name)["request"] for name in ("teacher", "condensed", "score")]
        assert len({request["config"]["seed"] for request in requests}) == 1, requests
        assert len(list((run / "condensed").rglob("*.png"))) == len(storage.read_manifest(run / "condensed")["files"])
        for end in ("refused", "held"):
            TALLY.count("processes that race for a folder", end)


def attack_by_flips(whole, place, *, seed, count, load, within=math.inf):
    """Flip bits of a finished run, one at a time: `load(part)` and `inspect` name the file, whichever it is."""
    dice, run = random.Random(seed), place / "flipped"
    shutil.copytree(whole, run)
    files = sorted(path for part in run.iterdir() if part.is_dir() for path in part.rglob("*.*") if path.is_file())
    for _ in for_a_while(range(count), within):
        path = dice.choice(files)
        kept, part = path.read_bytes(), path.relative_to(run).parts[0]
        path.write_bytes(flipped(kept, dice))
        for read in (describe, load):
            said = ""
            try:
                list(read(run / part))
            except ArtifactError as error:
                said = str(error)
            # The table of a score is read from its manifest alone.
            assert path.name in said or (read is load and part == "score" and not said), (path, said)
        path.write_bytes(kept)
        TALLY.count("flipped bytes", "refused")


def attack_by_damage(whole, place, capsys, *, seed, count, within=math.inf):
    """Damage one file of a finished run: it is named, or made again as it was; nothing wrong is certified."""
    dice, expected = random.Random(seed), contents(whole)
    files = sorted(path.relative_to(whole) for part in whole.iterdir() if part.is_dir() for path in part.rglob("*.*"))
    tried = [(name, how) for name in files for how in DAMAGE]
    for name, how in for_a_while(dice.sample(tried, min(count, len(tried))), within):
        run = place / "damaged"
        shutil.copytree(whole, run)
        DAMAGE[how](run / name, dice)
        _is_named_or_mended(run, name, f"{name} {how}", expected, capsys)
        shutil.rmtree(run)


def _is_named_or_mended(run, name, case, expected, capsys):
    capsys.readouterr()
    assert main(["inspect", str(run)]) == 2, case
    assert name.name in (said := capsys.readouterr().err), (case, said)
    for _ in range(2):
        code, said = main([*RUN, "--out", str(run)]), capsys.readouterr().err
        assert "defect of the program" not in said, (case, said)
        if code == 0:
            # A score that is there already is shown without a look at what it was made from: `inspect` has named that.
            others = contents(run).items() - {(name.as_posix(), (run / name).read_bytes())}
            assert others == expected.items() - {(name.as_posix(), expected.get(name.as_posix()))}, case
            TALLY.count("damage of a finished run", "held")
            return
        assert name.name in said, (case, said)
        remedy = re.search(r"[Dd]elete (?:the folder (\S+) and|that folder|it and) run|Choose another", said)
        assert remedy, (case, said)
        folder = run / name.parts[0]
        if name.name == storage.MANIFEST:
            shutil.rmtree(folder)
        else:
            (run / name).unlink(missing_ok=True)
    raise AssertionError((case, said))


def attack_unfinished_by_damage(place, *, seed, count, within=math.inf):
    """Kill a run, damage a file of what it left, go on: it ends as a whole one, or the file is named."""
    dice, results = random.Random(seed), []
    for number in for_a_while(range(count), within):
        run = place / f"unfinished{seed}_{number}"
        process = FORKS.Process(target=_run, args=(run,))
        process.start()
        until(lambda run=run: _pieces(run), within=LONG)
        process.join(dice.uniform(0, 1.5))
        process.kill()
        process.join()
        path, how = dice.choice(_pieces(run)), dice.choice(list(DAMAGE))
        if path.stat().st_size:
            DAMAGE[how](path, dice)
        process = FORKS.Process(target=_run, args=(run,))
        process.start()
        process.join(LONG)
        said, status = run.with_suffix(".said").read_text(), process.exitcode
        assert "Traceback" not in said, said
        results.append((run, path, how, status, said))
        TALLY.count("damage of an unfinished run", "refused" if status else "held")
    return results


def _pieces(run):
    """Files of the parts that a run has begun."""
    return sorted(path for path in run.glob("*/**/*") if path.is_file() and path.name != storage.LOCK)


def whole_run(place: Path) -> Path:
    """A run that nobody disturbed."""
    with start(*RUN, "--out", place / "whole") as process:
        said = process.communicate(timeout=LONG)[1]
    assert process.returncode == 0, said
    return place / "whole"
