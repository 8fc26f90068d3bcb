"""Set-up of the service: its database, its bindings, its tables, its key."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flowflare.cli.errors import CliError, UsageMistake
from flowflare.setup.plan import (
    KEY,
    Conflict,
    Plan,
    Workflow,
    database,
    database_id,
    plan_service,
)
from flowflare.setup.work import Call, Target, Work
from flowflare.setup.wrangler import (
    Database,
    NotLoggedIn,
    Wrangler,
    WranglerMissing,
    create_arguments,
)

if TYPE_CHECKING:
    from flowflare.setup.asking import Asker
    from flowflare.setup.project import ConfigFile

DEFAULT_DATABASE = "flowflare"
NOT_YET = "(the id from wrangler d1 create)"


@dataclass(frozen=True, slots=True)
class ServiceAnswers:
    """The answers given by options; None is asked or looked up."""

    database: str | None
    location: str | None
    workflows: list[Workflow]
    key_file: Path | None
    no_key: bool
    local: bool
    dry_run: bool


def prepare(
    file: ConfigFile,
    environment: str | None,
    *,
    wrangler: Wrangler,
    given: ServiceAnswers,
    asker: Asker,
) -> Work:
    """The work that makes the project the service. Raises CliError."""
    return _Service(file, environment, wrangler, given, asker).work()


class _Service:
    def __init__(
        self,
        file: ConfigFile,
        environment: str | None,
        wrangler: Wrangler,
        given: ServiceAnswers,
        asker: Asker,
    ) -> None:
        self.file = file
        self.environment = environment
        self.wrangler = wrangler
        self.given = given
        self.asker = asker
        self.target = Target(file, Plan(file.config, environment))

    def work(self) -> Work:
        entry = database(self.target.plan)
        known_name = entry.get("database_name") if entry else None
        known_name = known_name if isinstance(known_name, str) else None
        name, identifier = known_name, database_id(entry)
        if identifier is None and not self.given.local:
            name, identifier = self._database(known_name)
        elif name is None:
            name = self.given.database or DEFAULT_DATABASE
        if self.given.database not in (None, name):
            raise Conflict(
                f"DB is bound to the database {name}, not to {self.given.database}",
                hint="Leave out --database, or change the entry yourself.",
            )
        work = Work([self.target])
        if identifier is None and not self.given.local:
            self._plan(name, NOT_YET)
            shown = self.wrangler.shown(*create_arguments(name, self.given.location))
            work.before.append(Call(shown, lambda: self._create(name)))
        else:
            self._plan(name, identifier)
        where = "--local" if self.given.local else "--remote"
        shown = self.wrangler.shown("d1", "migrations", "apply", name, where)
        work.after.append(Call(shown, lambda: self._migrate(name, where)))
        if not self.given.local and not self.given.no_key and self._needs_key():
            shown = self.wrangler.shown("secret", "put", KEY)
            work.after.append(Call(shown, self._put_key))
        work.next_steps = self._next()
        return work

    def _plan(self, name: str, identifier: str | None) -> None:
        plan = Plan(self.file.config, self.environment)
        plan_service(plan, name=name, identifier=identifier, workflows=self.given.workflows)
        self.target.plan = plan

    def _database(self, known: str | None) -> tuple[str, str | None]:
        """The name of the database, and its id if it exists in the account."""
        try:
            existing = self.wrangler.databases()
        except (NotLoggedIn, WranglerMissing) as error:
            if not self.given.dry_run:
                raise
            typer.echo(
                f"The account's databases could not be read: {error.format_message()}.", err=True
            )
            existing = []
        name = self.given.database or known
        if name is None:
            name = self._choose(existing)
        found = next((item for item in existing if item.name == name), None)
        return name, found.identifier if found else None

    def _choose(self, existing: list[Database]) -> str:
        if not self.asker.interactive:
            return DEFAULT_DATABASE
        names = [item.name for item in existing]
        if not names:
            return self.asker.text("Name of the new D1 database", default=DEFAULT_DATABASE)
        default = names.index(DEFAULT_DATABASE) if DEFAULT_DATABASE in names else len(names)
        chosen = self.asker.choose(
            "Which D1 database?",
            [*names, "a new one"],
            default=default,
            missing=UsageMistake("The database is missing", hint="Give --database."),
        )
        if chosen < len(names):
            return names[chosen]
        return self.asker.text("Its name", default=DEFAULT_DATABASE)

    def _create(self, name: str) -> str:
        made = self.wrangler.create_database(name, self.given.location)
        self._plan(name, made.identifier)
        return f"Created the D1 database {name} ({made.identifier})."

    def _migrate(self, name: str, where: str) -> str | None:
        if self.wrangler.migrate(name, where):
            return f"Applied the migrations to {name} ({where})."
        return None

    def _needs_key(self) -> bool:
        try:
            if KEY in self.wrangler.secrets():
                return False
        except (NotLoggedIn, WranglerMissing):
            if not self.given.dry_run:
                raise
        path = self.given.key_file
        if self.given.dry_run:
            return True
        if path is None and not self.asker.interactive:
            # Without a terminal the output may be logged, so the key must not be printed.
            raise UsageMistake(
                f"A new {KEY} needs a file to be written to",
                hint="Give --key-file PATH, or --no-key.",
            )
        if path is not None and path.exists():
            raise UsageMistake(f"{path} exists already", hint="Give --key-file another path.")
        return True

    def _put_key(self) -> str:
        key = secrets.token_urlsafe(33)
        path = self.given.key_file
        if path is None:
            self.wrangler.put_secret(KEY, key)
            return f"Created the secret {KEY}. It is shown only once:\n{key}"
        _write_key(path, key)
        try:
            self.wrangler.put_secret(KEY, key)
        except CliError:
            with suppress(OSError):
                path.unlink()
            raise
        return f"Created the secret {KEY}; it is in {path}."

    def _next(self) -> list[str]:
        if self.given.local:
            return ["make dev"]
        return [
            self.wrangler.shown("deploy"),
            "curl https://(the address it prints)/healthz",
            "flowflare setup --role client, in the project of each Worker that uses it",
        ]


def _write_key(path: Path, key: str) -> None:
    """Create a file that only its owner can read. Raises CliError if it exists."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CliError(
            f"{path} cannot be written: {error.strerror}", hint="Give --key-file another path."
        ) from None
    with os.fdopen(handle, "w") as stream:
        stream.write(f"{key}\n")
