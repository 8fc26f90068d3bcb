"""The order workflow, which `startWorkflow` starts and Cloudflare Workflows executes.

Input: `{"items": […], "failPayments": 2, "holdMs": 500}`, all optional.
"""

from datetime import timedelta
from typing import Any

from flowflare import Attempt, Flowflare, Retries
from flowflare.workflows import TrackedStep, TrackedWorkflow

RETRIES = Retries(limit=3, delay=timedelta(milliseconds=300), backoff="constant")


class PaymentDeclined(Exception):
    """The payment provider declined the card, so the step is retried."""


class OrderProcessing(TrackedWorkflow):
    """validate → charge card (retried) → hold for stock (a sleep) → ship."""

    def flowflare(self) -> Flowflare:
        """Return the service, which is this Worker itself, so no binding or key is needed.

        In a separate Worker, leave this method out and bind FLOWFLARE.
        """
        return Flowflare(service_binding=self.ctx.exports.FlowflareService)

    async def run(self, event: Any, step: TrackedStep) -> Any:
        """Process one order; the result becomes the instance's `output`."""
        order = event["payload"] or {}
        items = await step.do("validate", lambda: _validate(order), retries=RETRIES)
        payment = await step.do(
            "charge card", lambda attempt: _charge(order, attempt), retries=RETRIES
        )
        await step.sleep("hold for stock", timedelta(milliseconds=order.get("holdMs", 500)))
        parcel = await step.do("ship", lambda: _ship(items), retries=RETRIES)
        return {**payment, **parcel}


def _validate(order: dict[str, Any]) -> list[Any]:
    items = order.get("items", ["book"])
    if not items:
        raise ValueError("an order needs at least one item")
    return list(items)


def _charge(order: dict[str, Any], attempt: Attempt) -> dict[str, Any]:
    if attempt.number <= order.get("failPayments", 2):
        raise PaymentDeclined(f"card declined at attempt {attempt.number}")
    return {"paymentId": f"pay-{attempt.number}"}


def _ship(items: list[Any]) -> dict[str, Any]:
    return {"parcels": len(items)}
