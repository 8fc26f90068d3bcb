"""A gateway to the service that counts requests and can be cut: a real HTTP server."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal, Self

import httpx

from tests.support.closing import Closing

if TYPE_CHECKING:
    from collections.abc import Callable

Mode = Literal["pass", "refuse", "hang", "lose", "deny"]


@dataclass
class Call:
    """A request as it came in; `passed` is true if the service got it."""

    operation: dict[str, Any]
    authorization: str | None
    passed: bool
    is_held: bool = False
    answer: Any = None
    """The service's answer."""

    @property
    def name(self) -> str:
        """`Track` or `Look`."""
        words = str(self.operation["query"]).split("(", 1)[0].split()
        return words[1]


@dataclass
class Gateway(Closing):
    """Passes requests on to `target`; or refuses them with 503, lets them hang, passes them on
    and loses the answer, or passes them on with a wrong key, as `mode` says."""

    target: str = ""
    mode: Mode = "pass"
    script: Callable[[Call], tuple[int, object]] | None = None
    """Answers in the service's place, where there is none: status and JSON."""
    holds: Callable[[Call], bool] | None = None
    """Selects calls that are passed on only by `let_go`."""
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        gateway = self
        client = httpx.Client(timeout=30)
        self._client = client
        self._released = threading.Event()
        self._let_go = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                mode = gateway.mode
                key = self.headers["authorization"]
                call = Call(json.loads(body), key, mode in ("pass", "lose"))
                gateway.calls.append(call)
                if gateway.holds is not None and gateway.holds(call):
                    call.is_held = True
                    gateway._let_go.wait(60)
                if mode == "hang":
                    gateway._released.wait(30)
                    return
                if mode == "refuse":
                    self._answer(503, b"away")
                    return
                if gateway.script is not None:
                    status, answer = gateway.script(call)
                    self._answer(status, json.dumps(answer).encode())
                    return
                if mode == "deny":
                    key = "Bearer wrong"
                headers = {"authorization": key or "", "content-type": "application/json"}
                passed = client.post(f"{gateway.target}/graphql", content=body, headers=headers)
                call.answer = passed.json()
                if mode == "lose":
                    return
                with suppress(ConnectionError):  # the caller of a held call may have gone
                    self._answer(passed.status_code, passed.content)

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """The gateway's own address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def let_go(self) -> None:
        """Pass on the calls that are held, and hold no more."""
        self.holds = None
        self._let_go.set()

    def close(self) -> None:
        """Stop, and release requests that hang."""
        self.let_go()
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._client.close()
