"""Documents: parsed once, and refused before they can cost much."""

from collections.abc import Callable
from typing import Any

import pytest

from resolvers import documents
from resolvers.documents import Cache, Documents, InvalidDocument
from resolvers.errors import RequestError
from resolvers.limits import (
    MAX_ALIASES,
    MAX_CACHED_DOCUMENT_CHARACTERS,
    MAX_DEPTH,
    MAX_DOCUMENT_TOKENS,
)
from schema.build import core
from tests.support.client import Client


def accepted(text: str) -> bool:
    """Whether a document is sound."""
    return len(Documents(core).get(text).operations) == 1


def refused(text: str) -> str:
    """The limit by which a document is refused."""
    with pytest.raises(RequestError) as refusal:
        Documents(core).get(text)
    assert refusal.value.code == "OPERATION_TOO_LARGE"
    return str(refusal.value.extensions["limit"])


def chain(fields: int) -> str:
    """A query exactly so many fields deep."""
    names = ["workflow", "latestInstance"]
    inner = "status" if fields % 2 == 0 else "name"
    for level in range(fields - 2, 0, -1):
        inner = f"{names[(level - 1) % 2]} {{ {inner} }}"
    return f'{{ instance(instanceId: "i") {{ {inner} }} }}'


def test_a_document_is_as_deep_as_the_limit_and_no_deeper() -> None:
    assert accepted(chain(MAX_DEPTH))
    assert refused(chain(MAX_DEPTH + 1)) == "MAX_DEPTH"


def test_fragments_count_where_they_are_spread() -> None:
    inner = chain(MAX_DEPTH).removeprefix('{ instance(instanceId: "i") {').removesuffix("} }")
    fragment = f"fragment A on WorkflowInstance {{ {inner} }}"
    assert accepted('{ instance(instanceId: "i") { ...A } }' + fragment)
    deeper = '{ workflow(name: "w") { latestInstance { ...A } } }' + fragment
    assert refused(deeper) == "MAX_DEPTH"


def test_aliases_count_each_time_a_fragment_is_spread() -> None:
    aliases = " ".join(f"a{n}: status" for n in range(MAX_ALIASES))
    assert accepted(f'{{ instance(instanceId: "i") {{ {aliases} }} }}')
    assert refused(f'{{ b: instance(instanceId: "i") {{ {aliases} }} }}') == "MAX_ALIASES"
    fragment = "fragment A on WorkflowInstance { " + " ".join(f"a{n}: id" for n in range(51)) + " }"
    twice = '{ instance(instanceId: "i") { ...A step(name: "s") { instance { ...A } } } }'
    assert refused(twice + fragment) == "MAX_ALIASES"


def test_a_document_has_as_many_tokens_as_the_limit_and_no_more() -> None:
    query = "{{ nodes(ids: [{}]) {{ id }} }}"
    assert accepted(query.format(" 1" * (MAX_DOCUMENT_TOKENS - 12)))
    assert refused(query.format(" 1" * (MAX_DOCUMENT_TOKENS - 11))) == "MAX_DOCUMENT_TOKENS"


_ATTACKS: dict[str, Callable[[], str]] = {
    "open braces": lambda: "{a" * 4_000,
    "open lists": lambda: "{ nodes(ids: " + "[" * 4_000,
    "nested lists": lambda: "{ nodes(ids: " + "[" * 4_000 + "]" * 4_000 + ") { id } }",
    "inline fragments": lambda: "{" + "... {" * 2_000 + "__typename" + "}" * 2_001,
    "inline fragments that parse": lambda: "{" + "... {" * 150 + "__typename" + "}" * 151,
    "a chain of fragments": lambda: (
        "{ ...F0 }"
        + "".join(f"fragment F{n} on Query {{ ...F{n + 1} }}" for n in range(1_000))
        + "fragment F1000 on Query { __typename }"
    ),
    "a cycle of fragments": lambda: (
        "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"
    ),
    "a doubling without aliases": lambda: (
        '{ instance(instanceId: "i") { ...F0 } }'
        + "".join(
            f"fragment F{n} on WorkflowInstance {{ workflow {{ latestInstance {{ ...F{n + 1} }} }}"
            f" reference {{ latestInstance {{ ...F{n + 1} }} }}"
            f" steps {{ instance {{ ...F{n + 1} }} }}"
            f" events(first: 1) {{ events {{ instance {{ ...F{n + 1} }} step {{ instance {{"
            f" ...F{n + 1} }} }} }} }} }}"
            for n in range(5)
        )
        + "fragment F5 on WorkflowInstance { id }"
    ),
    "unknown everything": lambda: "{" + " ".join(f"f{n}(a: $b) @c" for n in range(1_500)) + "}",
    "the same field often": lambda: "{" + " stats { total }" * 2_400 + "}",
    "conflicting fields": lambda: (
        "{" + " ".join(f'a: instance(instanceId: "{n}") {{ id }}' for n in range(90)) + "}"
    ),
    "not unicode": lambda: '{ instance(instanceId: "\ud800") { id } }',
}


@pytest.mark.parametrize("name", _ATTACKS)
@pytest.mark.timeout(20)
def test_a_hostile_document_is_answered_or_refused_in_good_order(name: str) -> None:
    client = Client()
    try:
        client(_ATTACKS[name]())
    except (RequestError, InvalidDocument):
        assert client.database.batches == []


def test_a_document_seen_before_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cached = Documents(core)
    text = "{ stats { total } }"
    first = cached.get(text)

    def unexpected(*_: Any, **__: Any) -> Any:
        raise AssertionError("parsed again")

    monkeypatch.setattr(documents, "parse", unexpected)
    monkeypatch.setattr(documents, "validate", unexpected)
    assert cached.get(text) is first


def test_a_very_long_document_is_not_kept() -> None:
    cached = Documents(core)
    text = "{ __typename }" + " " * MAX_CACHED_DOCUMENT_CHARACTERS
    assert cached.get(text) is not cached.get(text)


def test_the_cache_forgets_what_was_used_longest_ago() -> None:
    cache: Cache[str, int] = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]


def test_the_operation_is_chosen_by_its_name() -> None:
    two = Documents(core).get("query A { __typename } query B { __typename }")
    assert two.operation("B").definition.name is not None
    for name, code in ((None, "OPERATION_NAME_REQUIRED"), ("C", "UNKNOWN_OPERATION")):
        with pytest.raises(RequestError) as refusal:
            two.operation(name)
        assert refusal.value.code == code
    one = Documents(core).get("query A { __typename }")
    assert one.operation(None) is one.operation("A")


def test_an_invalid_document_says_every_fault_with_its_place() -> None:
    with pytest.raises(InvalidDocument) as refusal:
        Documents(core).get("{ a b instances { c } }")
    assert len(refusal.value.errors) == 3
    assert all(error.locations for error in refusal.value.errors)
    with pytest.raises(InvalidDocument) as refusal:
        Documents(core).get("{ a ")
    assert "Syntax Error" in str(refusal.value)


def test_variables_that_do_not_fit_are_all_named() -> None:
    with pytest.raises(InvalidDocument) as refusal:
        Client()(
            "query ($a: Int!, $b: DateTime) { events(first: $a) { cursor }"
            " stats(filter: {createdAt: {from: $b}}) { total } }",
            a="x",
            b="yesterday",
        )
    assert len(refusal.value.errors) == 2
