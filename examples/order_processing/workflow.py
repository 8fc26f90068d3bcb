"""The order workflow, which `startWorkflow` starts and Cloudflare Workflows executes.

Input: `{"items": […], "failPayments": 2, "holdMs": 500}`, all optional.
"""

from typing import Any

from workers import WorkflowEntrypoint

RETRIES = {"retries": {"limit": 3, "delay": 300, "backoff": "constant"}}


class PaymentDeclined(Exception):
    """The payment provider declined the card, so the step is retried."""


class OrderProcessing(WorkflowEntrypoint):
    """validate → charge card (retried) → hold for stock (a sleep) → ship."""

    async def run(self, event: Any, step: Any) -> Any:
        """Process one order; the result becomes the instance's `output`."""
        order = event["payload"] or {}

        @step.do("validate", config=RETRIES)
        async def validate() -> list[Any]:
            items = order.get("items", ["book"])
            if not items:
                raise ValueError("an order needs at least one item")
            return list(items)

        @step.do("charge card", config=RETRIES)
        async def charge(ctx: Any) -> dict[str, Any]:
            if ctx["attempt"] <= order.get("failPayments", 2):
                raise PaymentDeclined(f"card declined at attempt {ctx['attempt']}")
            return {"paymentId": f"pay-{ctx['attempt']}"}

        @step.do("ship", config=RETRIES)
        async def ship() -> dict[str, Any]:
            return {"parcels": len(items)}

        items = await validate()
        payment = await charge()
        await step.sleep("hold for stock", order.get("holdMs", 500))
        parcel = await ship()
        return {**payment, **parcel}
