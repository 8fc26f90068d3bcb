"""The command line `flowflare`, built with Typer and Rich on `flowflare.client`.

Modules here import quickly: the heavy packages (pydantic, gql, Rich) are imported by the commands
that need them. docs/cli.md describes every command.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; never returns."""
    try:
        from flowflare.cli.app import app  # noqa: PLC0415 - Ctrl-C during the import is handled below

        app(prog_name="flowflare")
    except KeyboardInterrupt:
        sys.exit(130)
