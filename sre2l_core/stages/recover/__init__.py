"""Stage 2, recover: Teacher -> CondensedSet (Equations 5-7)."""

from sre2l_core.groups import Group, plan
from sre2l_core.stages.recover.loop import Recovery, check_teacher
from sre2l_core.stages.recover.stage import recover

__all__ = ["Group", "Recovery", "check_teacher", "plan", "recover"]
