"""`Script`: a session that was exported, to be run again: settings at the start, and every change at its step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sre2l_core import storage
from sre2l_core.artifacts import CondensedSet
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
    def find(cls, folder: Path, teacher: str) -> tuple[Path, Self]:
        """How the last thing was made that a studio wrote into a folder: an exported session or a saved set.

        Args:
            folder: that was exported or saved to.
            teacher: id of the network that runs it again.

        Returns:
            Where it stands, and the session.

        Raises:
            ArtifactError: if there is neither, or it cannot be read.
            ConfigError: if it was made with another teacher, or its settings are not valid.
        """
        session, saved = folder / "session.json", folder / "condensed"
        manifest = saved / storage.MANIFEST
        if _written(manifest) > _written(session):
            return saved, cls._of(_from_start(CondensedSet.load(saved).origin), saved, teacher)
        return session, cls.read(session, teacher)

    @classmethod
    def read(cls, path: Path, teacher: str) -> Self:
        """A session of one recovery that was exported.

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
        except FileNotFoundError:
            raise ArtifactError(f"there is no {path}: press Export first, or name the folder of a session.") from None
        except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{path} cannot be read ({error}).") from None
        return cls._of(log, path, teacher)

    @classmethod
    def _of(cls, log: Mapping[str, Any], path: Path, teacher: str) -> Self:
        try:
            found, begun, steps = log["teacher"], log["config"], int(log["steps"])
            changes = tuple({name: one[name] for name in ("step", "field", "new")} for one in log["changes"])
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


def _from_start(origin: Mapping[str, Any]) -> dict[str, Any]:
    """A set says with which settings it was left; those of the start are what its changes replaced."""
    begun = dict(origin.get("config", {}))
    for change in reversed(origin.get("changes", ())):
        begun[change["field"]] = change["old"]
    return {**origin, "config": begun}


def _written(path: Path) -> float:
    """When; long ago where there is nothing."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
