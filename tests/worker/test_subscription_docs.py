"""The examples of docs/subscriptions.md follow the log through a restart of the server."""

from __future__ import annotations

import os
import subprocess
import threading
from queue import Empty, Queue
from typing import TYPE_CHECKING

import pytest

from scripts.project import ROOT, VENV_BIN, tool_environment
from tests.support.markdown import fences, section
from tests.worker.api import Api

if TYPE_CHECKING:
    from scripts.local_server import LocalServer
    from tests.worker.conftest import StartServer

DEADLINE_S = 30
WRITTEN_FOR = "ws://127.0.0.1:8787/graphql"
START = """mutation Start($id: String!) {
  startWorkflow(input: {workflow: "documented", instanceId: $id, trackOnly: true}) { __typename }
}"""
COMMANDS = {
    "python": [str(VENV_BIN / "python"), "-"],
    "ts": [str(VENV_BIN / "node"), "--input-type=module-typescript", "-"],
}


def start(server: LocalServer, instance_id: str) -> None:
    with Api(server) as api:
        api.data(START, id=instance_id)


class Example:
    """A running example of the page, whose output is read line by line."""

    def __init__(self, server: LocalServer, language: str) -> None:
        page = (ROOT / "docs/subscriptions.md").read_text(encoding="utf-8")
        [example] = [f for f in fences(section(page, "Reconnecting")) if f.language == language]
        self._lines: Queue[str] = Queue()
        self._process = subprocess.Popen(
            COMMANDS[language],
            cwd=ROOT,
            env={**tool_environment(), "FLOWFLARE_API_KEY": server.key},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        url = server.url.replace("http", "ws", 1) + "/graphql"
        assert WRITTEN_FOR in example.text
        assert self._process.stdin is not None
        with self._process.stdin as program:
            program.write(example.text.replace(WRITTEN_FOR, url))
        threading.Thread(target=self._read, daemon=True).start()

    def line(self) -> str:
        """Wait for the next line of output."""
        try:
            return self._lines.get(timeout=DEADLINE_S)
        except Empty:
            raise AssertionError("The example printed nothing more.") from None

    def printed(self) -> list[str]:
        """The other lines that it has printed so far."""
        return [self._lines.get_nowait() for _ in range(self._lines.qsize())]

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._lines.put(line.rstrip(os.linesep))


@pytest.mark.parametrize("language", sorted(COMMANDS))
def test_an_example_sees_every_event_once_through_a_restart(
    start_server: StartServer, language: str
) -> None:
    server = start_server()
    start(server, "before")
    example = Example(server, language)
    try:
        assert example.line() == "INSTANCE_QUEUED before"
        start(server, "live")
        assert example.line() == "INSTANCE_QUEUED live"
        server.restart()
        start(server, "after")
        assert example.line() == "INSTANCE_QUEUED after"
        assert example.printed() == []
    finally:
        example.end()
