"""Source of the classes that wrangler.jsonc names, for test Workers that replace the service."""

CLASSES = """
class FlowflareService(WorkerEntrypoint):
    pass


class WorkflowTracker(DurableObject):
    pass


class WorkflowFollower(DurableObject):
    pass


class OrderProcessing(WorkflowEntrypoint):
    async def run(self, event, step):
        return None
"""
