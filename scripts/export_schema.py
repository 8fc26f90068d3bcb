"""Write `schema/schema.graphql` from the code, and check it against the public contract.

Usage: `python -m scripts.export_schema [--check]`. With `--check` it writes nothing, and fails if
the file is stale. In both cases it fails if the schema breaks `schema/contract.graphql`: a name is
missing, or a type or an argument is no longer compatible.
"""

from __future__ import annotations

import argparse
import sys

from graphql import (
    DocumentNode,
    GraphQLSchema,
    ObjectTypeDefinitionNode,
    build_ast_schema,
    build_schema,
    parse,
)
from graphql.utilities import find_breaking_changes

from schema.build import schema
from scripts.project import ROOT, fail, say

CONTRACT = ROOT / "schema" / "contract.graphql"
EXPORTED = ROOT / "schema" / "schema.graphql"


def broken_promises(exported: GraphQLSchema, contract: str) -> list[str]:
    """List the breaking changes from the contract to the exported schema.

    The contract's Subscription type is ignored if the schema has none.
    """
    document = parse(contract)
    if exported.subscription_type is None:
        kept = (
            node
            for node in document.definitions
            if not (
                isinstance(node, ObjectTypeDefinitionNode) and node.name.value == "Subscription"
            )
        )
        document = DocumentNode(definitions=tuple(kept))
    promised = build_ast_schema(document)
    return [change.description for change in find_breaking_changes(promised, exported)]


def main(arguments: list[str]) -> None:
    """Export or check; exits with 1 and the reason if the file is stale or breaks the contract."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    text = schema.as_str() + "\n"
    if broken := broken_promises(build_schema(text), CONTRACT.read_text()):
        fail("The schema breaks its public contract:\n  " + "\n  ".join(broken))
    if options.check:
        if not EXPORTED.is_file() or EXPORTED.read_text() != text:
            fail("schema/schema.graphql is stale. Run: .venv/bin/python -m scripts.export_schema")
        return
    EXPORTED.write_text(text)
    say(f"Wrote {EXPORTED.relative_to(ROOT)}.")


if __name__ == "__main__":
    main(sys.argv[1:])
