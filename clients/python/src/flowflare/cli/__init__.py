"""The command line: `flowflare …`, made with Typer and Rich on top of `flowflare.client`.

Modules here import quickly; what is heavy (pydantic, gql, Rich) is imported by the command that
needs it. docs/cli.md describes every command.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; never returns."""
    try:
        from flowflare.cli.app import app  # noqa: PLC0415 - so that Ctrl-C is quiet meanwhile

        app(prog_name="flowflare")
    except KeyboardInterrupt:
        sys.exit(130)
