"""A stand-in for wrangler and the account it speaks with, for tests of `flowflare setup`.

It is a program of its own in `node_modules/.bin`: it notes how it was called, keeps the account in
a file, and prints what wrangler 4.164 prints; tests/clients/test_setup_wrangler.py compares them.
"""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = r"""
import json, pathlib, sys, uuid

place = pathlib.Path(__file__).with_name("account.json")
account = json.loads(place.read_text())
argv = sys.argv[1:]
stdin = "" if sys.stdin.isatty() else sys.stdin.read()
account["calls"].append({"argv": argv, "stdin": stdin, "cwd": str(pathlib.Path.cwd())})


def end(code=0):
    place.write_text(json.dumps(account))
    sys.exit(code)


def fail(text):
    print(f"\x1b[31m✘ \x1b[41;31m[\x1b[41;97mERROR\x1b[41;31m]\x1b[0m \x1b[1m{text}\x1b[0m\n",
          file=sys.stderr)
    print("🪵  Logs were written to \"/x.log\"", file=sys.stderr)
    end(1)


def option(name):
    return argv[argv.index(name) + 1] if name in argv else None


if " ".join(argv[:2]) in account["failures"] or argv[0] in account["failures"]:
    fail(account["failures"].get(" ".join(argv[:2])) or account["failures"][argv[0]])
banner = "\n ⛅️ wrangler 4.164.0\n────────────────────"
if argv[:2] == ["d1", "list"]:
    assert "--json" in argv
    print(json.dumps(account["databases"], indent=2))
elif argv[:2] == ["d1", "create"]:
    made = {"uuid": str(uuid.uuid4()), "name": argv[2]}
    account["databases"].append(made)
    print(banner)
    print(f"✅ Successfully created DB '{argv[2]}' in region WEUR\nCreated your new D1 database.\n")
    print("To access your new D1 Database in your Worker, add the following snippet:")
    entry = {"binding": argv[2], "database_name": argv[2], "database_id": made["uuid"]}
    print(json.dumps({"d1_databases": [entry]}, indent=2))
    print("? Would you like Wrangler to add it on your behalf?")
    print("🤖 Using fallback value in non-interactive context: no")
elif argv[:3] == ["d1", "migrations", "apply"]:
    print(banner)
    place_of = "local" if "--local" in argv else "remote"
    if [argv[3], place_of] in account["migrated"]:
        print("✅ No migrations to apply!")
    else:
        account["migrated"].append([argv[3], place_of])
        print("Migrations to be applied:\n0001_one.sql\n🚣 Executed 3 commands")
elif argv[:2] == ["secret", "list"]:
    if account["secrets"] is None:
        fail('Worker "flowflare" not found.\n\n  If this is a new Worker, run `wrangler deploy`.')
    print(json.dumps([{"name": n, "type": "secret_text"} for n in account["secrets"]], indent=2))
elif argv[:2] == ["secret", "put"]:
    account["secrets"] = {**(account["secrets"] or {}), argv[2]: stdin}
    print(banner)
    print(f"🌀 Creating the secret for the Worker\n✨ Success! Uploaded secret {argv[2]}")
else:
    fail(f"Unknown arguments: {argv}")
end()
"""


@dataclass(frozen=True, slots=True)
class Account:
    """The account behind the stand-in of a project, and the calls it got."""

    state: Path

    @classmethod
    def beside(cls, project: Path, **given: Any) -> Account:
        """Put the stand-in into a project. `secrets=None` is a Worker not deployed yet."""
        folder = project / "node_modules" / ".bin"
        folder.mkdir(parents=True)
        program = folder / "wrangler"
        program.write_text(f"#!{sys.executable} -IS\n{PROGRAM}", encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        account = cls(folder / "account.json")
        empty: dict[str, Any] = {"databases": [], "secrets": None, "migrated": [], "failures": {}}
        account.state.write_text(json.dumps({**empty, "calls": [], **given}))
        return account

    def read(self) -> dict[str, Any]:
        """Databases, secrets and applied migrations."""
        value: dict[str, Any] = json.loads(self.state.read_text())
        return value

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call."""
        return [call["argv"] for call in self.read()["calls"]]

    def change(self, **given: Any) -> None:
        """Change the account; calls so far are forgotten."""
        self.state.write_text(json.dumps({**self.read(), "calls": [], **given}))
