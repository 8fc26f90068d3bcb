"""The commands: functions of a session and of their options."""

from __future__ import annotations

from flowflare.cli.commands import acting, following, reading, serving, starting

STARTING = "Start and watch"
READING = "Read"
ACTING = "Control"
SERVING = "The service"

COMMANDS = (
    ("start", starting.start, STARTING),
    ("follow", starting.follow, STARTING),
    ("watch", following.watch, STARTING),
    ("get", reading.get, READING),
    ("list", reading.list_instances, READING),
    ("ref", reading.ref, READING),
    ("stats", reading.stats, READING),
    ("workflows", reading.workflows, READING),
    ("pause", acting.pause, ACTING),
    ("resume", acting.resume, ACTING),
    ("terminate", acting.terminate, ACTING),
    ("restart", acting.restart, ACTING),
    ("send-event", acting.send_event, ACTING),
    ("token", serving.token, SERVING),
    ("open", serving.open_page, SERVING),
)
"""Name, function and panel, in the order of the help."""

__all__ = ["COMMANDS", "SERVING"]
