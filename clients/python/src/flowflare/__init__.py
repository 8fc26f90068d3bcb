"""Flowflare for Python: track Cloudflare Workflows, query them and act on them.

`flowflare.workflows` is for Python Workers and needs Cloudflare's runtime; what is here does not.
"""

from flowflare.calls import Attempt
from flowflare.errors import Denied, FlowflareError, NonRetryableError, Refused, Unreachable
from flowflare.outside import track_step
from flowflare.retries import Retries
from flowflare.runners import tracked
from flowflare.service import Flowflare
from flowflare.steps import TrackedStep

__all__ = [
    "Attempt",
    "Denied",
    "Flowflare",
    "FlowflareError",
    "NonRetryableError",
    "Refused",
    "Retries",
    "TrackedStep",
    "Unreachable",
    "track_step",
    "tracked",
]
