"""Exceptions for failed requests, and queries for the pages of a followed log."""

from __future__ import annotations

import pytest
from graphql import parse, print_ast

from flowflare.client.log import log_subscription
from flowflare.errors import (
    Denied,
    FlowflareError,
    Forbidden,
    GraphQLRequestError,
    Refused,
    Unauthenticated,
    UnexpectedAnswer,
    Unreachable,
)
from flowflare.transport import data_of, failure


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (None, Unreachable),
        (401, Unauthenticated),
        (403, Forbidden),
        (404, UnexpectedAnswer),
        (408, Unreachable),
        (429, Unreachable),
        (503, Unreachable),
        (1006, Unreachable),
        (1013, Unreachable),
        (4400, UnexpectedAnswer),
        (4403, Unauthenticated),
        (4408, Unreachable),
    ],
)
def test_a_status_or_a_close_code_has_its_exception(
    status: int | None, kind: type[FlowflareError]
) -> None:
    error = failure("why", status=status)
    assert type(error) is kind
    assert "why" in str(error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("UNAUTHENTICATED", Unauthenticated),
        ("FORBIDDEN", Forbidden),
        ("INVALID_DOCUMENT", GraphQLRequestError),
    ],
)
def test_errors_of_a_response_have_the_exception_of_their_code(
    code: str, kind: type[GraphQLRequestError]
) -> None:
    text = f'{{"errors": [{{"message": "No.", "extensions": {{"code": "{code}"}}}}]}}'
    with pytest.raises(Refused) as raised:
        data_of(200, text)
    assert type(raised.value) is kind
    assert str(raised.value) == f"{code}: No."
    assert isinstance(raised.value, Denied) == (kind is not GraphQLRequestError)


@pytest.mark.parametrize("text", ["", "<html>", "[]", "{}", '{"data": null}'])
def test_text_that_is_not_a_graphql_response_is_unexpected(text: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        data_of(200, text)


CURSOR = {"after": "0000000000000001"}


@pytest.mark.parametrize(
    ("document", "given", "now"),
    [
        ("subscription { workflowEvents { cursor } }", {}, True),
        ("subscription { workflowEvents(after: null) { cursor } }", {}, True),
        ('subscription { workflowEvents(after: "0") { cursor } }', {}, False),
        ("subscription ($after: C) { workflowEvents(after: $after) { cursor } }", {}, True),
        ("subscription ($after: C) { workflowEvents(after: $after) { cursor } }", CURSOR, False),
        ('subscription ($a: C = "0") { workflowEvents(after: $a) { cursor } }', {}, False),
        (
            'subscription { workflowEvents(filter: {workflow: "after: $x"}) { cursor } }',
            {},
            True,
        ),
    ],
)
def test_a_log_is_followed_from_now_unless_a_cursor_is_given(
    document: str, given: dict[str, str], now: bool
) -> None:
    log = log_subscription(document)
    assert log is not None
    assert log.begins_now(given) is now


@pytest.mark.parametrize(
    "document",
    [
        'subscription { instance(instanceId: "workflowEvents") { status } }',
        "subscription { workflowEvents( { cursor } }",
        "subscription { reference { refId } }",
    ],
)
def test_other_documents_do_not_follow_the_log(document: str) -> None:
    assert log_subscription(document) is None


@pytest.mark.parametrize(
    ("document", "query"),
    [
        (
            "subscription Watch($after: C) { workflowEvents(after: $after) { cursor hasMore } }",
            "query Watch($after: C) {"
            " workflowEvents: events(first: 1000, after: $after) { cursor hasMore } }",
        ),
        (
            "subscription ($c: C) { ...Log } fragment Log on Subscription {"
            ' log: workflowEvents(filter: {workflow: "subscription"}, after: $c) { cursor } }',
            "query ($c: C) { ...Log } fragment Log on Query {"
            ' log: events(first: 1000, filter: {workflow: "subscription"}, after: $c) { cursor } }',
        ),
    ],
)
def test_a_log_is_read_page_by_page_with_the_same_selection(document: str, query: str) -> None:
    log = log_subscription(document)
    assert log is not None
    assert log.page_query() == print_ast(parse(query))
