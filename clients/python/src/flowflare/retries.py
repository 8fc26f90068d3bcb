"""Retry policies and time spans, by the engine's own rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

Backoff = Literal["constant", "linear", "exponential"]
Duration = timedelta | float | str
"""A time span: milliseconds if it is a number, or text in Cloudflare's form: "5 seconds"."""

_UNITS_MS = {
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
    "month": 2_592_000_000,
    "year": 31_536_000_000,
}
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+?)s?\s*")


@dataclass(frozen=True, slots=True)
class Retries:
    """At most `limit` further attempts after the first, `delay` apart.

    The pause after attempt n is `delay` where the backoff is constant, `n * delay` where it is
    linear, and `delay * 2 ** (n - 1)` where it is exponential.
    """

    limit: int = 5
    delay: timedelta = timedelta(seconds=1)
    backoff: Backoff = "exponential"

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise ValueError(f"limit must not be negative: {self.limit}")
        if self.delay < timedelta(0):
            raise ValueError(f"delay must not be negative: {self.delay}")
        if self.backoff not in ("constant", "linear", "exponential"):
            raise ValueError(f"backoff must be constant, linear or exponential: {self.backoff!r}")

    def delay_after(self, attempt: int) -> timedelta | None:
        """The pause after a failed attempt, counted from 1; None if it was the last."""
        if attempt > self.limit:
            return None
        if self.backoff == "constant":
            return self.delay
        try:
            factor = attempt if self.backoff == "linear" else 2 ** (attempt - 1)
            return self.delay * factor
        except OverflowError:
            return timedelta.max

    def as_config(self) -> dict[str, Any]:
        """The policy in the form that the engine accepts."""
        return {"limit": self.limit, "delay": milliseconds(self.delay), "backoff": self.backoff}

    def as_input(self) -> dict[str, Any]:
        """The policy as `RetryPolicyInput`."""
        return {**self.as_config(), "backoff": self.backoff.upper()}


def retries_of(config: Mapping[str, Any]) -> Retries | None:
    """The retries in a step's config as the engine passes it; None if they are unknown."""
    given = config.get("retries")
    try:
        limit, delay = given["limit"], milliseconds(given["delay"])  # type: ignore[index]
        backoff = given.get("backoff", "exponential")  # type: ignore[union-attr]
        return Retries(int(limit), timedelta(milliseconds=delay), backoff)
    except (TypeError, KeyError, ValueError, OverflowError):
        return None


def milliseconds(span: Duration) -> int:
    """Whole milliseconds of a time span. Raises ValueError for text that is not one."""
    if isinstance(span, timedelta):
        return span // timedelta(milliseconds=1)
    if isinstance(span, str):
        match = _SPAN.fullmatch(span)
        if match is None or match[2] not in _UNITS_MS:
            raise ValueError(f"{span!r} is not a time span; write it as '5 seconds' or '1 hour'")
        return int(float(match[1]) * _UNITS_MS[match[2]])
    return int(span)
