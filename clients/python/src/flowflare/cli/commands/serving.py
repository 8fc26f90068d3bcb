"""`token`, `open`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from flowflare.cli.errors import CliError
from flowflare.cli.options import Pair, duration_parser
from flowflare.cli.render.text import local
from flowflare.cli.results import document, refusal
from flowflare.cli.service import ask
from flowflare.cli.session import Session
from flowflare.cli.vocabulary import Page
from flowflare.client import Scope

_PATHS = {Page.GRAPHIQL: "/graphql", Page.DASHBOARD: "/", Page.DOCS: "/docs/"}


def token(
    session: Session,
    *,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            "--scope",
            case_sensitive=False,
            metavar="SCOPE",
            help="READ, WRITE or ADMIN; may be repeated. READ by default.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        Pair | None,
        typer.Option(
            "--ref",
            metavar="TYPE ID",
            help="Restrict it to instances that work on this entity, such as order 1001.",
        ),
    ] = None,
    workflow: Annotated[
        list[str] | None,
        typer.Option(
            "--workflow",
            "-w",
            metavar="NAME",
            help="Restrict it to this workflow; may be repeated. With --instance: its workflow.",
        ),
    ] = None,
    instance_id: Annotated[
        str | None, typer.Option("--instance", metavar="ID", help="Restrict it to this instance.")
    ] = None,
    unrestricted: Annotated[
        bool,
        typer.Option(
            "--unrestricted", help="Needed for a token without --ref, --workflow and --instance."
        ),
    ] = False,
    expires_in: Annotated[
        timedelta,
        typer.Option(
            "--expires-in",
            metavar="DURATION",
            parser=duration_parser,
            help="Lifetime, from 1m to 30d.",
        ),
    ] = "1h",  # type: ignore[assignment] # Typer parses a default as if it were typed
) -> None:
    """Create an access token, which may allow less than the key does.

    Only the token is written to standard output. Needs a key with the ADMIN scope.
    """
    from flowflare import client as api  # noqa: PLC0415 - heavy

    given: dict[str, Any] = {}
    if reference is not None:
        given["reference"] = api.ReferenceInput(ref_type=reference[0], ref_id=reference[1])
    if workflow:
        given["workflows"] = workflow
    if instance_id is not None:
        given["instance_id"] = instance_id
    request = api.CreateAccessTokenInput(
        scopes=scope or [Scope.READ],
        expires_in=expires_in,
        unrestricted=unrestricted,
        **given,
    )
    result = ask(session.settings, lambda client: client.create_access_token(input=request))
    if not isinstance(result, api.AccessTokenPayload):
        raise refusal(result)
    if session.output.as_json:
        session.output.document(document(result))
        return
    session.output.line(result.token)
    session.note(f"Expires {local(result.expires_at)}.")


def open_page(
    session: Session,
    page: Annotated[
        Page,
        typer.Argument(metavar="PAGE", case_sensitive=False, help="graphiql, dashboard or docs."),
    ] = Page.GRAPHIQL,
    *,
    show: Annotated[
        bool, typer.Option("--print", help="Print the address instead of opening it.")
    ] = False,
) -> None:
    """Open a page of the service in the browser: GraphiQL, the dashboard or the documentation.

    The pages ask for the key; it is not part of the address.
    """
    address = f"{session.settings.url}{_PATHS[page]}"
    if session.output.as_json:
        session.output.document({"url": address})
        return
    if show:
        session.output.line(address)
        return
    if typer.launch(address) != 0:
        raise CliError("No browser could be opened", hint=f"Open {address} yourself.")
    session.note(f"Opened {address}.")
