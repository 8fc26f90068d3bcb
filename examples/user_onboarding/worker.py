"""User onboarding: create an account, send a welcome, wait some days, and send a second mail.

Input: `{"email": "ada@example.com", "waitMs": 259200000, "hasPosted": false}`; the last two are
optional. Users who have posted get tips as the second mail, the others a reminder.

The Worker starts the instances by itself, when a user signs up. So the workflow tells Flowflare
about them, with the tracking library.
"""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from typing import Any

from js import JSON
from workers import Response

from flowflare import NonRetryableError, Retries, TrackedStep
from flowflare.workflows import TrackedWorkflow

_WAIT = timedelta(days=3)
_MAIL = Retries(limit=3, delay=timedelta(milliseconds=100), backoff="linear")


class UserOnboarding(TrackedWorkflow):
    """create the account → welcome → give them time (a sleep) → check activity → second mail."""

    def reference(self, event: Any) -> tuple[str, str]:
        """The user, by whose address the instance is found."""
        return "user", event["payload"]["email"]

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
    """Sign a user up: POST a user, the workflow's input, and get the id of the instance."""
    if request.method != "POST":
        return Response("POST a user to sign up.\n", status=405)
    user = json.loads(await request.text())
    instance = await env.USER_ONBOARDING.create(JSON.parse(json.dumps({"params": user})))
    return Response(instance.id)
