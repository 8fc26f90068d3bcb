"""User onboarding: an account, a welcome, some days of patience, and then the mail that fits.

Input: `{"email": "ada@example.com", "waitMs": 259200000, "hasPosted": false}`; the last two are
optional.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from workers import Response

from flowflare import NonRetryableError, Retries, TrackedStep
from flowflare.workflows import TrackedWorkflow

_PATIENCE = timedelta(days=3)
_MAIL = Retries(limit=3, delay=timedelta(milliseconds=100), backoff="linear")


class UserOnboarding(TrackedWorkflow):
    """create the account → welcome → give them time (a sleep) → look → tips or a reminder."""

    async def run(self, event: Any, step: TrackedStep) -> Any:
        """Onboard one user; the result says which mails went out."""
        user = event["payload"]
        account = await step.do("create the account", partial(create_account, user))
        mail = partial(send_mail, account["email"])
        first = await step.do("send the welcome", partial(mail, "welcome"), retries=_MAIL)
        await step.sleep("give them time", user.get("waitMs", _PATIENCE))
        has_posted = await step.do("look at their activity", lambda: bool(user.get("hasPosted")))
        template = "tips" if has_posted else "reminder"
        second = await step.do("follow up", partial(mail, template), retries=_MAIL)
        return {"accountId": account["accountId"], "mails": [first, second]}


def create_account(user: dict[str, Any]) -> dict[str, Any]:
    """The account; an address that is none stays so, however often it is tried."""
    email = str(user.get("email", ""))
    name, at, host = email.partition("@")
    if not (name and at and "." in host):
        raise NonRetryableError(f"{email!r} is no e-mail address")
    return {"accountId": f"account-{name}", "email": email}


def send_mail(email: str, template: str) -> str:
    """Stands here for a provider of mail."""
    return f"{template} to {email}"


async def on_fetch(request: Any, env: Any, ctx: Any) -> Response:
    """Say what to do; the Worker has no interface of its own."""
    return Response("Start the workflow user-onboarding through Flowflare.\n")
