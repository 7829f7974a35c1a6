"""`Script`: a session that was exported, to be run again: settings at the start, and every change at its step."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sre2l_core.config import RecoverConfig
from sre2l_core.errors import ArtifactError, ConfigError
from sre2l_core.files import check_is_file
from sre2l_core.stages.recover.replay import check_changes


@dataclass(frozen=True)
class Script:
    """What to do again; the empty one asks for nothing."""

    config: RecoverConfig | None = None
    changes: tuple[dict[str, Any], ...] = ()
    until: int | None = None
    """Step after which the session was left."""

    @classmethod
    def read(cls, path: Path, teacher: str) -> Self:
        """A session of one recovery.

        Args:
            path: of `session.json`.
            teacher: id of the network that runs it again.

        Raises:
            ArtifactError: if there is no session, or it cannot be read.
            ConfigError: if it was made with another teacher, or a setting, at the start or later, is not valid.
        """
        try:
            check_is_file(path)
            log = json.loads(path.read_text(encoding="utf-8"))
            found, begun, steps = log["teacher"], log["config"], int(log["steps"])
            changes = tuple({name: one[name] for name in ("step", "field", "new")} for one in log["changes"])
        except FileNotFoundError:
            raise ArtifactError(f"there is no {path}: press Export first, or name the folder of a session.") from None
        except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{path} cannot be read ({error}).") from None
        except (KeyError, TypeError, ValueError):
            raise ArtifactError(f"{path} is not the session of one recovery: export one from the studio.") from None
        if found != teacher:
            raise ConfigError(f"{path} was made with teacher {found}, this studio has {teacher}.")
        config = after = RecoverConfig.of(begun)
        check_changes(changes)
        for one in changes:  # or the run would stop at the first that is none
            try:
                after = after.but(**{one["field"]: one["new"]})
            except ConfigError as error:
                words = f"{path} changes {one['field']} at step {one['step']}: {error}"
                raise ConfigError(words) from None
        return cls(config, changes, steps)

    def due(self, step: int) -> dict[str, Any]:
        """What changes after so many steps: field -> value."""
        return {one["field"]: one["new"] for one in self.changes if one["step"] == step}
