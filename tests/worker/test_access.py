"""Access over HTTP: keys, tokens and origins."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from resolvers.access.gatekeeper import Gatekeeper, token_claims
from resolvers.access.principals import Restrictions
from resolvers.base.vocabulary import Scope
from scripts.local_server import LocalServer
from tests.worker.api import JSON, RESPONSE_JSON, Api, code, only_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.worker.conftest import StartServer

HELLO = "{ __typename }"
REGISTER = 'mutation { registerWorkflow(input: {name: "by-key"}) { __typename } }'
CREATE_TOKEN = """mutation($input: CreateAccessTokenInput!) {
  createAccessToken(input: $input) {
    __typename ... on AccessTokenPayload { token expiresAt } ... on InvalidInput { path }
  }
}"""
READ_KEY, WRITE_KEY = "read-key-7c1f", "write-key-92ab"
KEYS = {"FLOWFLARE_READ_KEY": READ_KEY, "FLOWFLARE_WRITE_KEY": f"{WRITE_KEY} next-write-key"}
ORIGIN = "https://app.example"


@pytest.fixture(scope="module")
def keyed(prepared: None) -> Iterator[LocalServer]:
    """A server with a key of each kind and two allowed origins."""
    origins = f"{ORIGIN} http://localhost:5173"
    with LocalServer(vars={**KEYS, "ALLOWED_ORIGINS": origins}) as running:
        yield running


def short_token_of(server: LocalServer, *, seconds: float, scope: Scope = Scope.READ) -> str:
    """A token that expires sooner than createAccessToken allows, signed with the server's key."""
    claims = token_claims([scope], Restrictions(), int(time.time() + seconds))
    return Gatekeeper(admin=server.key).issue(claims)


def token_of(server: LocalServer, **given: Any) -> str:
    """A token from createAccessToken, created with the server's own key."""
    given.setdefault("unrestricted", not given.keys() & {"reference", "workflows", "instanceId"})
    with Api(server) as admin:
        created = admin.data(CREATE_TOKEN, input=given)["createAccessToken"]
    assert created["__typename"] == "AccessTokenPayload"
    token = created["token"]
    assert isinstance(token, str)
    return token


@pytest.mark.parametrize("accept", [JSON, RESPONSE_JSON])
@pytest.mark.parametrize(
    "query", [HELLO, "{ __schema { queryType { name } } }", '{ __type(name: "Query") { name } }']
)
def test_without_a_key_even_introspection_is_401(
    keyed: LocalServer, accept: str, query: str
) -> None:
    with Api(keyed, key=None) as anonymous:
        response = anonymous.post({"query": query}, accept=accept)
    assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert "data" not in response.json()
    assert "d1-round-trips" not in response.headers


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer wrong",
        "Bearer",
        "bearer",
        f"Basic {READ_KEY}",
        READ_KEY,
        f"Bearer {READ_KEY}x",
        f"Bearer {READ_KEY[:-1]}",
        f"Bearer {READ_KEY} {READ_KEY}",
        "Bearer fft_",
        "Bearer fft_e30.e30",
        "Bearer fft_.",
        "Bearer ffté.é",
        "Bearer " + "x" * 8_000,
    ],
)
def test_a_wrong_key_is_401(keyed: LocalServer, authorization: str) -> None:
    with Api(keyed, key=None) as anonymous:
        headers = {"authorization": authorization.encode("latin-1")}
        response = anonymous.request("GET", params={"query": HELLO}, headers=headers)
    assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")


def test_the_scheme_is_not_case_sensitive(keyed: LocalServer) -> None:
    with Api(keyed, key=None) as caller:
        headers = {"authorization": f"bEARER  {READ_KEY}"}
        response = caller.request("GET", params={"query": HELLO}, headers=headers)
    assert response.status_code == 200


def test_a_read_key_reads_and_does_not_write(keyed: LocalServer) -> None:
    with Api(keyed, key=READ_KEY) as reader:
        assert reader.data(HELLO) == {"__typename": "Query"}
        assert reader.data("{ __schema { queryType { name } } }")
        refused = reader.ask(REGISTER)
        assert (refused.status_code, code(refused)) == (403, "FORBIDDEN")
        assert reader.data('{ workflow(name: "by-key") { name } }') == {"workflow": None}


@pytest.mark.parametrize("key", [WRITE_KEY, "next-write-key"])
def test_a_write_key_writes_and_creates_no_tokens(keyed: LocalServer, key: str) -> None:
    with Api(keyed, key=key) as writer:
        assert writer.data(REGISTER)["registerWorkflow"]["__typename"] == "WorkflowPayload"
        refused = writer.ask(CREATE_TOKEN, input={})
        assert code(refused) == "FORBIDDEN"
        assert only_error(refused)["path"] == ["createAccessToken"]
        assert refused.json()["data"] is None


def test_a_token_has_the_scopes_it_was_created_with(keyed: LocalServer) -> None:
    with Api(keyed, key=token_of(keyed)) as reader:
        assert reader.data(HELLO)
        assert code(reader.ask(REGISTER)) == "FORBIDDEN"
    with Api(keyed, key=token_of(keyed, scopes=["WRITE"])) as writer:
        assert writer.data(REGISTER)
        assert code(writer.ask(CREATE_TOKEN, input={})) == "FORBIDDEN"
    with Api(keyed, key=token_of(keyed, scopes=["ADMIN"])) as admin:
        assert admin.data(CREATE_TOKEN, input={"unrestricted": True})["createAccessToken"]["token"]


def test_a_token_created_with_a_token_expires_no_later(keyed: LocalServer) -> None:
    with Api(keyed) as admin:
        first = admin.data(
            CREATE_TOKEN, input={"unrestricted": True, "scopes": ["ADMIN"], "expiresIn": 60_000}
        )
    created = first["createAccessToken"]
    with Api(keyed, key=created["token"]) as admin:
        second = admin.data(CREATE_TOKEN, input={"unrestricted": True, "expiresIn": 3_600_000})
    assert second["createAccessToken"]["expiresAt"] <= created["expiresAt"]


def test_a_token_expires(keyed: LocalServer) -> None:
    with Api(keyed, key=short_token_of(keyed, seconds=1)) as late:
        deadline = time.monotonic() + 5
        while (response := late.ask(HELLO)).status_code == 200:
            assert time.monotonic() < deadline
    assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")
    assert "expired" in only_error(response)["message"]


@pytest.mark.parametrize("expires_in", [0, 1, 59_999, 30 * 24 * 3_600_000 + 1])
def test_a_lifetime_under_a_minute_or_over_30_days_is_refused(
    keyed: LocalServer, expires_in: int
) -> None:
    given = {"unrestricted": True, "expiresIn": expires_in}
    with Api(keyed) as admin:
        created = admin.data(CREATE_TOKEN, input=given)["createAccessToken"]
    assert created == {"__typename": "InvalidInput", "path": ["input", "expiresIn"]}


def test_a_tampered_token_is_401(keyed: LocalServer) -> None:
    token = token_of(keyed, scopes=["READ"], workflows=["by-key"])
    payload, _, signature = token.removeprefix("fft_").partition(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

    def encoded(**changes: object) -> str:
        text = json.dumps({**claims, **changes}).encode()
        return base64.urlsafe_b64encode(text).rstrip(b"=").decode()

    flipped = "A" if signature[0] != "A" else "B"
    for forged in (
        f"fft_{encoded(scopes=['ADMIN'])}.{signature}",
        f"fft_{encoded(workflows=None)}.{signature}",
        f"fft_{encoded(exp=claims['exp'] + 1)}.{signature}",
        f"fft_{payload}.{flipped}{signature[1:]}",
        f"fft_{payload}.{signature[:-1]}",
        f"fft_{payload}.",
        f"fft_{payload}",
        f"fft_{payload}=.{signature}",
        f"fft_{signature}.{payload}",
        f"{payload}.{signature}",
    ):
        with Api(keyed, key=forged) as forger:
            response = forger.ask(HELLO)
        assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED"), forged


def test_a_token_of_another_server_is_401(keyed: LocalServer, server: LocalServer) -> None:
    with Api(keyed, key=token_of(server, scopes=["ADMIN"])) as stranger:
        assert stranger.ask(HELLO).status_code == 401


@pytest.mark.parametrize("empty", ["", " "])
def test_a_server_without_a_key_refuses_every_caller(prepared: None, empty: str) -> None:
    keyless = LocalServer()
    keyless.vars["FLOWFLARE_API_KEY"] = empty
    with keyless:
        for authorization in ("", "Bearer", "Bearer None", "Bearer null", "Bearer undefined"):
            with Api(keyless, key=None) as anonymous:
                headers = {"authorization": authorization} if authorization else {}
                response = anonymous.request("GET", params={"query": HELLO}, headers=headers)
            assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")


def test_keys_are_rotated_without_an_interruption(start_server: StartServer) -> None:
    rotating = start_server(vars={"FLOWFLARE_API_KEY": "old-key new-key"})
    tokens = []
    for key in ("old-key", "new-key"):
        with Api(rotating, key=key) as admin:
            tokens.append(
                admin.data(CREATE_TOKEN, input={"unrestricted": True})["createAccessToken"]["token"]
            )
    for credential in tokens:
        with Api(rotating, key=credential) as caller:
            assert caller.data(HELLO)
    rotating.vars["FLOWFLARE_API_KEY"] = "new-key"
    rotating.restart()
    for credential in ("old-key", tokens[0]):
        with Api(rotating, key=credential) as caller:
            assert caller.ask(HELLO).status_code == 401


def test_keys_and_tokens_are_neither_logged_nor_shown(keyed: LocalServer) -> None:
    token = token_of(keyed, scopes=["ADMIN"])
    for secret in (keyed.key, READ_KEY, WRITE_KEY, token):
        with Api(keyed, key=secret) as caller:
            shown = [
                caller.ask(HELLO).text,
                caller.ask("{ no }").text,
                caller.ask("mutation { no }").text,
                caller.request("GET", "/healthz").text,
            ]
        with Api(keyed, key=secret + "x") as stranger:
            shown.append(stranger.ask(HELLO).text)
        assert all(secret not in text for text in shown)
        assert secret not in keyed.log


def test_cost_is_shown_to_unrestricted_callers(keyed: LocalServer) -> None:
    for key in (keyed.key, READ_KEY, WRITE_KEY, token_of(keyed)):
        with Api(keyed, key=key) as caller:
            assert "d1-rows-read" in caller.ask("{ workflows { totalCount } }").headers


@pytest.mark.parametrize(
    "restrictions",
    [
        {"reference": {"refType": "order", "refId": "1"}},
        {"workflows": ["by-key"]},
        {"workflows": []},
        {"instanceId": "cost-1"},
    ],
)
def test_cost_is_hidden_from_restricted_tokens(
    keyed: LocalServer, restrictions: dict[str, Any]
) -> None:
    with Api(keyed, key=token_of(keyed, **restrictions)) as caller:
        headers = caller.ask("{ workflows { totalCount } }").headers
    assert not [name for name in headers if name.startswith("d1-")]


def test_a_listed_origin_is_allowed(keyed: LocalServer) -> None:
    with Api(keyed) as caller:
        for origin in (ORIGIN, "http://localhost:5173"):
            response = caller.request(
                "POST", json={"query": HELLO}, headers={"origin": origin, "accept": JSON}
            )
            assert response.headers["access-control-allow-origin"] == origin
            assert "origin" in response.headers["vary"].lower()
            assert "access-control-allow-credentials" not in response.headers


def test_an_error_is_readable_for_a_listed_origin(keyed: LocalServer) -> None:
    with Api(keyed, key=None) as anonymous:
        response = anonymous.request("POST", json={"query": HELLO}, headers={"origin": ORIGIN})
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == ORIGIN


def test_a_preflight_needs_no_key(keyed: LocalServer) -> None:
    with Api(keyed, key=None) as browser:
        response = browser.request(
            "OPTIONS",
            headers={
                "origin": ORIGIN,
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization,content-type",
            },
        )
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in response.headers["access-control-allow-methods"]
    allowed = response.headers["access-control-allow-headers"].lower()
    assert "authorization" in allowed
    assert "content-type" in allowed
    assert "origin" in response.headers["vary"].lower()


@pytest.mark.parametrize(
    "origin", ["https://other.example", "null", f"{ORIGIN}.evil", "https://APP.example", "*"]
)
def test_another_origin_is_not_allowed(keyed: LocalServer, origin: str) -> None:
    with Api(keyed) as browser:
        for method in ("OPTIONS", "POST"):
            response = browser.request(method, json={"query": HELLO}, headers={"origin": origin})
            assert "access-control-allow-origin" not in response.headers
            assert "origin" in response.headers["vary"].lower()


def test_without_configuration_no_origin_is_allowed(api: Api) -> None:
    response = api.request("POST", json={"query": HELLO}, headers={"origin": ORIGIN})
    assert "access-control-allow-origin" not in response.headers
