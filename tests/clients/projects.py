"""Workers' folders to set up: files of several shapes, with a stand-in for wrangler."""

from __future__ import annotations

import tomllib
from contextlib import chdir
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from flowflare.cli.app import app
from flowflare.setup import jsonc
from scripts.project import ROOT
from tests.clients.command_line import Ended
from tests.clients.wrangler_account import Account

CLIENT = ("setup", "--role", "client", "--yes")
SERVICE = ("setup", "--role", "service", "--yes", "--key-file", "key")
BINDING = {"binding": "FLOWFLARE", "service": "flowflare", "entrypoint": "FlowflareService"}
IDENTIFIER = "11111111-2222-3333-4444-555555555555"
KEY = "FLOWFLARE_API_KEY"
TOML = """\
# The shop.
name = "shop"
main = "src/index.js" # the entry
compatibility_date = "2026-11-01"

[[workflows]]
binding = "INVOICE"
name = "send-invoice"
class_name = "SendInvoice"

# Tried out here.
[env.staging.vars]
MODE = "try"
"""
JSONC = """\
{
\t// The shop.
\t"name": "shop",
\t"main": "src/index.js", /* the entry */
\t"compatibility_date": "2026-11-01",
\t"services": [
\t\t{ "binding": "BILLING", "service": "billing" }, // theirs
\t],
\t"vars": {},
\t"env": { "staging": { "vars": { "MODE": "try" } } },
}
"""
FILES = {
    "minimal.json": '{"name":"shop"}',
    "empty.jsonc": "{}\n",
    "tabs, comments, environments.jsonc": JSONC,
    "crlf.jsonc": JSONC.replace("\n", "\r\n"),
    "bom.json": '\N{ZERO WIDTH NO-BREAK SPACE}{\n    "name": "shop"\n}',
    "minimal.toml": 'name = "shop"',
    "environments.toml": TOML,
    "crlf.toml": TOML.replace("\n", "\r\n"),
    "inline.toml": 'name = "s"\nvars = { A = 1 }\nservices = [{ binding = "B", service = "b" }]\n',
    "this project.jsonc": (ROOT / "wrangler.jsonc").read_text(encoding="utf-8"),
}


class Project:
    """A Worker's folder, the account, and the command in it."""

    def __init__(self, folder: Path, text: str, kind: str) -> None:
        self.folder = folder
        self.file = folder / f"wrangler.{kind}"
        self.file.write_bytes(text.encode())
        self.account = Account.beside(folder)

    def __call__(self, *arguments: str, **environment: str | None) -> Ended:
        """Run it in this process, which takes a tenth of the time of another one."""
        with chdir(self.folder):
            result = CliRunner().invoke(app, arguments, env=environment, prog_name="flowflare")
        return Ended(result.exit_code, result.stdout, result.stderr)

    @property
    def text(self) -> str:
        return self.file.read_bytes().decode()

    @property
    def config(self) -> Any:
        if self.file.suffix == ".toml":
            return tomllib.loads(self.text)
        return jsonc.parse(self.text).value
