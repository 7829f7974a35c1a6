"""A kernel and the other end of its wire: what a front end would receive, and what it would send."""

import contextlib
import json
import os
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOON = 60.0


class Wire:
    """Models that a kernel opened, kept up to date, with the time and size of every update."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.models: dict[str, dict[str, Any]] = {}
        self.updates: list[tuple[float, str, tuple[str, ...], int]] = []
        """When an update came, of which model, which traits, how many bytes."""

    def run(self, code: str) -> str:
        """Execute a cell; returns what it printed, raises what it raised."""
        asked, printed = self.client.execute(code), []

        def note(message: dict[str, Any]) -> bool:
            if message["parent_header"].get("msg_id") != asked:
                return False
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])
            if message["msg_type"] == "error":
                raise AssertionError("\n".join(message["content"]["traceback"]))
            return message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"

        self.pump(note)
        return "".join(printed).strip()

    def pump(self, until: Callable[[dict[str, Any]], bool], timeout: float = SOON) -> float:
        """Read what comes until `until(message)`; returns the time of that message."""
        deadline = time.perf_counter() + timeout
        while (left := deadline - time.perf_counter()) > 0:
            with contextlib.suppress(queue.Empty):
                message = self.client.get_iopub_msg(timeout=min(left, 1))
                now = time.perf_counter()
                self._note(message, now)
                if until(message):
                    return now
        raise TimeoutError(f"nothing like it within {timeout} s")

    def listen(self, seconds: float) -> None:
        """Read what comes for some time."""
        with contextlib.suppress(TimeoutError):
            self.pump(lambda message: False, seconds)

    def until(self, css: str, holds: Callable[[dict[str, Any]], bool], timeout: float = SOON) -> float:
        """Read until the model of a class fulfils something; returns when."""
        if holds(self.models[self.find(css)]):
            return time.perf_counter()
        return self.pump(lambda message: holds(self.models[self.find(css)]), timeout)

    def find(self, css: str) -> str:
        """The newest model of a class."""
        return next(comm for comm in reversed(self.models) if css in self.models[comm].get("_dom_classes", ()))

    def text(self, css: str) -> str:
        """What an HTML widget shows."""
        return str(self.models[self.find(css)]["value"])

    def click(self, css: str) -> float:
        """Press a button; returns when."""
        return self._send(self.find(css), {"method": "custom", "content": {"event": "click"}})

    def set(self, css: str, **state: Any) -> float:
        """Move a slider; returns when."""
        return self._send(self.find(css), {"method": "update", "state": state, "buffer_paths": []})

    def _send(self, comm: str, data: dict[str, Any]) -> float:
        message = self.client.session.msg("comm_msg", {"comm_id": comm, "data": data})
        self.client.shell_channel.send(message)
        return time.perf_counter()

    def _note(self, message: dict[str, Any], now: float) -> None:
        content = message["content"]
        if message["msg_type"] == "comm_open":
            self.models[content["comm_id"]] = dict(content["data"]["state"])
        if message["msg_type"] != "comm_msg" or content["data"].get("method") != "update":
            return
        state, size = dict(content["data"]["state"]), len(json.dumps(content))
        for (name, *_), buffer in zip(content["data"].get("buffer_paths", ()), message["buffers"], strict=True):
            state[name] = bytes(buffer)
            size += len(buffer)
        self.models.setdefault(content["comm_id"], {}).update(state)
        self.updates.append((now, content["comm_id"], tuple(state), size))


@contextlib.contextmanager
def kernel(**environment: str) -> Iterator[Wire]:
    """A kernel that finds the package, and its wire."""
    from jupyter_client.manager import start_new_kernel

    settings = {**os.environ, "PYTHONPATH": str(ROOT), "GOMP_SPINCOUNT": "10000", **environment}
    manager, client = start_new_kernel(kernel_name="python3", env=settings)
    try:
        yield Wire(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
