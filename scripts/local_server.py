"""Start and control the server of `make serve` from tests.

Each server has its own port, state folder and API key, so several can run at the same time and none
sees the developer's data.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.project import ROOT, VENV_BIN, tool_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

READY = "Flowflare is ready: "
CONTROL = "control: "
READY_DEADLINE_S = 60.0
STOP_DEADLINE_S = 10.0
CALL_DEADLINE_S = 30.0
LOG_LINES = 2000


class ServerError(Exception):
    """The server did not start, or a command failed; the message contains the log."""


@dataclass(frozen=True)
class Reply:
    """Response of a Worker."""

    status: int
    text: str

    def json(self) -> Any:
        """Parse the text as JSON."""
        return json.loads(self.text)


class LocalServer:
    """A server controlled by `start()` and `stop()`, or by a `with` statement.

    `restart()` keeps the folder `state`; `stop()` removes it, unless it was given. `beside` names
    folders of other Workers to run in the same workerd (see beside.mjs), and `config` the folder of
    another wrangler.jsonc for the service. If `port` is 0, the first start takes a free one.
    """

    def __init__(
        self,
        *,
        vars: Mapping[str, str] | None = None,
        state: Path | None = None,
        beside: Sequence[Path] = (),
        config: Path | None = None,
    ) -> None:
        self.key = (vars or {}).get("FLOWFLARE_API_KEY") or secrets.token_urlsafe(32)
        self.vars = {**(vars or {}), "FLOWFLARE_API_KEY": self.key}
        self.beside = tuple(beside)
        self.config = config
        self.state = state or Path(tempfile.mkdtemp(prefix="flowflare-"))
        self.url = ""
        self._owns_state = state is None
        self._lines: deque[str] = deque(maxlen=LOG_LINES)
        self._changed = threading.Condition()
        self._replies: dict[int, dict[str, Any]] = {}
        self._last_call = 0
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def log(self) -> str:
        """Output of the server and its Workers."""
        with self._changed:
            return "\n".join(self._lines)

    def start(self) -> None:
        """Start and wait until /healthz has answered; raises ServerError with the log."""
        command = [str(VENV_BIN / "node"), "scripts/serve.mjs", "--control"]
        command += ["--port", str(self.port), "--state", str(self.state)]
        if self.config is not None:
            command += ["--config", str(self.config)]
        for name, value in self.vars.items():
            command += ["--var", f"{name}:{value}"]
        for folder in self.beside:
            command += ["--beside", str(folder)]
        environment = {
            name: value
            for name, value in tool_environment().items()
            if name not in ("PORT", "FLOWFLARE_STATE")
        }
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # In a process group of its own, Ctrl-C reaches only the tests, which then stop it.
            start_new_session=True,
        )
        self.url = ""
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        ready = self._wait(lambda: bool(self.url) or not self.is_running, READY_DEADLINE_S)
        if not ready or not self.url:
            self._end()
            raise ServerError(f"The server did not start. Its log:\n{self.log}")
        self.port = int(self.url.rsplit(":", 1)[1])

    @property
    def pid(self) -> int:
        """Process id of the server."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """True while the process runs."""
        return self._process is not None and self._process.poll() is None

    def restart(self) -> None:
        """Stop and start again on the same port, with the same state."""
        self._end()
        self.start()

    def crash(self) -> None:
        """Kill the server and workerd without warning; `start()` starts them again."""
        process, self._process = self._process, None
        assert process is not None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Suspend the server and workerd during the block; connections stay open."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stop the server and workerd, and remove the state folder unless it was given."""
        self._end()
        if self._owns_state:
            shutil.rmtree(self.state, ignore_errors=True)

    def evict(self, name: str = "shard-0", *, class_name: str = "WorkflowTracker") -> bool:
        """Evict a Durable Object from memory, as if it had been idle; its sockets hibernate.

        Returns True if it was in memory.
        """
        return bool(self._call("evict", **{"class": class_name, "name": name}))

    def tracker(self, method: str, shard: str = "shard-0") -> Any:
        """Call a method of a shard of the tracker: `notify`, or `status` (see tracker.py)."""
        answer = self._call("object", binding="TRACKER", name=shard, method=method)
        return None if answer is None else json.loads(answer)

    def follower(self, method: str, shard: str = "shard-0") -> Any:
        """Call a method of a shard of the follower: `status` (see follower_do/follower.py)."""
        return json.loads(self._call("object", binding="FOLLOWER", name=shard, method=method))

    def fetch(
        self,
        worker: str,
        path: str = "/",
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> Reply:
        """Send a request to a Worker by its name: the service, or one beside it."""
        sent = {"path": path, "method": method, "headers": dict(headers or {}), "body": body}
        return Reply(**self._call("fetch", worker=worker, **sent))

    def scheduled(
        self, worker: str, cron: str = "* * * * *", *, at: datetime | None = None
    ) -> None:
        """Run a Worker's cron handler to its end, with the time `at` or now.

        Raises ServerError if the handler fails.
        """
        time_ms = at and round(at.timestamp() * 1000)
        outcome = self._call("scheduled", worker=worker, cron=cron, time=time_ms)
        if outcome != "ok":
            raise ServerError(f"The cron handler of {worker} ended {outcome}.\nLog:\n{self.log}")

    def bound(
        self,
        request: Mapping[str, object],
        *,
        messages: Sequence[object] = (),
        until: str | None = None,
    ) -> Any:
        """Send a request to /graphql over a service binding; returns its status and text.

        If the request opens a WebSocket, `messages` are sent, and the messages received are
        returned instead of the text, a close as its code. A WebSocket or a stream is read until the
        text `until` has arrived, or to its end.
        """
        texts = [json.dumps(message) for message in messages]
        return self._call("bound", request=dict(request), messages=texts, until=until)

    def query(
        self,
        sql: str,
        params: Sequence[object] = (),
        *,
        worker: str | None = None,
        binding: str = "DB",
    ) -> list[dict[str, Any]]:
        """Run one statement on a D1 database of the service or of `worker`; returns its rows."""
        statement = {"sql": sql, "params": list(params)}
        answer = self._call("query", worker=worker, binding=binding, **statement)
        rows: list[dict[str, Any]] = answer["results"]
        return rows

    def rows_read(self, sql: str, params: Sequence[object] = ()) -> int:
        """Run one statement on the D1 database; returns how many rows D1 has read."""
        return int(self._call("query", binding="DB", sql=sql, params=list(params))["rowsRead"])

    def wait_for_log(self, text: str, *, seconds: float = 10) -> None:
        """Wait until the server has printed `text`; raises ServerError if it does not."""
        if not self._wait(lambda: any(text in line for line in self._lines), seconds):
            raise ServerError(f"{text!r} is not in the log:\n{self.log}")

    def _call(self, call: str, **arguments: object) -> Any:
        self._last_call += 1
        number = self._last_call
        process = self._process
        if process is None or process.stdin is None:
            raise ServerError("The server is not running. Call start() first.")
        process.stdin.write(json.dumps({"id": number, "call": call, **arguments}) + "\n")
        process.stdin.flush()
        self._wait(lambda: number in self._replies or not self.is_running, CALL_DEADLINE_S)
        reply = self._replies.pop(number, {"error": "no reply"})
        if "error" in reply:
            raise ServerError(f"{call}: {reply['error']}\nLog:\n{self.log}")
        return reply["result"]

    def _read(self, process: subprocess.Popen[str]) -> None:
        """Collect the output until the process closes it. Runs in a thread of its own."""
        assert process.stdout is not None
        with process.stdout as output:
            for text in output:
                line = text.rstrip("\n")
                with self._changed:
                    if line.startswith(CONTROL):
                        reply = json.loads(line.removeprefix(CONTROL))
                        self._replies[reply["id"]] = reply
                    else:
                        self._lines.append(line)
                    if line.startswith(READY) and process is self._process:
                        self.url = line.removeprefix(READY)
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        with self._changed:
            while not condition():
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return False
                self._changed.wait(min(remaining, 0.2))
        return True

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            # Kill the whole group, because workerd is a child of the server.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def __enter__(self) -> LocalServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
