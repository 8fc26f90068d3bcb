"""Requests to a running server over HTTP, as any client would make them."""

from __future__ import annotations

import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx

from tests.support.closing import Closing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scripts.local_server import LocalServer

JSON = "application/json"
RESPONSE_JSON = "application/graphql-response+json"
TIMEOUT_S = 60.0


class Api(Closing):
    """One caller of one server. `key` is the server's own by default; with None it sends no key."""

    def __init__(self, server: LocalServer, *, key: str | None = "") -> None:
        self.server = server
        self.key = server.key if key == "" else key
        self._client = httpx.Client(timeout=TIMEOUT_S)

    def request(
        self,
        method: str,
        path: str = "/graphql",
        *,
        headers: Mapping[str, str | bytes] | None = None,
        **arguments: Any,
    ) -> httpx.Response:
        """Send any request, with the key and no other headers than httpx's and the given ones."""
        authorization = {"authorization": f"Bearer {self.key}"} if self.key is not None else {}
        sent = {
            name.encode(): value if isinstance(value, bytes) else value.encode()
            for name, value in {**authorization, **(headers or {})}.items()
        }
        return self._client.request(method, f"{self.server.url}{path}", headers=sent, **arguments)

    def post(self, body: object, *, accept: str = JSON) -> httpx.Response:
        """POST a body as JSON."""
        return self.request("POST", json=body, headers={"accept": accept})

    def ask(self, query: str, /, **variables: Any) -> httpx.Response:
        """POST an operation."""
        return self.post({"query": query, "variables": variables})

    def data(self, query: str, /, **variables: Any) -> Any:
        """`data` of an operation; fail if it has errors."""
        response = self.ask(query, **variables)
        body = response.json()
        assert response.status_code == 200, response.text[:4000]
        assert "errors" not in body, response.text[:4000]
        return body["data"]

    def error(self, query: str, /, **variables: Any) -> dict[str, Any]:
        """The only error of an operation that fails."""
        return only_error(self.ask(query, **variables))

    def until(
        self,
        query: str,
        done: Callable[[Any], bool],
        *,
        seconds: float = 30,
        **variables: Any,
    ) -> Any:
        """Ask again until `done` is true of `data`; fail with the last one if it never is."""
        deadline = time.monotonic() + seconds
        while not done(data := self.data(query, **variables)):
            assert time.monotonic() < deadline, f"still: {data}"
            time.sleep(0.05)
        return data

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def run_cron(server: LocalServer) -> None:
    """Run the service's cron trigger, and wait for its end."""
    url = f"{server.url}/cdn-cgi/local/scheduled"
    response = httpx.get(url, params={"cron": "*/5 * * * *"}, timeout=TIMEOUT_S)
    assert response.status_code == HTTPStatus.OK


def act(api: Api, action: str, instance_id: str, **more: Any) -> dict[str, Any]:
    """The result of an action such as `pauseWorkflow`."""
    type_ = "SendWorkflowEventInput" if action == "sendWorkflowEvent" else "InstanceActionInput"
    query = f"""mutation($input: {type_}!) {{ answer: {action}(input: $input) {{
      __typename
      ... on InstancePayload {{ instance {{ status }} }}
      ... on IllegalTransition {{ from to }}
      ... on Error {{ code message }}
    }} }}"""
    answer = api.data(query, input={"instanceId": instance_id, **more})["answer"]
    assert isinstance(answer, dict)
    return answer


def only_error(response: httpx.Response) -> dict[str, Any]:
    """The only error of a response, which must not show anything internal."""
    refuse_internals(response)
    [error] = response.json()["errors"]
    assert isinstance(error, dict)
    return error


def code(response: httpx.Response) -> str:
    """`extensions.code` of the only error of a response."""
    found = only_error(response)["extensions"]["code"]
    assert isinstance(found, str)
    return found


def refuse_internals(response: httpx.Response) -> None:
    """Fail if a response shows anything that belongs only in the log."""
    sent = unquote(str(response.request.url))
    with suppress(httpx.RequestNotRead):  # a body that was streamed is not kept
        sent += response.request.content.decode(errors="replace")
    for word in ("Traceback", 'File "', "SQLITE", "D1_ERROR", ".py"):
        # An error may quote the request, whose characters JSON may have escaped.
        if word not in sent and "\\u" not in sent:
            assert word not in response.text, response.text[:4000]


def cost(response: httpx.Response) -> tuple[int, int, int]:
    """D1 round trips, rows read and rows written, from the response's headers."""
    names = ("d1-round-trips", "d1-rows-read", "d1-rows-written")
    trips, read, written = (int(response.headers[name]) for name in names)
    return trips, read, written
