"""Documents are parsed once, and refused before they cost much."""

from collections.abc import Callable
from typing import Any

import pytest
from graphql import get_introspection_query, parse, print_ast, separate_operations

from resolvers.base.cache import Cache
from resolvers.base.errors import RequestError
from resolvers.base.limits import (
    MAX_ALIASES,
    MAX_DEPTH,
    MAX_DOCUMENT_CHARACTERS,
    MAX_DOCUMENT_LINES,
    MAX_DOCUMENT_TOKENS,
    MAX_ERRORS,
    MAX_FIELDS,
    MAX_INTROSPECTED_FIELDS,
    MAX_OVERLAPPING_FIELDS,
)
from resolvers.compiling import documents
from resolvers.compiling.documents import Documents, InvalidDocument
from schema.build import core
from scripts.project import ROOT
from tests.support.client import Client


def accepted(text: str) -> bool:
    """True if a document with one operation is accepted."""
    return len(Documents(core).get(text).operations) == 1


def refused(text: str) -> str:
    """The limit that refuses a document."""
    with pytest.raises(RequestError) as refusal:
        Documents(core).get(text)
    assert refusal.value.code == "OPERATION_TOO_LARGE"
    return str(refusal.value.extensions["limit"])


def chain(fields: int) -> str:
    """A query with exactly this many nested fields."""
    names = ["workflow", "latestInstance"]
    inner = "status" if fields % 2 == 0 else "name"
    for level in range(fields - 2, 0, -1):
        inner = f"{names[(level - 1) % 2]} {{ {inner} }}"
    return f'{{ instance(instanceId: "i") {{ {inner} }} }}'


def test_a_document_at_the_depth_limit_is_accepted_and_a_deeper_one_refused() -> None:
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


def test_a_document_at_the_token_limit_is_accepted_and_one_more_refused() -> None:
    query = "{{ nodes(ids: [{}]) {{ id }} }}"
    assert accepted(query.format(" 1" * (MAX_DOCUMENT_TOKENS - 12)))
    assert refused(query.format(" 1" * (MAX_DOCUMENT_TOKENS - 11))) == "MAX_DOCUMENT_TOKENS"


def test_a_document_at_the_character_limit_is_accepted_and_one_more_refused() -> None:
    query = "{ __typename }"
    spaces = " " * (MAX_DOCUMENT_CHARACTERS - len(query))
    assert accepted(query + spaces)
    assert refused(query + spaces + " ") == "MAX_DOCUMENT_CHARACTERS"


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_a_document_at_the_line_limit_is_accepted_and_one_more_refused(end: str) -> None:
    assert accepted("{ __typename }" + end * (MAX_DOCUMENT_LINES - 1))
    assert refused("{ __typename }" + end * MAX_DOCUMENT_LINES) == "MAX_DOCUMENT_LINES"


def on_instance(selected: str, *fragments: str) -> str:
    """A query for an instance, with fragments."""
    return f'{{ instance(instanceId: "i") {{ {selected} }} }} {" ".join(fragments)}'


def fields(count: int) -> str:
    """An operation with this many fields, at most ten in one place."""
    leaves = "id status createdAt updatedAt startedAt completedAt duration input __typename"
    tens, rest = divmod(count, 10)
    instances = [f'a{n}: instance(instanceId: "i") {{ {leaves} }}' for n in range(tens)]
    return "{ " + " ".join(instances + leaves.split()[-1:] * rest) + " }"


def test_a_document_at_the_field_limit_is_accepted_and_one_more_refused() -> None:
    # The operation itself counts as one.
    assert accepted(fields(MAX_FIELDS - 1))
    assert refused(fields(MAX_FIELDS)) == "MAX_FIELDS"


def test_the_fields_of_all_operations_and_fragments_count() -> None:
    fragment = "fragment A on Query { a: stats { total } b: stats { total } }"
    # An operation, a spread and the four fields of the fragment.
    fitting = MAX_FIELDS // 6
    operations = [f"query Q{n} {{ ...A }}" for n in range(fitting + 1)]
    assert len(Documents(core).get(" ".join([*operations[:-1], fragment])).operations) == fitting
    assert refused(" ".join([*operations, fragment])) == "MAX_FIELDS"


def test_fragments_that_double_are_counted_without_being_expanded() -> None:
    doubling = [
        f"fragment F{n} on WorkflowInstance {{ ...F{n + 1} ...F{n + 1} }}" for n in range(60)
    ]
    last = "fragment F60 on WorkflowInstance { id }"
    assert refused(on_instance("...F0", *doubling, last)) == "MAX_FIELDS"
    assert accepted(on_instance("...F54", *doubling[54:], last))


def test_overlapping_fields_at_the_limit_are_accepted_and_one_more_refused() -> None:
    count = 1
    while (count + 1) * count // 2 <= MAX_OVERLAPPING_FIELDS:
        count += 1
    assert accepted("{" + " __typename" * count + "}")
    assert refused("{" + " __typename" * (count + 1) + "}") == "MAX_OVERLAPPING_FIELDS"


@pytest.mark.parametrize(
    "text",
    [
        "{ instances {" + "nodes { id steps { name } }" * 100 + "} }",
        "{" + ' stats(filter: {workflow: ["a"]}) { total }' * 140 + "}",
        "{ instances { nodes { " + "... { id }" * 150 + "} } }",
        on_instance(
            " ".join(f"...F{n}" for n in range(150)),
            *(f"fragment F{n} on WorkflowInstance {{ id }}" for n in range(150)),
        ),
    ],
    ids=["objects", "arguments", "inline fragments", "fragments"],
)
def test_overlapping_fields_count_however_they_are_selected(text: str) -> None:
    assert refused(text) == "MAX_OVERLAPPING_FIELDS"


def test_fragments_of_components_may_select_the_same_fields_in_one_place() -> None:
    selected = "id name status attempts { number status }"
    fragments = [
        f"fragment C{n} on WorkflowInstance {{ id status createdAt steps {{ {selected} }} }}"
        for n in range(20)
    ]
    assert accepted(on_instance(" ".join(f"...C{n}" for n in range(20)), *fragments))


def test_the_introspection_query_of_tools_is_answered() -> None:
    query = get_introspection_query(
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    assert Client()(query)["__schema"]["queryType"]["name"] == "Query"


def test_introspection_at_the_limit_is_answered_and_one_more_field_refused() -> None:
    def names(count: int) -> str:
        return "{ __schema { types { " + " ".join(f"a{n}: name" for n in range(count)) + " } } }"

    # `__schema` and `types` are two fields besides the names.
    fitting = (MAX_INTROSPECTED_FIELDS - 2) // len(core.type_map)
    client = Client()
    assert client(names(fitting))
    with pytest.raises(RequestError) as refusal:
        client(names(fitting + 1))
    assert refusal.value.extensions["limit"] == "MAX_INTROSPECTED_FIELDS"
    half = names(fitting // 2 + 1)[1:-1].strip()
    with pytest.raises(RequestError) as refusal:
        client(f"{{ one: {half} other: {half} }}")
    assert refusal.value.extensions["limit"] == "MAX_INTROSPECTED_FIELDS"


def test_the_operations_of_the_clients_are_accepted() -> None:
    files = (ROOT / "clients/operations").glob("*.graphql")
    operations = separate_operations(parse("".join(path.read_text() for path in files)))
    assert len(operations) > 20
    for operation in operations.values():
        assert accepted(print_ast(operation))


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


_INVALID = {"a cycle of fragments", "conflicting fields", "not unicode"}


@pytest.mark.parametrize("name", _ATTACKS)
@pytest.mark.timeout(20)
def test_a_hostile_document_is_refused_before_any_sql(name: str) -> None:
    client = Client()
    with pytest.raises(InvalidDocument if name in _INVALID else RequestError) as refusal:
        client(_ATTACKS[name]())
    if isinstance(refusal.value, RequestError):
        assert refusal.value.code == "OPERATION_TOO_LARGE"
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


def test_a_long_document_replaces_several_in_the_cache() -> None:
    cached = Documents(core, capacity=10)
    short, long = "{ __typename }", fields(490)  # 933 tokens
    first = cached.get(short)
    assert cached.get(short) is first
    kept = cached.get(long)
    assert cached.get(long) is kept
    assert cached.get(short) is not first


def test_the_cache_evicts_the_least_recently_used_entry() -> None:
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


def test_an_invalid_document_has_an_error_with_its_location_for_each_fault() -> None:
    with pytest.raises(InvalidDocument) as refusal:
        Documents(core).get("{ a b instances { c } }")
    assert len(refusal.value.errors) == 3
    assert all(error.locations for error in refusal.value.errors)
    with pytest.raises(InvalidDocument) as refusal:
        Documents(core).get("{ a ")
    assert "Syntax Error" in str(refusal.value)


def test_the_errors_of_an_invalid_document_are_limited_and_say_that_there_are_more() -> None:
    with pytest.raises(InvalidDocument) as refusal:
        Documents(core).get("{" + " ".join(f"f{n}" for n in range(MAX_ERRORS)) + "}")
    assert len(refusal.value.errors) == MAX_ERRORS
    with pytest.raises(InvalidDocument) as refusal:
        Documents(core).get("{" + " ".join(f"f{n}" for n in range(900)) + "}")
    assert len(refusal.value.errors) == MAX_ERRORS + 1
    assert "Too many" in refusal.value.errors[-1].message


def test_all_invalid_variables_are_named() -> None:
    with pytest.raises(InvalidDocument) as refusal:
        Client()(
            "query ($a: Int!, $b: DateTime) { events(first: $a) { cursor }"
            " stats(filter: {createdAt: {from: $b}}) { total } }",
            a="x",
            b="yesterday",
        )
    assert len(refusal.value.errors) == 2
