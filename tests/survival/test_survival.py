"""The attacks in `support/attacks.py`: kills, signals, races, damage. A quick share of them; all with `--soak`."""

import re
import signal
from concurrent.futures import ThreadPoolExecutor

import attacks
import pytest
import torch

from sre2l_core import storage
from sre2l_core.artifacts import CondensedSet, Score, Teacher
from sre2l_core.errors import ArtifactError
from sre2l_core.stages.labels import SoftLabels


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run that nobody disturbed."""
    return attacks.whole_run(tmp_path_factory.mktemp("whole"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_stopped_again_and_again_ends_as_a_whole_one(whole, tmp_path, number, soak):
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip(f"these tests were started in the background of a shell that lets nobody hear {number.name}")
    attacks.attack_by_kills(whole, tmp_path, seed=number, count=4 if soak else 1, number=number)


@pytest.mark.slow
def test_kills_at_random_moments_of_all_stages(whole, tmp_path, soak):
    def kill(seed):
        attacks.attack_by_kills_within_stages(whole, tmp_path, seed=seed, count=80 if soak else 2, within=150)

    with ThreadPoolExecutor(2) as pool:  # a core for each
        list(pool.map(kill, range(2 if soak else 1)))


@pytest.mark.slow
def test_two_runs_never_meet_in_one_folder(tmp_path, soak):
    attacks.attack_by_races(tmp_path, seed=0, count=10 if soak else 1, within=45)


def loaded(part):
    """What is read of an artifact when it is used."""
    if part.name == "labels":
        labels = SoftLabels.load(part)
        return [labels.logits(epoch, torch.arange(labels.num_images)) for epoch in range(len(labels.shards))]
    return [{"teacher": Teacher, "condensed": CondensedSet}.get(part.name, Score).load(part)]


def test_a_flipped_bit_is_never_used(whole, tmp_path, soak):
    attacks.attack_by_flips(whole, tmp_path, seed=0, count=1000 if soak else 40, load=loaded, within=90)


@pytest.mark.slow
def test_damage_of_a_finished_run_is_named_or_mended(whole, tmp_path, capsys, soak):
    torch.set_num_threads(1)
    attacks.attack_by_damage(whole, tmp_path, capsys, seed=0, count=60 if soak else 12, within=90)


@pytest.mark.slow
def test_damage_of_an_unfinished_run_is_named_or_mended(whole, tmp_path, soak):
    for run, path, how, code, said in attacks.attack_unfinished_by_damage(
        tmp_path, seed=0, count=12 if soak else 1, within=90
    ):
        if code == 0:
            ours, theirs = attacks.contents(run), attacks.contents(whole)
            if ours != theirs:  # a file of a finished artifact that nobody had to read: never certified
                differs = {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
                assert differs == {path.relative_to(run).as_posix()}, (path, how)
                with pytest.raises(ArtifactError, match=re.escape(path.name)):
                    storage.verify(run / path.relative_to(run).parts[0])
        else:
            assert path.name in said, (path, how, said)
