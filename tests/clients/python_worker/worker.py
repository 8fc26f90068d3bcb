"""Starts an instance, reads it, and follows the log, all over the service binding."""

import json

from workers import Request, Response, WorkerEntrypoint

from flowflare.client import (
    Ambiguous,
    EventFilter,
    FlowflareClient,
    GraphQLRequestError,
    InstancePayload,
    InstanceStatus,
    InvalidInput,
    ReferenceInput,
    StartWorkflowInput,
    TrackingUpdate,
    UpdateWorkflowInstanceInput,
)


class Default(WorkerEntrypoint):
    """Answers each path with the result of the method of that name."""

    async def fetch(self, request: Request) -> Response:
        """`/start`, `/refused`, `/wrong` or `/follow`."""
        path = request.url.rsplit("/", 1)[1]
        async with FlowflareClient(service_binding=self.env.FLOWFLARE) as client:
            found = await getattr(self, f"on_{path}")(client)
        return Response(json.dumps(found), headers={"content-type": "application/json"})

    async def on_start(self, client: FlowflareClient) -> object:
        """Start an instance, report on it, and read it."""
        started = await client.start_workflow(
            StartWorkflowInput(
                workflow="from-python",
                instance_id="python-1",
                reference=ReferenceInput(ref_type="order", ref_id="ä-1"),
                input={"items": ["bøk"]},
                track_only=True,
            )
        )
        assert isinstance(started, InstancePayload), started
        running = UpdateWorkflowInstanceInput(
            instance_id="python-1", workflow="from-python", status=InstanceStatus.RUNNING
        )
        await client.track([TrackingUpdate(instance=running)])
        instance = await client.get_instance("python-1", "from-python")
        assert instance is not None
        return instance.model_dump(mode="json", by_alias=True)

    async def on_refused(self, client: FlowflareClient) -> object:
        """An input that the service refuses."""
        refused = await client.start_workflow(StartWorkflowInput(workflow=""))
        assert isinstance(refused, InvalidInput), refused
        return refused.path

    async def on_wrong(self, client: FlowflareClient) -> object:
        """The codes of requests that the service refuses, as a query and as a subscription."""
        codes: list[str | None] = []
        try:
            await client.list_instances(first=1000)
        except GraphQLRequestError as error:
            codes.append(error.code)
        try:
            await anext(client.subscribe("subscription { nothing }"))
        except GraphQLRequestError as error:
            codes.append(error.code)
        # An instance of another workflow with the id of `on_start`.
        twin = UpdateWorkflowInstanceInput(instance_id="python-1", workflow="twin")
        await client.update_workflow_instance(twin)
        for read in (client.get_instance("python-1"), anext(client.watch_instance("python-1"))):
            try:
                await read
            except Ambiguous as error:
                codes += error.workflows
        return codes

    async def on_follow(self, client: FlowflareClient) -> object:
        """The types of the log's first events, as a subscriber sees them."""
        types: list[str] = []
        pages = client.watch_events(EventFilter(workflow=["from-python"]), after="0" * 16)
        async for page in pages:
            types += [event.type.value for event in page.events]
            if "INSTANCE_STARTED" in types:
                break
        await pages.aclose()
        return types
