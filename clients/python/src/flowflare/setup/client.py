"""Set-up of a client: its way to the service, and the service's bindings to its Workflows."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flowflare.cli.errors import CliError, UsageMistake
from flowflare.cli.settings import service_url
from flowflare.setup.plan import (
    KEY,
    Plan,
    Workflow,
    own_workflows,
    plan_binding,
    plan_url,
    plan_workflow,
)
from flowflare.setup.work import Call, Target, Work
from flowflare.setup.wrangler import NotLoggedIn, Wrangler, WranglerMissing

if TYPE_CHECKING:
    from flowflare.setup.asking import Asker
    from flowflare.setup.project import ConfigFile


@dataclass(frozen=True, slots=True)
class ClientAnswers:
    """The answers given by options; None is asked or looked up."""

    service: str | None
    url: str | None
    service_file: ConfigFile | None
    key_file: Path | None
    no_key: bool
    dry_run: bool


def prepare(
    file: ConfigFile,
    environment: str | None,
    *,
    wrangler: Wrangler,
    given: ClientAnswers,
    asker: Asker,
) -> Work:
    """The work that makes the project a client of the service. Raises CliError."""
    plan = Plan(file.config, environment)
    work = Work([Target(file, plan)])
    url = given.url if given.url or given.service else _ask_for_way(plan, asker)
    if url is None:
        plan_binding(plan, given.service)
    else:
        plan_url(plan, service_url(url))
        if not given.no_key and (key := _key(wrangler, given, asker)) is not None:
            shown = wrangler.shown("secret", "put", KEY)
            work.after.append(Call(shown, lambda: _put(wrangler, key)))
    _plan_workflows(work, given)
    work.next_steps += [
        "npm install @flowflare/client, or pip install flowflare for a Python Worker",
        wrangler.shown("deploy"),
    ]
    return work


def _ask_for_way(plan: Plan, asker: Asker) -> str | None:
    """The service's address, or None for a service binding."""
    if not asker.interactive:
        return None
    if any(entry.get("binding") == "FLOWFLARE" for entry in plan.tables("services")):
        return None
    if isinstance(known := plan.get("vars", "FLOWFLARE_URL"), str):
        return known
    chosen = asker.choose(
        "How does this Worker reach the service?",
        ["a service binding: both are in the same account", "its address, with a key"],
        default=0,
        missing=UsageMistake(
            "It is not known how this Worker reaches the service", hint="Give --service or --url."
        ),
    )
    return asker.text("The service's address") if chosen == 1 else None


def _key(wrangler: Wrangler, given: ClientAnswers, asker: Asker) -> str | None:
    """The key for the Worker; None if it has one."""
    try:
        if KEY in wrangler.secrets():
            return None
    except (NotLoggedIn, WranglerMissing) as error:
        if not given.dry_run:
            raise
        typer.echo(f"The Worker's secrets could not be read: {error.format_message()}.", err=True)
    if given.dry_run:
        return ""
    if given.key_file is not None:
        try:
            key = given.key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CliError(
                f"{given.key_file} cannot be read: {error}", hint="Give another --key-file."
            ) from None
    elif not (key := os.environ.get(KEY, "").strip()):
        key = asker.secret(
            f"The service's key ({KEY})",
            missing=UsageMistake(
                "The service's key is missing",
                hint=f"Give --key-file PATH, set {KEY}, or add --no-key.",
            ),
        )
    if not key:
        raise UsageMistake("The service's key is empty", hint="Give another one.")
    return key


def _put(wrangler: Wrangler, key: str) -> str:
    wrangler.put_secret(KEY, key)
    return f"Gave the Worker the secret {KEY}."


def _plan_workflows(work: Work, given: ClientAnswers) -> None:
    """Plan the service's bindings to this Worker's Workflows, in its file or as instructions."""
    workflows = own_workflows(work.targets[0].plan)
    if any(workflow.script is None for workflow in workflows):
        raise CliError(f"{work.targets[0].file.path.name} has no `name`", hint="Add `name` first.")
    if given.service_file is not None:
        plan = Plan(given.service_file.config)
        for workflow in workflows:
            plan_workflow(plan, workflow)
        work.targets.append(Target(given.service_file, plan))
        if plan.edits:
            work.next_steps.append(
                f"deploy the service again, after this Worker: {given.service_file.path}"
            )
        return
    if workflows:
        work.next_steps.append(
            "to let the service start this Worker's Workflows, run in the service's project:\n"
            f"  flowflare setup --role service {_options(workflows)}\n"
            f"which adds to its configuration:\n{_snippet(workflows)}"
        )


def _options(workflows: list[Workflow]) -> str:
    return " ".join(f"--workflow {workflow}" for workflow in workflows)


def _snippet(workflows: list[Workflow]) -> str:
    plan = Plan({})
    for workflow in workflows:
        plan_workflow(plan, workflow)
    text = json.dumps(plan.config, indent=2, ensure_ascii=False)
    return "\n".join(f"  {line}" for line in text.splitlines()[1:-1])
