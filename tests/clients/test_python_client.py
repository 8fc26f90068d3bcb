"""The generated Python client against the real service."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from flowflare.client import (
    AccessTokenPayload,
    Ambiguous,
    AmbiguousInstance,
    ConflictPolicy,
    CreateAccessTokenInput,
    EngineUnavailable,
    ErrorCode,
    ErrorInput,
    EventFilter,
    FlowflareClient,
    Forbidden,
    GraphQLRequestError,
    IllegalTransition,
    InstanceConflict,
    InstanceFilter,
    InstanceOrder,
    InstanceOrderField,
    InstancePayload,
    InstanceStatus,
    InvalidInput,
    NotFound,
    OrderDirection,
    ReferenceInput,
    RegisterWorkflowInput,
    RetryPolicyInput,
    RunMismatch,
    Scope,
    StartWorkflowInput,
    StepPayload,
    StepStatus,
    SyncFlowflareClient,
    TrackingUpdate,
    TrackPayload,
    Unauthenticated,
    UnboundWorkflow,
    UnexpectedAnswer,
    Unreachable,
    UpdateWorkflowInstanceInput,
    UpdateWorkflowStepInput,
    WorkflowPayload,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scripts.local_server import LocalServer

NOBODY = "http://127.0.0.1:1"


@pytest.fixture
async def client(server: LocalServer) -> AsyncIterator[FlowflareClient]:
    """A client of the session's server, with all rights."""
    async with FlowflareClient(server.url, server.key) as connected:
        yield connected


@pytest.fixture
def name() -> str:
    """A workflow, and an instance of it, of this test alone."""
    return f"typed-{uuid.uuid4().hex[:8]}"


async def start(client: FlowflareClient, name: str) -> None:
    """Start the test's instance, for an order of the same name."""
    reference = ReferenceInput(ref_type="order", ref_id=name)
    started = await client.start_workflow(
        StartWorkflowInput(
            workflow=name,
            instance_id=name,
            reference=reference,
            input={"a": [1]},
            track_only=True,
        )
    )
    assert isinstance(started, InstancePayload), started


async def test_an_instance_comes_with_steps_attempts_and_errors(
    client: FlowflareClient, name: str
) -> None:
    await start(client, name)
    retry_at = datetime(2100, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    policy = RetryPolicyInput(limit=2, delay=timedelta(milliseconds=250))
    tracked = await client.track(
        [
            TrackingUpdate(
                instance=UpdateWorkflowInstanceInput(
                    instance_id=name, status=InstanceStatus.RUNNING, metadata={"tries": 1}
                )
            ),
            TrackingUpdate(
                step=UpdateWorkflowStepInput(
                    instance_id=name,
                    name="charge",
                    status=StepStatus.RETRYING,
                    error=ErrorInput(name="Timeout", message="too slow"),
                    retry_policy=policy,
                    retry_at=retry_at,
                )
            ),
        ]
    )
    assert isinstance(tracked, TrackPayload)
    assert tracked.applied == 2
    instance = await client.get_instance(name)
    assert instance is not None
    assert instance.status is InstanceStatus.RUNNING
    assert (instance.input, instance.metadata) == ({"a": [1]}, {"tries": 1})
    assert instance.reference is not None
    assert (instance.reference.ref_type, instance.workflow.name) == ("order", name)
    assert abs(datetime.now(UTC) - instance.created_at) < timedelta(minutes=5)
    [step] = instance.steps
    assert (step.name, step.status, step.next_retry_at) == ("charge", StepStatus.RETRYING, retry_at)
    assert step.retry_policy is not None
    assert step.retry_policy.delay == timedelta(milliseconds=250)
    [attempt] = step.attempts
    assert attempt.error is not None
    assert (attempt.number, attempt.error.name) == (1, "Timeout")


async def test_absent_leaves_a_field_and_none_clears_it(client: FlowflareClient, name: str) -> None:
    await start(client, name)
    for output in ({"sent": True}, None):
        update = UpdateWorkflowInstanceInput(instance_id=name, output=output)
        assert isinstance(await client.update_workflow_instance(update), InstancePayload)
        instance = await client.get_instance(name)
        assert instance is not None
        assert (instance.output, instance.input) == (output, {"a": [1]})


async def test_lists_filter_order_page_and_count(client: FlowflareClient, name: str) -> None:
    inputs = [
        StartWorkflowInput(workflow=name, instance_id=f"{name}-{n}", track_only=True)
        for n in range(5)
    ]
    results = await client.start_workflows(inputs)
    assert all(isinstance(result, InstancePayload) for result in results)
    order = InstanceOrder(field=InstanceOrderField.CREATED_AT, direction=OrderDirection.ASC)
    filter = InstanceFilter(workflow=[name], status=[InstanceStatus.QUEUED])
    found: list[str] = []
    after = None
    while True:
        page = await client.list_instances(filter, order_by=order, first=2, after=after)
        assert page.total_count is None
        found += [instance.instance_id for instance in page.nodes]
        if not page.page_info.has_next_page:
            break
        after = page.page_info.end_cursor
    assert found == [f"{name}-{n}" for n in range(5)]
    counted = await client.list_instances(filter, last=1, with_total=True)
    assert (counted.total_count, len(counted.nodes)) == (5, 1)
    stats = await client.get_stats(filter, slices=2)
    assert (stats.total, len(stats.timeline), stats.duration_p50) == (5, 2, None)
    assert stats.timeline[0].to == stats.timeline[1].from_


async def test_references_and_workflows_know_their_instances(
    client: FlowflareClient, name: str
) -> None:
    await start(client, name)
    registered = await client.register_workflow(RegisterWorkflowInput(name=name, retention_days=7))
    assert isinstance(registered, WorkflowPayload)
    assert registered.workflow.retention_days == 7
    reference = await client.get_reference("order", name, first=1)
    assert [instance.instance_id for instance in reference.instances.nodes] == [name]
    keys = [ReferenceInput(ref_type="order", ref_id=id_) for id_ in ("nobody", name)]
    nobody, same = await client.get_references(keys)
    assert nobody.latest_instance is None
    assert same.latest_instance is not None
    [count] = same.status_counts
    assert (count.status, count.count) == (InstanceStatus.QUEUED, 1)
    workflow = await client.get_workflow(name)
    assert workflow is not None
    assert workflow.latest_instance is not None
    assert workflow.latest_instance.instance_id == name
    workflows = await client.list_workflows(search=name, with_total=True)
    assert ([w.name for w in workflows.nodes], workflows.total_count) == ([name], 1)
    assert await client.get_workflow(f"{name}-unknown") is None


async def test_expected_failures_are_members_of_the_result(
    client: FlowflareClient, name: str
) -> None:
    await start(client, name)
    again = StartWorkflowInput(
        workflow=name, instance_id=name, on_conflict=ConflictPolicy.FAIL, track_only=True
    )
    conflict = await client.start_workflow(again)
    assert isinstance(conflict, InstanceConflict)
    assert (conflict.existing.instance_id, conflict.code) == (name, ErrorCode.CONFLICT)
    invalid = await client.start_workflow(StartWorkflowInput(workflow=""))
    assert isinstance(invalid, InvalidInput)
    assert invalid.path == ["input", "workflow"]
    missing = await client.update_workflow_step(
        UpdateWorkflowStepInput(instance_id="nobody", name="a", status=StepStatus.RUNNING)
    )
    assert isinstance(missing, NotFound)
    unbound = await client.pause_workflow(name)
    assert isinstance(unbound, EngineUnavailable)
    done, failed = [
        await client.update_workflow_step(
            UpdateWorkflowStepInput(instance_id=name, name="a", status=status)
        )
        for status in (StepStatus.COMPLETED, StepStatus.FAILED)
    ]
    assert isinstance(done, StepPayload)
    assert isinstance(failed, IllegalTransition)
    assert (failed.step_from, failed.step_to) == (StepStatus.COMPLETED, StepStatus.FAILED)


async def test_a_start_that_nothing_would_run_is_refused(
    client: FlowflareClient, name: str
) -> None:
    misspelt = await client.start_workflow(StartWorkflowInput(workflow="order-procesing"))
    assert isinstance(misspelt, UnboundWorkflow)
    assert misspelt.code is ErrorCode.UNBOUND_WORKFLOW
    assert misspelt.suggestions == ["order-processing"]
    assert "Did you mean 'order-processing'?" in misspelt.message
    assert "`trackOnly`" in misspelt.message
    registered = await client.register_workflow(RegisterWorkflowInput(name=name, track_only=True))
    assert isinstance(registered, WorkflowPayload)
    assert (registered.workflow.track_only, registered.workflow.bound) == (True, False)
    started = await client.start_workflow(StartWorkflowInput(workflow=name, instance_id=name))
    assert isinstance(started, InstancePayload), started
    assert (started.instance.bound, started.instance.run) == (False, 1)


async def start_twins(client: FlowflareClient, name: str) -> list[str]:
    """Track an instance of each of two workflows with one id; the workflows."""
    workflows = [f"{name}-a", f"{name}-b"]
    for workflow in workflows:
        update = UpdateWorkflowInstanceInput(
            instance_id=name, workflow=workflow, status=InstanceStatus.RUNNING
        )
        assert isinstance(await client.update_workflow_instance(update), InstancePayload)
    return workflows


async def test_an_ambiguous_id_is_an_error_that_names_the_workflows(
    client: FlowflareClient, name: str
) -> None:
    workflows = await start_twins(client, name)
    for read in (
        client.get_instance(name),
        client.get_runs(name),
        anext(client.watch_instance(name)),
    ):
        with pytest.raises(Ambiguous, match=r"Name one with `workflow`") as refused:
            await read
        assert refused.value.workflows == refused.value.extensions["workflows"] == workflows
        assert (refused.value.code, refused.value.path) == ("AMBIGUOUS", ["instance"])
    for workflow in workflows:
        found = await client.get_instance(name, workflow)
        runs = await client.get_runs(name, workflow)
        live = await anext(client.watch_instance(name, workflow=workflow))
        assert found is not None
        assert runs is not None
        assert live is not None
        assert found.workflow.name == runs.workflow.name == live.workflow.name == workflow


async def test_a_mutation_of_an_ambiguous_id_names_the_instances(
    client: FlowflareClient, name: str
) -> None:
    workflows = await start_twins(client, name)
    report = UpdateWorkflowInstanceInput(instance_id=name, output=1)
    step = UpdateWorkflowStepInput(instance_id=name, name="a", status=StepStatus.RUNNING)
    token = CreateAccessTokenInput(instance_id=name, expires_in=timedelta(minutes=5))
    results = [
        await client.update_workflow_instance(report),
        await client.update_workflow_step(step),
        await client.track([TrackingUpdate(instance=report)]),
        await client.pause_workflow(name),
        await client.resume_workflow(name),
        await client.terminate_workflow(name),
        await client.restart_workflow(name),
        await client.send_workflow_event(name, "approved"),
        await client.create_access_token(token),
    ]
    for result in results:
        assert isinstance(result, AmbiguousInstance), result
        assert result.code is ErrorCode.AMBIGUOUS
        assert [instance.workflow.name for instance in result.instances] == workflows
        assert "Name one with `workflow`" in result.message
    chosen = step.model_copy(update={"workflow": workflows[1]})
    chosen.model_fields_set.add("workflow")
    assert isinstance(await client.update_workflow_step(chosen), StepPayload)
    assert isinstance(await client.pause_workflow(name, workflows[1]), EngineUnavailable)
    counts = [
        len(found.steps)
        for workflow in workflows
        if (found := await client.get_instance(name, workflow))
    ]
    assert counts == [0, 1]


async def test_a_report_about_another_run_is_refused(client: FlowflareClient, name: str) -> None:
    await start(client, name)
    step = UpdateWorkflowStepInput(instance_id=name, name="a", status=StepStatus.RUNNING, run=2)
    report = UpdateWorkflowInstanceInput(instance_id=name, status=InstanceStatus.RUNNING, run=2)
    for result in (
        await client.update_workflow_step(step),
        await client.update_workflow_instance(report),
        await client.track([TrackingUpdate(step=step)]),
    ):
        assert isinstance(result, RunMismatch), result
        assert (result.code, result.run) == (ErrorCode.RUN_MISMATCH, 1)
        assert "run 2" in result.message


async def test_occurrences_of_a_step_are_steps_of_their_own(
    client: FlowflareClient, name: str
) -> None:
    await start(client, name)
    for occurrence in (1, 3):
        step = UpdateWorkflowStepInput(
            instance_id=name, name="load", occurrence=occurrence, status=StepStatus.COMPLETED
        )
        assert isinstance(await client.update_workflow_step(step), StepPayload)
    instance = await client.get_instance(name)
    assert instance is not None
    assert [(step.name, step.occurrence, step.run) for step in instance.steps] == [
        ("load", 1, 1),
        ("load", 3, 1),
    ]


def ended_run(client: SyncFlowflareClient, name: str, number: int) -> None:
    """Wait until a run of an order has ended."""
    for instance in client.watch_instance(name, "order-processing"):
        if instance is not None and instance.run == number and instance.completed_at is not None:
            return


def test_the_runs_before_a_restart_can_be_read(server: LocalServer, name: str) -> None:
    with SyncFlowflareClient(server.url, server.key) as client:
        order = StartWorkflowInput(workflow="order-processing", instance_id=name, input={})
        assert isinstance(client.start_workflow(order), InstancePayload)
        ended_run(client, name, 1)
        restarted = client.restart_workflow(name, "order-processing")
        assert isinstance(restarted, InstancePayload), restarted
        assert restarted.instance.run == 2
        ended_run(client, name, 2)
        instance = client.get_runs(name, first=80)
        assert instance is not None
        assert (instance.run, instance.workflow.name) == (2, "order-processing")
        assert [run.number for run in instance.runs] == [2, 1]
        for run in instance.runs:
            assert run.status is InstanceStatus.COMPLETED, run.error
            assert {step.run for step in run.steps} == {run.number}
            assert run.started_at is not None
            assert run.output is not None
        current = client.get_runs(name, first=1)
        assert current is not None
        assert current.runs == instance.runs[:1]


def test_the_client_that_is_not_asynchronous_takes_the_workflow(
    server: LocalServer, name: str
) -> None:
    with SyncFlowflareClient(server.url, server.key) as client:
        for workflow in (f"{name}-a", f"{name}-b"):
            client.start_workflow(
                StartWorkflowInput(workflow=workflow, instance_id=name, track_only=True)
            )
        for read in (client.get_instance, lambda id_: next(client.watch_instance(id_))):
            with pytest.raises(Ambiguous) as refused:
                read(name)
            assert refused.value.workflows == [f"{name}-a", f"{name}-b"]
        assert isinstance(client.terminate_workflow(name), AmbiguousInstance)
        found = client.get_instance(name, f"{name}-b")
        live = next(client.watch_instance(name, workflow=f"{name}-b"))
        assert found == live
        assert found is not None
        assert found.workflow.name == f"{name}-b"


async def test_actions_reach_the_engine(client: FlowflareClient, name: str) -> None:
    for act in (
        client.resume_workflow,
        client.terminate_workflow,
        client.restart_workflow,
    ):
        assert isinstance(await act(f"{name}-unknown"), NotFound)
    sent = await client.send_workflow_event(f"{name}-unknown", "approved", payload={"by": "me"})
    assert isinstance(sent, NotFound)


async def test_a_token_limits_what_a_client_may_do(
    server: LocalServer, client: FlowflareClient, name: str
) -> None:
    await start(client, name)
    created = await client.create_access_token(
        CreateAccessTokenInput(
            scopes=[Scope.READ],
            expires_in=timedelta(minutes=5),
            reference=ReferenceInput(ref_type="order", ref_id=name),
        )
    )
    assert isinstance(created, AccessTokenPayload)
    assert created.expires_at - datetime.now(UTC) < timedelta(minutes=6)
    async with FlowflareClient(server.url, created.token) as reader:
        assert await reader.get_instance(name) is not None
        with pytest.raises(Forbidden) as refused:
            await start(reader, name)
        assert refused.value.code == "FORBIDDEN"


async def test_without_a_valid_key_nothing_is_answered(server: LocalServer) -> None:
    for key in (None, "no key of this server"):
        async with FlowflareClient(server.url, key) as stranger:
            with pytest.raises(Unauthenticated) as refused:
                await stranger.get_stats()
            assert refused.value.code == "UNAUTHENTICATED"
            with pytest.raises(Unauthenticated, match="key"):
                await anext(stranger.watch_instance("a"))


async def test_other_errors_have_their_code_and_path(client: FlowflareClient) -> None:
    with pytest.raises(GraphQLRequestError) as refused:
        await client.list_instances(first=1000)
    assert refused.value.code == "INVALID_ARGUMENT"
    assert refused.value.extensions["argument"] == "first"
    with pytest.raises(GraphQLRequestError) as failed:
        await client.pause_workflow("x" * 200)
    assert (failed.value.code, failed.value.path) == ("INVALID_INPUT", ["pauseWorkflow"])
    with pytest.raises(GraphQLRequestError) as refused:
        await anext(client.subscribe("subscription { nothing }"))
    assert refused.value.code == "INVALID_DOCUMENT"


async def test_a_service_that_is_not_there_is_unreachable(server: LocalServer) -> None:
    async with FlowflareClient(NOBODY, "key") as nobody:
        with pytest.raises(Unreachable, match="cannot be reached"):
            await nobody.get_stats()
        with pytest.raises(Unreachable, match="cannot be reached"):
            await anext(nobody.watch_instance("a"))
    patience = timedelta(microseconds=1)
    async with FlowflareClient(server.url, server.key, timeout=patience) as hasty:
        with pytest.raises(Unreachable):
            await hasty.get_stats()


async def test_an_answer_that_is_not_graphql_is_unexpected(server: LocalServer) -> None:
    async with FlowflareClient(f"{server.url}/docs", server.key) as lost:
        with pytest.raises(UnexpectedAnswer, match="404"):
            await lost.get_stats()
        with pytest.raises(UnexpectedAnswer, match="404"):
            await anext(lost.watch_instance("a"))


async def test_any_document_can_be_sent(client: FlowflareClient, name: str) -> None:
    await start(client, name)
    data = await client.execute(
        "query ($id: String!) { instance(instanceId: $id) { status } }", {"id": name}
    )
    assert data == {"instance": {"status": "QUEUED"}}


def test_exactly_one_of_url_and_binding_must_be_given() -> None:
    with pytest.raises(TypeError, match="either"):
        FlowflareClient()
    with pytest.raises(TypeError, match="either"):
        FlowflareClient("https://example.com", service_binding=object())


def test_code_that_is_not_asynchronous_has_the_same_client(server: LocalServer, name: str) -> None:
    with SyncFlowflareClient(server.url, server.key) as client:
        head = client.get_log_head().cursor
        start = StartWorkflowInput(workflow=name, instance_id=name, track_only=True)
        started = client.start_workflow(start)
        assert isinstance(started, InstancePayload)
        pages = client.watch_events(EventFilter(workflow=[name]), after=head)
        page = next(pages)
        assert [event.instance.instance_id for event in page.events] == [name]
        pages.close()
        with pytest.raises(GraphQLRequestError):
            client.list_instances(first=1000)
        assert client.execute("{ __typename }") == {"__typename": "Query"}
        left_open = client.watch_instance(name)
        assert next(left_open) is not None
    with pytest.raises(StopIteration):
        next(left_open)


def test_both_clients_have_the_same_methods() -> None:
    def methods(cls: type) -> set[str]:
        return {name for name in vars(cls) if not name.startswith("_")} - {"client_class"}

    assert methods(FlowflareClient) == methods(SyncFlowflareClient)
    assert len(methods(FlowflareClient)) > 20
