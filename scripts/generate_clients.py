"""Generate the typed clients from schema/schema.graphql and clients/operations/*.graphql.

Usage: `python -m scripts.generate_clients [--check]`. With `--check` nothing is written: it fails
if the committed files differ from the generated ones.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from scripts.codegen import python_client, typescript_client
from scripts.project import ROOT, SetupError, fail, say

GENERATORS = (python_client, typescript_client)


def differences(generated: Path, committed: Path) -> list[str]:
    """The files that are stale, missing or superfluous."""
    names = {path.name for folder in (generated, committed) for path in files(folder)}
    return [
        str((committed / name).relative_to(ROOT))
        for name in sorted(names)
        if content(generated / name) != content(committed / name)
    ]


def files(folder: Path) -> list[Path]:
    """The files of a generated folder, which has no subfolders."""
    return [path for path in folder.glob("*") if path.is_file()]


def content(path: Path) -> bytes | None:
    """The content of a file; None if it does not exist."""
    return path.read_bytes() if path.is_file() else None


def main(arguments: list[str]) -> None:
    """Generate or check; exits with 1 and the names of stale files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    stale: list[str] = []
    with tempfile.TemporaryDirectory(prefix="flowflare-") as temporary:
        for generator in GENERATORS:
            folder = Path(temporary) / generator.__name__ / "generated"
            try:
                generator.generate(folder)
            except SetupError as error:
                fail(str(error))
            if options.check:
                stale += differences(folder, generator.TARGET)
                continue
            shutil.rmtree(generator.TARGET, ignore_errors=True)
            shutil.copytree(folder, generator.TARGET)
            say(f"Wrote {generator.TARGET.relative_to(ROOT)}.")
    if stale:
        fail(
            "These files are stale. Run: .venv/bin/python -m scripts.generate_clients\n  "
            + "\n  ".join(stale)
        )


if __name__ == "__main__":
    main(sys.argv[1:])
