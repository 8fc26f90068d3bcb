"""Hostile values at all places of the schema: the errors are sound, and others are served."""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING

import pytest
from graphql import get_named_type

from tests.support.places import Place, places
from tests.worker.api import JSON, refuse_internals
from tests.worker.hostile import (
    ALONE,
    JSON_TEXTS,
    LITERALS,
    LONG_LITERALS,
    OF_EVERY_OBJECT,
    SURROGATES,
    UNREADABLE,
    Bystander,
    refuse_unsound_errors,
    request_of,
)
from tests.worker.raw_socket import RawSocket

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

BY_HTTP = [place for place in places() if place.operation != "subscription"]
BY_SOCKET = [place for place in places() if place.operation == "subscription"]
OF_EACH_TYPE = [*{get_named_type(place.type): place for place in BY_HTTP[::-1]}.values()]


def post(bystander: Bystander, body: str) -> httpx.Response:
    """POST a body as it is."""
    headers = {"content-type": JSON, "accept": JSON}
    response = bystander.api.request("POST", content=body.encode(), headers=headers)
    assert response.status_code < 500, response.text[:2_000]
    refuse_internals(response)
    if "errors" in response.json():
        refuse_unsound_errors(response.json()["errors"])
    return response


@pytest.mark.parametrize("place", BY_HTTP, ids=str)
def test_a_hostile_value_at_a_place_is_answered(bystander: Bystander, place: Place) -> None:
    for texts in JSON_TEXTS:
        answer = post(bystander, request_of(place, texts)).json()
        # A single error may have hidden others.
        if place.is_first and len(answer.get("errors", ())) == 1:
            for text in texts:
                post(bystander, request_of(place, [text]))
    # A literal is parsed by its type, whatever fields lead to the argument.
    if place.is_first:
        for literals in LITERALS:
            post(bystander, request_of(place, literals, are_literals=True))
        for text in ALONE:
            post(bystander, request_of(place, [text]))
    bystander.assert_served()


@pytest.mark.parametrize("place", OF_EACH_TYPE, ids=str)
def test_a_long_or_invalid_literal_is_answered(bystander: Bystander, place: Place) -> None:
    for literal in LONG_LITERALS:
        post(bystander, request_of(place, [literal], are_literals=True))
    for value in UNREADABLE.values():
        post(bystander, request_of(place, [value.literal], are_literals=True))
        post(bystander, request_of(place, [value.json]))
    for text in SURROGATES.values():
        post(bystander, request_of(place, [f'"{text}"'], are_literals=True))
    bystander.assert_served()


def follow(bystander: Bystander, requests: Iterable[str]) -> None:
    """Subscribe to all of them on one socket, while the bystander is served."""
    with RawSocket(bystander.server).init() as socket:
        for number, request in enumerate(requests):
            socket.send(f'{{"type":"subscribe","id":"{number}","payload":{request}}}')
        bystander.assert_served()
        messages = socket.flushed()
    assert messages
    for message in messages:
        assert message["type"] in ("next", "error"), message
        if message["type"] == "error":
            refuse_unsound_errors(message["payload"])


@pytest.mark.parametrize("place", BY_SOCKET, ids=str)
def test_a_hostile_value_at_a_place_of_a_subscription_does_no_harm(
    bystander: Bystander, place: Place
) -> None:
    if place.is_at_root:
        literals = chain(*LITERALS)
        follow(bystander, (request_of(place, [text], are_literals=True) for text in literals))
        follow(bystander, (request_of(place, [text]) for text in [*chain(*JSON_TEXTS), *ALONE]))
    else:
        follow(bystander, (request_of(place, texts) for texts in JSON_TEXTS))


@pytest.mark.parametrize("member", ["query", "operationName", "variables", "extensions", "more"])
def test_a_hostile_member_of_a_request_is_answered(bystander: Bystander, member: str) -> None:
    values = [*chain(*JSON_TEXTS), *ALONE, *(value.json for value in UNREADABLE.values())]
    for value in values:
        members = {"query": '"query toString { __typename }"', member: value}
        body = ",".join(f"{json.dumps(name)}:{text}" for name, text in members.items())
        post(bystander, "{" + body + "}")
    bystander.assert_served()


@pytest.mark.parametrize("name", OF_EVERY_OBJECT)
def test_names_of_object_properties_are_ordinary_names_in_documents(
    bystander: Bystander, name: str
) -> None:
    own = bystander.instance_id
    document = f"""query {name}(${name}: String!) {{
      {name}: instance(instanceId: ${name}) {{ ...{name} }}
    }}
    fragment {name} on WorkflowInstance {{
      {name}: instanceId more: workflow {{ {name}: name }}
    }}"""
    answer = {name: {name: own, "more": {name: own}}}
    request = {"query": document, "operationName": name, "variables": {name: own}}
    assert post(bystander, json.dumps(request)).json() == {"data": answer}
    as_mutation = f"""mutation {name}(${name}: UpdateWorkflowInstanceInput!) {{
      {name}: updateWorkflowInstance(input: ${name}) {{
        ... on InstancePayload {{ {name}: instance {{ {name}: metadata }} }}
      }}
    }}"""
    variables = {name: {"instanceId": own, "metadata": {name: {name: 2}}}}
    request = {"query": as_mutation, "operationName": name, "variables": variables}
    changed = post(bystander, json.dumps(request)).json()["data"][name][name][name]
    assert changed[name] == {name: 2}
    with RawSocket(bystander.server).init() as socket:
        query = document.replace("query", "subscription", 1)
        socket.subscribe("1", query, variables={name: own}, operationName=name)
        assert socket.receive()["payload"]["data"] == answer
        bystander.assert_served()
