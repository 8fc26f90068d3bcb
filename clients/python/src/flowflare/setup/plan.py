"""The edits that a configuration needs; nothing here writes or calls anything.

A binding with the right name but another purpose is never changed: it raises Conflict.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from flowflare.cli.errors import CliError, UsageMistake
from flowflare.setup.edits import Append, Edit, Path, Put, applied, dotted

DATABASE = "DB"
TRACKER_CLASS = "WorkflowTracker"
OBJECTS = {"TRACKER": TRACKER_CLASS, "FOLLOWER": "WorkflowFollower"}
"""The binding and the class of each Durable Object of the service."""
SHARDS = "FOLLOWER_SHARDS"
CRON = "*/5 * * * *"
SERVICE = "FLOWFLARE"
ENTRYPOINT = "FlowflareService"
URL = "FLOWFLARE_URL"
KEY = "FLOWFLARE_API_KEY"
WORKFLOWS = "WORKFLOWS"
_UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_GIVEN_WORKFLOW = re.compile(
    r"(?P<name>[^=\s]+)=(?:(?P<script>[^/\s]+)/)?(?P<cls>[A-Za-z_$][\w$]*)"
)


class Conflict(CliError):
    """A name is in use for something else, which the message names."""


@dataclass(frozen=True, slots=True)
class Workflow:
    """A Workflow that the service can start: its name, its class, and the Worker that has it."""

    name: str
    class_name: str
    script: str | None

    @classmethod
    def parse(cls, text: str) -> Workflow:
        """Parse `NAME=WORKER/CLASS`, or `NAME=CLASS` for the service's own. Raises UsageMistake."""
        match = _GIVEN_WORKFLOW.fullmatch(text)
        if match is None:
            raise UsageMistake(
                f"--workflow must be NAME=WORKER/CLASS, not {text!r}",
                hint="For example: --workflow send-invoice=billing/SendInvoice",
            )
        return cls(match["name"], match["cls"], match["script"])

    def __str__(self) -> str:
        script = f"{self.script}/" if self.script else ""
        return f"{self.name}={script}{self.class_name}"

    @property
    def binding(self) -> str:
        """The name of a binding to it: `SEND_INVOICE` for `send-invoice`."""
        name = re.sub(r"\W+", "_", self.name, flags=re.ASCII).strip("_").upper() or "WORKFLOW"
        return f"_{name}" if name[0].isdigit() else name


@dataclass(slots=True)
class Plan:
    """Edits of one configuration with their descriptions; `config` is the value after them."""

    config: dict[str, Any]
    environment: str | None = None
    edits: list[Edit] = field(default_factory=list)
    descriptions: list[str] = field(default_factory=list)

    @property
    def prefix(self) -> Path:
        """The path of the environment."""
        return () if self.environment is None else ("env", self.environment)

    def get(self, *path: str | int) -> Any:
        """A value of the environment; None if it is missing."""
        value: Any = self.config
        for key in (*self.prefix, *path):
            present = (
                key in value
                if isinstance(value, dict)
                else isinstance(value, list) and isinstance(key, int) and key < len(value)
            )
            if not present:
                return None
            value = value[key]
        return value

    def inherited(self, name: str) -> Any:
        """A value of the environment, or of the top level if it has none of its own."""
        own = self.get(name)
        return self.config.get(name) if own is None else own

    def tables(self, *path: str) -> list[dict[str, Any]]:
        """The elements of a list of objects. Raises CliError for any other value."""
        value = self.get(*path)
        if value is None:
            return []
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            return value
        raise CliError(
            f"`{dotted((*self.prefix, *path))}` is not a list of objects", hint="Correct it first."
        )

    def put(self, path: Path, value: Any, description: str) -> None:
        """Plan to set a member."""
        self._add(Put((*self.prefix, *path), value), description)

    def append(self, path: Path, value: Any, description: str) -> None:
        """Plan to append an element to a list."""
        self._add(Append((*self.prefix, *path), value), description)

    def _add(self, edit: Edit, description: str) -> None:
        self.config = applied(self.config, [edit])
        self.edits.append(edit)
        where = f" in environment {self.environment}" if self.environment else ""
        self.descriptions.append(description + where)

    def free(self, binding: str) -> None:
        """Raise Conflict if another binding of the environment has this name."""
        for kind, name in self._bindings():
            if name == binding:
                raise Conflict(
                    f"The name {binding} is already in use by `{kind}`",
                    hint="Rename that, here and in its code, then run this again.",
                )

    def _bindings(self) -> Iterator[tuple[str, str]]:
        own = self.get() or {}
        for kind, value in own.items():
            if kind == "env":
                continue
            if kind == "vars" and isinstance(value, dict):
                yield from ((f"vars.{name}", name) for name in value)
                continue
            if kind == "durable_objects" and isinstance(value, dict):
                found, member = value.get("bindings"), "name"
            elif kind == "queues" and isinstance(value, dict):
                found, member = value.get("producers"), "binding"
            elif isinstance(value, dict):
                found, member = [value], "binding"
            else:
                found, member = value, "name" if kind in ("send_email", "unsafe") else "binding"
            for item in found if isinstance(found, list) else ():
                if isinstance(item, dict) and isinstance(item.get(member), str):
                    yield kind, item[member]


def looks_like_service(config: dict[str, Any]) -> bool:
    """True if a configuration has the service's Durable Object or its name."""
    plan = Plan(config)
    durable = plan.get("durable_objects", "bindings")
    has_tracker = isinstance(durable, list) and any(
        isinstance(item, dict) and item.get("class_name") == TRACKER_CLASS for item in durable
    )
    return has_tracker or config.get("name") == "flowflare"


def worker_name(config: dict[str, Any], environment: str | None) -> str | None:
    """The name of the deployed Worker."""
    name = config.get("name")
    if environment is not None:
        name = Plan(config, environment).get("name") or (f"{name}-{environment}" if name else None)
    return name if isinstance(name, str) else None


def check_environment(config: dict[str, Any], environment: str | None) -> None:
    """Raise UsageMistake if the configuration does not have this environment."""
    known = config.get("env")
    names = sorted(known) if isinstance(known, dict) else []
    if environment is not None and environment not in names:
        listed = ", ".join(names) if names else "It has none"
        raise UsageMistake(
            f"There is no environment {environment!r} in the configuration",
            hint=f"Known: {listed}." if names else f"{listed}: add `env.{environment}` first.",
        )


def database(plan: Plan) -> dict[str, Any] | None:
    """The entry of the service's database. Raises Conflict if another binding has its name."""
    for entry in plan.tables("d1_databases"):
        if entry.get("binding") == DATABASE:
            return entry
    plan.free(DATABASE)
    return None


def database_id(entry: dict[str, Any] | None) -> str | None:
    """The id in an entry; None for a placeholder."""
    value = (entry or {}).get("database_id")
    return value if isinstance(value, str) and _UUID.fullmatch(value) else None


def plan_service(
    plan: Plan, *, name: str, identifier: str | None, workflows: list[Workflow]
) -> None:
    """Plan the service's database, Durable Objects, cron trigger and Workflows."""
    _plan_database(plan, name, identifier)
    for binding, class_name in OBJECTS.items():
        _plan_object(plan, binding, class_name)
    _plan_classes(plan)
    if plan.get("vars", SHARDS) is None:
        plan.put(("vars", SHARDS), 1, f"variable {SHARDS}")
    triggers = plan.inherited("triggers")
    crons = triggers.get("crons") if isinstance(triggers, dict) else None
    if not crons:
        plan.append(("triggers", "crons"), CRON, f"cron trigger {CRON}")
    for workflow in workflows:
        plan_workflow(plan, workflow)


def _plan_database(plan: Plan, name: str, identifier: str | None) -> None:
    entry = database(plan)
    if entry is None:
        new = {"binding": DATABASE, "database_name": name}
        if identifier is not None:
            new["database_id"] = identifier
        new["migrations_dir"] = "migrations"
        plan.append(("d1_databases",), new, f"D1 database {name} as {DATABASE}")
        return
    index = plan.tables("d1_databases").index(entry)
    known_name, known_id = entry.get("database_name"), database_id(entry)
    if known_id and identifier and known_id != identifier:
        raise Conflict(
            f"{DATABASE} is bound to database {known_id}, not to {name} ({identifier})",
            hint="Leave out --database, or change database_id yourself.",
        )
    if known_name != name:
        plan.put(("d1_databases", index, "database_name"), name, f"name {name} of {DATABASE}")
    if identifier and known_id is None:
        plan.put(("d1_databases", index, "database_id"), identifier, f"id of D1 database {name}")


def _plan_object(plan: Plan, binding: str, class_name: str) -> None:
    bound = plan.tables("durable_objects", "bindings")
    own = next((entry for entry in bound if entry.get("name") == binding), None)
    if own is None:
        plan.free(binding)
        new = {"name": binding, "class_name": class_name}
        plan.append(("durable_objects", "bindings"), new, f"Durable Object {binding}")
    elif own.get("class_name") != class_name or own.get("script_name"):
        raise Conflict(
            f"{binding} is bound to the class {own.get('class_name')}, not to {class_name}",
            hint="Rename that binding, here and in its code.",
        )


def _plan_classes(plan: Plan) -> None:
    """Plan one migration that creates the classes which no other creates."""
    migrations = plan.inherited("migrations") or []
    if not isinstance(migrations, list):
        raise CliError("`migrations` is not a list", hint="Correct it first.")
    steps = [step for step in migrations if isinstance(step, dict)]
    for class_name in OBJECTS.values():
        if any(class_name in (step.get("new_classes") or ()) for step in steps):
            raise Conflict(
                f"`migrations` creates {class_name} without SQLite",
                hint="It needs `new_sqlite_classes`; Cloudflare cannot change a class later.",
            )
    known = [name for step in steps for name in step.get("new_sqlite_classes") or ()]
    missing = [class_name for class_name in OBJECTS.values() if class_name not in known]
    if not missing:
        return
    tags = {step.get("tag") for step in steps}
    names = ("v1" if not tags else f"flowflare-v{number}" for number in count(1))
    tag = next(name for name in names if name not in tags)
    new_step = {"tag": tag, "new_sqlite_classes": missing}
    description = f"migration {tag} of {' and '.join(missing)}"
    # An environment inherits migrations from the top level, unless it has its own.
    if plan.environment and plan.get("migrations") is None:
        top = Plan(plan.config)
        top.append(("migrations",), new_step, description)
        plan.config = top.config
        plan.edits += top.edits
        plan.descriptions += top.descriptions
        return
    plan.append(("migrations",), new_step, description)


def plan_workflow(plan: Plan, workflow: Workflow) -> None:
    """Plan the binding to a Workflow, and its entry in the variable WORKFLOWS."""
    binding = _workflow_binding(plan, workflow)
    named = plan.get("vars", WORKFLOWS)
    if named is not None and not isinstance(named, dict):
        raise CliError(
            f"The variable {WORKFLOWS} must be an object, not text",
            hint="Correct it, and run this again.",
        )
    known = (named or {}).get(workflow.name)
    if known == binding:
        return
    if known is not None:
        raise Conflict(
            f"{WORKFLOWS} names {known} for {workflow.name}, not {binding}",
            hint="Remove that entry first.",
        )
    plan.put(("vars", WORKFLOWS, workflow.name), binding, f"{workflow.name} in {WORKFLOWS}")


def _workflow_binding(plan: Plan, workflow: Workflow) -> str:
    wanted: dict[str, str] = {
        "binding": workflow.binding,
        "name": workflow.name,
        "class_name": workflow.class_name,
    }
    if workflow.script is not None:
        wanted["script_name"] = workflow.script
    for entry in plan.tables("workflows"):
        if entry.get("name") != workflow.name:
            continue
        place = (entry.get("class_name"), entry.get("script_name"))
        if place != (workflow.class_name, workflow.script):
            raise Conflict(
                f"The Workflow {workflow.name} is bound to {place[1] or 'this Worker'}/{place[0]}, "
                f"not to {workflow.script or 'this Worker'}/{workflow.class_name}",
                hint="Remove that binding first.",
            )
        return str(entry.get("binding"))
    plan.free(workflow.binding)
    plan.append(("workflows",), wanted, f"Workflow {workflow.name} as {workflow.binding}")
    return workflow.binding


def plan_binding(plan: Plan, service: str | None) -> str:
    """Plan a client's service binding and return the service's name."""
    for entry in plan.tables("services"):
        if entry.get("binding") != SERVICE:
            continue
        known = entry.get("service")
        if entry.get("entrypoint") != ENTRYPOINT:
            raise Conflict(
                f"{SERVICE} is bound to {known} with entrypoint {entry.get('entrypoint')}",
                hint=f'It needs "entrypoint": "{ENTRYPOINT}".',
            )
        if service is not None and known != service:
            raise Conflict(
                f"{SERVICE} is bound to {known}, not to {service}",
                hint="Leave out --service, or change the binding.",
            )
        return str(known)
    plan.free(SERVICE)
    name = service or "flowflare"
    new = {"binding": SERVICE, "service": name, "entrypoint": ENTRYPOINT}
    plan.append(("services",), new, f"service binding {SERVICE} to {name}")
    return name


def plan_url(plan: Plan, url: str) -> None:
    """Plan a client's variable with the service's address."""
    known = plan.get("vars", URL)
    if known == url:
        return
    if known is not None:
        raise Conflict(f"{URL} is {known}, not {url}", hint="Change it yourself if it is wrong.")
    plan.free(URL)
    plan.put(("vars", URL), url, f"variable {URL}")


def own_workflows(plan: Plan) -> list[Workflow]:
    """The Workflows whose classes are in this Worker, as the service should bind them."""
    script = worker_name(plan.config, plan.environment)
    return [
        Workflow(entry["name"], entry["class_name"], script)
        for entry in plan.tables("workflows")
        if not entry.get("script_name")
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get("class_name"), str)
    ]
