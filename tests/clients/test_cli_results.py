"""Refusals of the service become one line and an exit code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import typer

from flowflare import client as api
from flowflare import errors
from flowflare.cli.errors import CliError, ExitCode, TimeIsUp, one_line
from flowflare.cli.options import Paging
from flowflare.cli.pages import read_pages
from flowflare.cli.results import document, instance_of, refusal
from flowflare.cli.service import ask
from flowflare.cli.settings import Settings
from flowflare.transport import failure

if TYPE_CHECKING:
    from pydantic import BaseModel

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)
SUMMARY: dict[str, Any] = {
    "id": "i",
    "instanceId": "order-1",
    "run": 1,
    "bound": True,
    "following": "NOT_FOLLOWED",
    "status": "RUNNING",
    "workflow": {"id": "w", "name": "ship"},
    "reference": None,
    "error": None,
    "createdAt": NOW,
    "startedAt": NOW,
    "updatedAt": NOW,
    "completedAt": None,
    "sleepUntil": None,
    "duration": 1500,
    **dict.fromkeys(("canPause", "canResume", "canTerminate", "canRestart"), True),
}


def made(model: type[BaseModel], **members: Any) -> BaseModel:
    return model.model_validate({"__typename": model.__name__, **members})


@pytest.mark.parametrize(
    ("result", "code", "line"),
    [
        (
            made(
                api.InvalidInput,
                code="INVALID_INPUT",
                message="input.expiresIn: too long.",
                path=["input", "expiresIn"],
            ),
            ExitCode.USAGE,
            "Refused: expiresIn: too long.",
        ),
        (
            made(api.InvalidInput, code="INVALID_INPUT", message="Too long.", path=["workflow"]),
            ExitCode.USAGE,
            "Refused: workflow: Too long.",
        ),
        (
            made(api.NotFound, code="NOT_FOUND", message="No instance 'a' is tracked."),
            ExitCode.NOT_FOUND,
            "No instance 'a' is tracked. `flowflare list` shows the instances there are.",
        ),
        (
            made(
                api.AmbiguousInstance,
                code="AMBIGUOUS",
                message="Several have it.",
                instances=[{**SUMMARY, "workflow": {"id": n, "name": n}} for n in ("a", "it's")],
            ),
            ExitCode.USAGE,
            "Instances of several workflows have this id: 'a', \"it's\"."
            " Add --workflow with one of these names.",
        ),
        (
            made(
                api.UnboundWorkflow,
                code="UNBOUND_WORKFLOW",
                message="No Workflow is bound for 'shp'. Did you mean 'ship'? Set `trackOnly`.",
                suggestions=["ship"],
            ),
            ExitCode.USAGE,
            "No Workflow is bound for 'shp'. Did you mean 'ship'? Set `trackOnly`. Bind it.",
        ),
        (
            made(api.InstanceConflict, code="CONFLICT", message="It exists.", existing=SUMMARY),
            ExitCode.FAILED,
            "It exists. It is RUNNING; leave out --fail-if-exists to get it, or choose another"
            " --id.",
        ),
        (
            made(
                api.IllegalTransition,
                code="ILLEGAL_TRANSITION",
                message="It is COMPLETED.",
                **{"from": "COMPLETED", "to": "PAUSED", "stepFrom": None, "stepTo": None},
            ),
            ExitCode.FAILED,
            "It is COMPLETED.",
        ),
        (
            made(api.EngineUnavailable, code="ENGINE_UNAVAILABLE", message="The engine\nis out."),
            ExitCode.FAILED,
            "The engine is out. Repeat it.",
        ),
    ],
)
def test_refusals(result: BaseModel, code: ExitCode, line: str) -> None:
    error = refusal(result, hint="Repeat it.", unbound="Bind it.")
    assert error.exit_code == code
    assert one_line(error) == line
    with pytest.raises(CliError):
        instance_of(result)


def test_a_document_has_the_forms_of_the_api() -> None:
    payload = made(api.InstancePayload, instance=SUMMARY)
    shown = document(instance_of(payload))
    assert shown["createdAt"] == "2026-11-25T10:00:00.000Z"
    assert shown["duration"] == 1500
    assert shown["status"] == "RUNNING"
    assert shown["workflow"] == {"id": "w", "name": "ship"}


def graphql_error(code: str, **extensions: Any) -> errors.FlowflareError:
    return failure(errors=[{"message": "No.", "extensions": {"code": code, **extensions}}])


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (
            errors.Unreachable("It is away."),
            ExitCode.NO_ACCESS,
            "It is away. Is it running at http://s? Set its address with --url or FLOWFLARE_URL.",
        ),
        (
            errors.UnexpectedAnswer("What is this?"),
            ExitCode.NO_ACCESS,
            "What is this? Check --url or FLOWFLARE_URL, which is http://s.",
        ),
        (
            graphql_error("UNAUTHENTICATED"),
            ExitCode.NO_ACCESS,
            "No. Check FLOWFLARE_API_KEY or --api-key.",
        ),
        (
            graphql_error("FORBIDDEN"),
            ExitCode.NO_ACCESS,
            "No. Use a key or token that allows it.",
        ),
        (
            graphql_error("INVALID_ARGUMENT", argument="filter.search"),
            ExitCode.USAGE,
            "Refused: search: No.",
        ),
        (
            graphql_error("AMBIGUOUS", workflows=["a", "b"]),
            ExitCode.USAGE,
            "Instances of several workflows have this id: 'a', 'b'."
            " Add --workflow with one of these names.",
        ),
        (
            graphql_error("INTERNAL", reference="ref-1"),
            ExitCode.FAILED,
            "No. The Worker's log has the details under ref-1.",
        ),
        (graphql_error("RESULT_TOO_LARGE"), ExitCode.FAILED, "No. (RESULT_TOO_LARGE)."),
    ],
)
def test_failures_of_requests(raised: Exception, code: ExitCode, line: str) -> None:
    async def fail(_: api.FlowflareClient) -> None:
        raise raised

    with pytest.raises(CliError) as caught:
        ask(Settings(url="http://s", key="secret"), fail)
    assert caught.value.exit_code == code
    assert one_line(caught.value) == line
    assert "secret" not in line


def test_a_time_limit_is_reported() -> None:
    async def wait(_: api.FlowflareClient) -> None:
        raise TimeoutError

    with pytest.raises(TimeIsUp):
        ask(Settings(url="http://s", key=None), wait, timeout=timedelta(seconds=5))


def test_other_failures_of_typer_stay_one_line() -> None:
    assert one_line(typer.BadParameter("a\nb")) == "Invalid value: a b."


@pytest.mark.parametrize("stuck", [False, True])
async def test_reading_continues_behind_an_empty_page_but_not_for_ever(stuck: bool) -> None:
    asked: list[str | None] = []

    async def read(_: Any, /, **window: Any) -> SimpleNamespace:
        asked.append(window["after"])
        assert len(asked) <= 3, "it reads for ever"
        end = "1" if stuck else str(len(asked))
        info = SimpleNamespace(
            end_cursor=end,
            has_next_page=stuck or len(asked) < 3,
            start_cursor=end,
            has_previous_page=False,
        )
        nodes = [] if len(asked) < 3 else ["last"]
        return SimpleNamespace(nodes=nodes, page_info=info)

    client: Any = None
    found = await read_pages(client, read, Paging(everything=True))
    assert (asked, found.nodes) == (([None, "1"], []) if stuck else ([None, "1", "2"], ["last"]))
