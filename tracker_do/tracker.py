"""The Durable Object's class. It keeps its place in deployments; it serves nothing yet."""

from workers import DurableObject


class WorkflowTracker(DurableObject):
    """Will accept the subscriptions' sockets."""
