"""TOML is edited in place: the value is the intended one, the other lines are as they were."""

from __future__ import annotations

import pytest
import tomlkit
from hypothesis import example, given
from hypothesis import strategies as st

from flowflare.setup import toml
from flowflare.setup.edits import Append, Edit, NotEditable, Path, Put, Unparsable, applied

FILE = """\
# A Worker.
name = "shop" # its name
main = "src/index.js"
tools = [
  { binding = "A", service = "a" }, # first
  { binding = "B", service = "b" } # second
]
limits = { cpu_ms = 5 }

[[d1_databases]]
binding = "DB"
database_name = "x"

# When it runs.
[triggers]
crons = ["1 * * * *"] # every hour

# The one for trying things.
[env.staging]
name = "shop-staging"

[env.staging.vars]
A = '''
[not a header]
'''

# The end.
"""


@pytest.mark.parametrize(
    ("change", "after", "added"),
    [
        (
            Put(("d1_databases", 0, "database_id"), "i"),
            'database_name = "x"\n',
            'database_id = "i"\n',
        ),
        (
            Append(("d1_databases",), {"binding": "E"}),
            'database_name = "x"\n',
            '\n[[d1_databases]]\nbinding = "E"\n',
        ),
        (
            Append(("services",), {"binding": "F"}),
            "# The end.\n",
            '\n[[services]]\nbinding = "F"\n',
        ),
        (
            Append(("durable_objects", "bindings"), {"name": "T"}),
            "# The end.\n",
            '\n[[durable_objects.bindings]]\nname = "T"\n',
        ),
        (
            Put(("vars", "WORKFLOWS", "send-invoice"), "S"),
            "# The end.\n",
            '\n[vars.WORKFLOWS]\nsend-invoice = "S"\n',
        ),
        (Put(("env", "staging", "vars", "B"), "b"), "header]\n'''\n", 'B = "b"\n'),
        (
            Append(("env", "staging", "services"), {"binding": "F"}),
            "# The end.\n",
            '\n[[env.staging.services]]\nbinding = "F"\n',
        ),
        (Put(("workers_dev",), True), "limits = { cpu_ms = 5 }\n", "workers_dev = true\n"),
        (Append(("triggers", "crons"), "2"), '"1 * * * *"', ', "2"'),
        (Put(("limits", "more"), 1), "cpu_ms = 5", ", more = 1"),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_new_members_are_inserted_in_their_place(
    change: Edit, after: str, added: str, line_end: str
) -> None:
    at = FILE.index(after) + len(after)
    expected = FILE[:at] + added + FILE[at:]
    result = toml.edit(FILE.replace("\n", line_end), change)
    assert result == expected.replace("\n", line_end)


def test_a_list_in_brackets_keeps_its_comments() -> None:
    result = toml.edit(FILE, Append(("tools",), {"binding": "C"}))
    assert toml.parse(result)["tools"][-1] == {"binding": "C"}
    assert "# first" in result
    assert "# second" in result


def test_a_list_s_last_table_may_have_tables_of_its_own() -> None:
    text = (
        '[[migrations]]\ntag = "v1"\n[[migrations.renamed_classes]]\nfrom = "A"\n\n# next\n[vars]\n'
    )
    result = toml.edit(text, Append(("migrations",), {"tag": "v2"}))
    assert result == text + '\n[[migrations]]\ntag = "v2"\n'


def test_a_header_that_follows_directly_gets_a_line_between() -> None:
    text = "[[a]]\nx = 1\n[b]\n"
    assert toml.edit(text, Append(("a",), {"x": 2})) == "[[a]]\nx = 1\n\n[[a]]\nx = 2\n\n[b]\n"


def test_a_file_whose_tables_would_move_is_refused() -> None:
    text = "[[a]]\nx = 1\n\n[b]\ny = 1\n\n[[a]]\nx = 2\n"
    with pytest.raises(NotEditable, match=r"`b\.list` is written in a form"):
        toml.edit(text, Put(("b", "list"), 1))


def test_invalid_toml_is_reported_with_its_line() -> None:
    with pytest.raises(Unparsable, match="line 2"):
        toml.parse('a = 1\nb = "\n')


# --- any edit

NAMES = st.sampled_from(["a", "b-c", "vars", "with blank", "ü"])
PLAIN = st.booleans() | st.integers(-5, 5) | st.text('a"\\\n#[]', max_size=5)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=5,
)
PATHS: st.SearchStrategy[Path] = st.lists(NAMES, min_size=1, max_size=3).map(tuple)


@given(
    path=PATHS, value=VALUES, element=st.booleans(), base=st.dictionaries(NAMES, VALUES, max_size=3)
)
@example(path=("vars",), value={}, element=False, base={"vars": {}})
def test_an_edit_has_the_intended_value_or_is_refused(
    path: Path, value: object, element: bool, base: dict[str, object]
) -> None:
    text = f"# top\n{tomlkit.dumps(base)}\n# end\n"
    change: Edit = Append(path, value) if element else Put(path, value)
    try:
        wanted = applied(toml.parse(text), [change])
        result = toml.edit(text, change)
    except NotEditable:
        return
    assert toml.parse(result) == wanted
    assert result.startswith("# top\n")
    assert "# end\n" in result


@given(path=PATHS, value=st.dictionaries(NAMES, PLAIN, max_size=3))
def test_a_file_without_the_table_takes_any(path: Path, value: dict[str, object]) -> None:
    new = ("new", *path)
    result = toml.edit(FILE, Append(new, value))
    assert result.startswith(FILE)
    assert toml.parse(result) == applied(toml.parse(FILE), [Append(new, value)])
