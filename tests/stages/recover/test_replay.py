"""Changes that were noted by hand or by a panel, before they are replayed."""

import pytest

from sre2l_core.config import RecoverConfig
from sre2l_core.errors import ConfigError
from sre2l_core.stages.recover.replay import replay

CHANGE = {"step": 1, "field": "lr", "new": 0.2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([3], r"a change has step, field and new value \(got 3\)"),
        ([{"step": 1}], "a change has step"),
        ([{**CHANGE, "step": "1"}], "a change has step"),
        ([{**CHANGE, "field": ["lr"]}], "a change has step"),
        ([{**CHANGE, "step": -1}], "step -1 comes after step 0"),
        ([{**CHANGE, "step": 2}, CHANGE], "must be in order: step 1 comes after step 2"),
    ],
)
def test_changes_that_are_none_or_out_of_order_are_refused(tiny_teacher, cpu, changes, message):
    with pytest.raises(ConfigError, match=message):
        replay(tiny_teacher, RecoverConfig(ipc=1, steps=3), changes, runtime=cpu)


def test_changes_in_order_are_made_at_their_steps(tiny_teacher, cpu):
    made = replay(tiny_teacher, RecoverConfig(ipc=1, steps=3), [CHANGE, {**CHANGE, "step": 2, "new": 0.3}], runtime=cpu)
    assert [(change["step"], change["new"]) for change in made.changes] == [(1, 0.2), (2, 0.3)]
