"""GraphQL over HTTP: the audits of npm `graphql-http`, and cases that they do not cover."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from scripts.project import ROOT, VENV_BIN, tool_environment
from tests.worker.api import JSON, RESPONSE_JSON, code, only_error

if TYPE_CHECKING:
    from scripts.local_server import LocalServer
    from tests.worker.api import Api

# fmt: off
AUDITS = [
    "22EB", "4655", "47DE", "80D8", "82A3", "BF61", "78D5", "2C94", "5A70", "9C48", "9ABE",
    "03D4", "A5BF", "423L", "LKJ0", "LKJ1", "LKJ2", "LKJ3", "34A2", "13EE", "6C00", "6C01",
    "6C02", "6C03", "8161", "B8B3", "94B0", "0220", "94B1", "0221", "94B2", "0222", "4760",
    "4761", "4762", "4763", "2EA1", "28B9", "D6D5", "6A70", "58B0", "58B1", "58B2", "58B3",
    "428F", "1B7A", "B6DC", "BCF8", "B7N8", "8764", "3E3A", "572B", "FDE2", "7B9B", "865D",
    "556A", "D586", "51FE", "74FF", "5E5B", "86EE",
]
# fmt: on

HELLO = "{ __typename }"
ANSWER = {"data": {"__typename": "Query"}}
TWO = "query A { a: __typename } query B { b: __typename }"
BODY_LIMIT = 2 * 1024 * 1024


@pytest.fixture(scope="module")
def audited(server: LocalServer) -> dict[str, dict[str, Any]]:
    """The result of every audit of the package, by id."""
    done = subprocess.run(
        [VENV_BIN / "node", "tests/worker/audits.mjs"],
        cwd=ROOT,
        env={**tool_environment(), "URL": f"{server.url}/graphql", "KEY": server.key},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {result["id"]: result for result in json.loads(done.stdout)}


def test_every_audit_of_the_package_is_listed_here(audited: dict[str, Any]) -> None:
    assert sorted(audited) == sorted(AUDITS)


@pytest.mark.parametrize("audit", AUDITS)
def test_audit_is_ok(audited: dict[str, dict[str, Any]], audit: str) -> None:
    assert audited[audit]["status"] == "ok", audited[audit]


def send(api: Api, content: bytes, content_type: str = JSON, **headers: str) -> httpx.Response:
    return api.request("POST", content=content, headers={"content-type": content_type, **headers})


def body_of(size: int) -> bytes:
    """A valid request of exactly `size` bytes."""
    start = json.dumps({"query": HELLO, "extensions": {"x": ""}}).encode()
    return start.replace(b'""', b'"' + b"x" * (size - len(start)) + b'"')


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        b'{"query": "{ __typename }"',
        b'{"query": "{ __typename }"} trailing',
        b"query { __typename }",
        b'{"query": "{ __typename }", "variables": {"a": NaN}}',
        b'{"query": "{ __typename }", "variables": {"a": -Infinity}}',
        b'{"query": "{ __typename }", "variables": {"a": ' + b"1" * 5_000 + b"}}",
        b'{"query": "{ __typename }", "variables": {"a": "\xff"}}',
        b'{"query": "{ __typename \xc3 }"}',
        '{"query": "{ __typename }"}'.encode("utf-16"),
        b"[]",
        b'[{"query": "{ __typename }"}]',
        b"null",
        b"1",
        b'"{ __typename }"',
        b"{}",
    ],
)
def test_a_body_that_is_not_a_request_object_is_400(api: Api, content: bytes) -> None:
    response = send(api, content, accept=JSON)
    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")
    assert "data" not in response.json()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("query", [None, 1, True, [HELLO], {"a": 1}]),
        ("variables", ["{}", 1, True, [1], []]),
        ("operationName", [1, True, ["A"], {}]),
        ("extensions", ["x", 1, True, []]),
    ],
)
def test_a_parameter_of_the_wrong_type_is_400(api: Api, name: str, values: list[object]) -> None:
    for value in values:
        response = api.post({"query": HELLO, name: value})
        assert response.status_code == 400
        assert name in only_error(response)["message"]


@pytest.mark.parametrize("name", ["variables", "operationName", "extensions"])
def test_a_parameter_may_be_null(api: Api, name: str) -> None:
    response = api.post({"query": HELLO, name: None})
    assert (response.status_code, response.json()) == (200, ANSWER)


def test_the_last_of_duplicate_parameters_counts(api: Api) -> None:
    assert send(api, b'{"query": "{ no }", "query": "{ __typename }"}').json() == ANSWER
    assert api.request("GET", "/graphql?query=%7Bno%7D&query=%7B__typename%7D").json() == ANSWER


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
@pytest.mark.parametrize("depth", [251, 10_000, 300_000])
def test_a_deeply_nested_body_is_refused(api: Api, opening: str, depth: int) -> None:
    closing = "".join({"[": "]", "{": "}"}[c] for c in reversed(opening) if c in "[{")
    nested = opening * depth + "1" + closing * depth
    body = f'{{"query": "{HELLO}", "variables": {{"a": {nested}}}}}'
    for content in (body, opening * depth):
        response = send(api, content[:BODY_LIMIT].encode())
        assert response.status_code == 400, response.text
        assert "MAX_BODY_DEPTH" in only_error(response)["message"]
    assert api.data(HELLO) == ANSWER["data"]


@pytest.mark.parametrize("key", [None, "wrong", "fft_e30.e30"])
def test_the_key_is_checked_before_the_body(api: Api, key: str | None) -> None:
    bodies = ("[" + "[]," * 699_000, "no JSON", "x" * (BODY_LIMIT + 1), b"\xff\xfe")
    headers = {"content-type": JSON, **({"authorization": f"Bearer {key}"} if key else {})}
    with httpx.Client(timeout=60) as client:
        for body in bodies:
            response = client.post(f"{api.server.url}/graphql", content=body, headers=headers)
            assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")
            assert "www-authenticate" in response.headers


def test_a_body_of_too_many_values_is_refused(api: Api) -> None:
    for body in ("[" + "[]," * 699_000, "[" + "1," * 1_000_000, '{"a":1},' * 200_000):
        response = send(api, body.encode())
        assert response.status_code == 400, response.text
        assert "MAX_BODY_VALUES" in only_error(response)["message"]
    most = f'{{"query": "{HELLO}", "variables": {{"a": [{"1," * 290_000}1]}}}}'
    assert send(api, most.encode()).json() == ANSWER


def test_brackets_inside_strings_do_not_count_as_depth(api: Api) -> None:
    text = '\\"[{' * 5_000
    body = f'{{"query": "{HELLO}", "variables": {{"a": "{text}"}}}}'
    assert send(api, body.encode()).json() == ANSWER


def test_deep_variables_in_the_query_string_are_refused(api: Api) -> None:
    variables = '{"a":' + "[" * 3_000 + "]" * 3_000 + "}"
    response = api.request("GET", params={"query": HELLO, "variables": variables})
    assert response.status_code == 400
    assert "MAX_BODY_DEPTH" in only_error(response)["message"]


def test_a_body_of_2_mib_is_read_and_one_byte_more_is_413(api: Api) -> None:
    assert send(api, body_of(BODY_LIMIT)).json() == ANSWER
    response = send(api, body_of(BODY_LIMIT + 1))
    assert (response.status_code, code(response)) == (413, "BODY_TOO_LARGE")
    assert "MAX_BODY_BYTES" in only_error(response)["message"]


def test_a_chunked_body_has_the_same_limit(api: Api) -> None:
    def chunked(content: bytes) -> httpx.Response:
        pieces = (content[at : at + 65_521] for at in range(0, len(content), 65_521))
        return api.request("POST", content=pieces, headers={"content-type": JSON})

    assert chunked(body_of(BODY_LIMIT)).json() == ANSWER
    response = chunked(body_of(BODY_LIMIT + 1))
    assert (response.status_code, code(response)) == (413, "BODY_TOO_LARGE")


def test_a_chunk_may_end_inside_a_character(api: Api) -> None:
    content = '{"query": "{ __typename } # ☃"}'.encode()
    at = content.index("☃".encode()) + 1
    pieces = iter([content[:at], content[at:]])
    response = api.request("POST", content=pieces, headers={"content-type": JSON})
    assert response.json() == ANSWER


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/graphql",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
    ],
)
def test_another_content_type_is_415(api: Api, content_type: str) -> None:
    response = send(api, json.dumps({"query": HELLO}).encode(), content_type)
    assert (response.status_code, code(response)) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json; charset=utf-8; x=y",
    ],
)
def test_json_in_utf_8_is_accepted_however_it_is_written(api: Api, content_type: str) -> None:
    content = json.dumps({"query": "{ __typename # ☃ \n}"}, ensure_ascii=False).encode()
    assert send(api, content, content_type).json() == ANSWER


@pytest.mark.parametrize(
    "accept",
    ["text/plain", "image/*", "application/json;q=0", "*/*;q=0", "application/xml, text/html", "x"],
)
def test_an_unacceptable_accept_is_406(api: Api, accept: str) -> None:
    response = api.post({"query": HELLO}, accept=accept)
    assert (response.status_code, code(response)) == (406, "NOT_ACCEPTABLE")


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("*/*", JSON),
        ("application/*", JSON),
        ("", JSON),
        ("application/json; charset=utf-8", JSON),
        (RESPONSE_JSON, RESPONSE_JSON),
        (f"{JSON}, {RESPONSE_JSON}", JSON),
        (f"{RESPONSE_JSON}, {JSON}", RESPONSE_JSON),
        (f"{RESPONSE_JSON};q=0.5, {JSON};q=0.6", JSON),
        (f"{RESPONSE_JSON}; charset=utf-8, {JSON};q=0.9, */*;q=0.8", RESPONSE_JSON),
        (f"text/html, {RESPONSE_JSON.upper()}", RESPONSE_JSON),
    ],
)
def test_the_media_type_is_negotiated(api: Api, accept: str, answered: str) -> None:
    response = api.post({"query": HELLO}, accept=accept)
    assert response.headers["content-type"] == f"{answered}; charset=utf-8"
    assert (response.status_code, response.json()) == (200, ANSWER)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"query": TWO}, "OPERATION_NAME_REQUIRED"),
        ({"query": TWO, "operationName": ""}, "OPERATION_NAME_REQUIRED"),
        ({"query": TWO, "operationName": "C"}, "UNKNOWN_OPERATION"),
        ({"query": HELLO, "operationName": "C"}, "UNKNOWN_OPERATION"),
        ({"query": ""}, "INVALID_DOCUMENT"),
        ({"query": "fragment F on Query { __typename }"}, "INVALID_DOCUMENT"),
        ({"query": "{ no }"}, "INVALID_DOCUMENT"),
        ({"query": "{ __typename"}, "INVALID_DOCUMENT"),
        ({"query": "query($n: Int!) { instances(first: $n) { totalCount } }"}, "INVALID_DOCUMENT"),
    ],
)
def test_the_status_of_a_request_error_depends_on_the_media_type(
    api: Api, body: dict[str, str], expected: str
) -> None:
    for accept, status in ((RESPONSE_JSON, 400), (JSON, 200)):
        response = api.post(body, accept=accept)
        assert (response.status_code, code(response)) == (status, expected)
        assert response.headers["content-type"] == f"{accept}; charset=utf-8"
        assert "data" not in response.json()


@pytest.mark.parametrize(("name", "answer"), [("A", {"a": "Query"}), ("B", {"b": "Query"})])
def test_operation_name_selects_the_operation(api: Api, name: str, answer: dict[str, str]) -> None:
    response = api.post({"query": TWO, "operationName": name})
    assert response.json() == {"data": answer}


def test_get_takes_all_parameters_from_the_query_string(api: Api) -> None:
    query = f"{TWO} query C($n: Int) {{ instances(first: $n) {{ nodes {{ id }} }} }}"
    parameters = {"query": query, "operationName": "C", "variables": '{"n": 0}', "extensions": "{}"}
    response = api.request("GET", params=parameters)
    assert response.json() == {"data": {"instances": {"nodes": []}}}


@pytest.mark.parametrize("variables", ["{no", "[1]", "1", '"{}"', "", "\x00"])
def test_get_with_variables_that_are_not_an_object_is_400(api: Api, variables: str) -> None:
    response = api.request("GET", params={"query": HELLO, "variables": variables})
    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")


def test_get_without_a_query_is_400(api: Api) -> None:
    assert api.request("GET").status_code == 400


@pytest.mark.parametrize("accept", [JSON, RESPONSE_JSON])
def test_a_mutation_over_get_is_405_and_does_nothing(api: Api, accept: str) -> None:
    mutation = 'mutation { registerWorkflow(input: {name: "by-get"}) { __typename } }'
    response = api.request("GET", params={"query": mutation}, headers={"accept": accept})
    assert (response.status_code, code(response)) == (405, "METHOD_NOT_ALLOWED")
    assert only_error(response)["message"] == "A mutation must be sent with POST."
    assert "POST" in response.headers["allow"]
    assert api.data('{ workflow(name: "by-get") { name } }') == {"workflow": None}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE"])
def test_another_method_is_405(api: Api, method: str) -> None:
    response = api.request(method, json={"query": HELLO})
    assert (response.status_code, code(response)) == (405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "GET, POST"


def test_head_is_405_without_a_body(api: Api) -> None:
    response = api.request("HEAD", params={"query": HELLO})
    assert (response.status_code, response.content) == (405, b"")


def test_options_lists_the_allowed_methods(api: Api) -> None:
    response = api.request("OPTIONS")
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["allow"] == "GET, POST, OPTIONS"


@pytest.mark.parametrize("path", ["/no", "/graphql/", "/graphql/x", "/GraphQL", "//graphql"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_404(api: Api, method: str, path: str) -> None:
    response = api.request(method, path, json={"query": HELLO})
    assert response.status_code == 404
    assert "/graphql" in response.json()["error"]
