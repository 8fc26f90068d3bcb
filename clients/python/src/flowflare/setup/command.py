"""The command `setup`: its options, and its course from the questions to the report."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flowflare.cli.errors import UsageMistake
from flowflare.setup import client, project, service
from flowflare.setup.asking import Asker
from flowflare.setup.plan import Workflow, check_environment, looks_like_service
from flowflare.setup.project import ConfigFile
from flowflare.setup.work import say_nothing_changed
from flowflare.setup.wrangler import Wrangler, find

_SERVICE = "The service"
_CLIENT = "A client"


class Role(StrEnum):
    """The role of the project."""

    SERVICE = "service"
    CLIENT = "client"


def setup(
    *,
    role: Annotated[
        Role | None,
        typer.Option(
            "--role",
            case_sensitive=False,
            help="service: this project is Flowflare. client: its Worker uses Flowflare.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", metavar="PATH", help="wrangler's file. Default: the nearest one."
        ),
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option(
            "--env",
            "-e",
            metavar="NAME",
            envvar="CLOUDFLARE_ENV",
            show_envvar=False,
            help="The named environment to set up.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the changes without making them.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask; use the options and the defaults.")
    ] = False,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            metavar="PATH",
            help="Service: file for the new key. Client with --url: file with the key.",
        ),
    ] = None,
    no_key: Annotated[
        bool, typer.Option("--no-key", help="Leave the secret FLOWFLARE_API_KEY unchanged.")
    ] = False,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            metavar="NAME",
            help="The D1 database; created if the account has none of this name.",
            rich_help_panel=_SERVICE,
        ),
    ] = None,
    location: Annotated[
        str | None,
        typer.Option(
            "--location",
            metavar="HINT",
            help="Location of a new database: weur, eeur, apac, oc, wnam or enam.",
            rich_help_panel=_SERVICE,
        ),
    ] = None,
    workflow: Annotated[
        list[str] | None,
        typer.Option(
            "--workflow",
            metavar="NAME=WORKER/CLASS",
            help="A Workflow that the service can start; may be repeated.",
            rich_help_panel=_SERVICE,
        ),
    ] = None,
    local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="Change only the file and the local database, nothing in the account.",
            rich_help_panel=_SERVICE,
        ),
    ] = False,
    service_name: Annotated[
        str | None,
        typer.Option(
            "--service",
            metavar="NAME",
            help="The service's Worker to bind to. Default: flowflare.",
            show_default=False,
            rich_help_panel=_CLIENT,
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="Use the service at this address, with a key, instead of a binding.",
            rich_help_panel=_CLIENT,
        ),
    ] = None,
    service_config: Annotated[
        Path | None,
        typer.Option(
            "--service-config",
            metavar="PATH",
            help="The service's configuration file, to which this Worker's Workflows are added.",
            rich_help_panel=_CLIENT,
        ),
    ] = None,
) -> None:
    """Make a Worker project the service, or a client of it.

    Edits wrangler's file in place, keeps its comments and order, and calls wrangler for the rest.
    Running it again changes nothing.
    """
    asker = Asker(assume_yes=yes)
    file = project.read(_config_path(config, asker))
    environment = environment or None
    check_environment(file.config, environment)
    workflows = [Workflow.parse(text) for text in workflow or []]
    chosen = role or _ask_for_role(file, asker)
    _check_options(
        chosen,
        service={
            "--database": database,
            "--location": location,
            "--workflow": workflows,
            "--local": local,
        },
        client={"--service": service_name, "--url": url, "--service-config": service_config},
    )
    if service_name and url:
        raise UsageMistake("--service and --url cannot be combined", hint="Give one of them.")
    wrangler = _wrangler(file, environment)
    if chosen is Role.SERVICE:
        work = service.prepare(
            file,
            environment,
            wrangler=wrangler,
            given=service.ServiceAnswers(
                database=database,
                location=location,
                workflows=workflows,
                key_file=key_file,
                no_key=no_key,
                local=local,
                dry_run=dry_run,
            ),
            asker=asker,
        )
    else:
        other = project.read(project.given(service_config)) if service_config else None
        work = client.prepare(
            file,
            environment,
            wrangler=wrangler,
            given=client.ClientAnswers(
                service=service_name,
                url=url,
                service_file=other,
                key_file=key_file,
                no_key=no_key,
                dry_run=dry_run,
            ),
            asker=asker,
        )
    if work.is_nothing:
        say_nothing_changed()
        work.say_next()
        return
    if dry_run or not yes:
        work.show()
    if dry_run:
        typer.echo("Nothing was changed.")
        return
    if not asker.may_apply():
        typer.echo("Nothing was changed.")
        raise typer.Exit(1)
    work.do()
    work.say_next()


def _config_path(config: Path | None, asker: Asker) -> Path:
    if config is not None:
        return project.given(config).absolute()
    found = project.found_in(Path.cwd())
    if len(found) == 1:
        return found[0]
    names = [path.name for path in found]
    chosen = asker.choose(
        "Which configuration?",
        names,
        default=0,
        missing=UsageMistake(
            f"There are several configurations: {', '.join(names)}", hint="Give one with --config."
        ),
    )
    return found[chosen]


def _ask_for_role(file: ConfigFile, asker: Asker) -> Role:
    chosen = asker.choose(
        f"What is the Worker of {file.path}?",
        ["the service: Flowflare itself", "a client: it uses Flowflare"],
        default=0 if looks_like_service(file.config) else 1,
        missing=UsageMistake(
            "The role of the project is missing", hint="Give --role service or --role client."
        ),
    )
    return list(Role)[chosen]


def _check_options(chosen: Role, **given: dict[str, object]) -> None:
    """Raise UsageMistake for options of the other role."""
    for role, options in given.items():
        for name, value in options.items():
            if value and role != chosen:
                raise UsageMistake(f"{name} is for --role {role}", hint="Leave it out.")


def _wrangler(file: ConfigFile, environment: str | None) -> Wrangler:
    options: tuple[str, ...] = ()
    folder = file.path.parent
    if [path for path in project.found_in(folder) if path.parent == folder] != [file.path]:
        options += ("--config", file.path.name)
    if environment is not None:
        options += ("--env", environment)
    elif isinstance(file.config.get("env"), dict):
        # Without it wrangler warns, or uses CLOUDFLARE_ENV.
        options += ("--env=",)
    return find(folder, options)
