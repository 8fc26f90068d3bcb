"""User onboarding: create an account, send a welcome, wait some days, and send a second mail.

Input: `{"email": "ada@example.com", "waitMs": 259200000, "hasPosted": false}`; the last two are
optional. Users who have posted get tips as the second mail, the others a reminder.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from workers import Response

from flowflare import NonRetryableError, Retries, TrackedStep
from flowflare.workflows import TrackedWorkflow

_WAIT = timedelta(days=3)
_MAIL = Retries(limit=3, delay=timedelta(milliseconds=100), backoff="linear")


class UserOnboarding(TrackedWorkflow):
    """create the account → welcome → give them time (a sleep) → check activity → second mail."""

    async def run(self, event: Any, step: TrackedStep) -> Any:
        """Onboard one user; returns the account and the mails sent."""
        user = event["payload"]
        account = await step.do("create the account", partial(create_account, user))
        mail = partial(send_mail, account["email"])
        first = await step.do("send the welcome", partial(mail, "welcome"), retries=_MAIL)
        await step.sleep("give them time", user.get("waitMs", _WAIT))
        has_posted = await step.do("check their activity", lambda: bool(user.get("hasPosted")))
        template = "tips" if has_posted else "reminder"
        second = await step.do("follow up", partial(mail, template), retries=_MAIL)
        return {"accountId": account["accountId"], "mails": [first, second]}


def create_account(user: dict[str, Any]) -> dict[str, Any]:
    """Create an account. An invalid address is not retried, because it stays invalid."""
    email = str(user.get("email", ""))
    name, at, host = email.partition("@")
    if not (name and at and "." in host):
        raise NonRetryableError(f"{email!r} is not a valid email address")
    return {"accountId": f"account-{name}", "email": email}


def send_mail(email: str, template: str) -> str:
    """Send a mail; this function represents a mail provider."""
    return f"{template} to {email}"


async def on_fetch(request: Any, env: Any, ctx: Any) -> Response:
    """Explain how to start the workflow; the Worker has no other HTTP interface."""
    return Response("Start the workflow user-onboarding through Flowflare.\n")
