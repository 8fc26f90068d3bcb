"""A varied database as SQL text, always the same, for SQLite here and for D1 in workerd.

The statements change instances and steps, and the triggers write the log and the counters.
"""

import json
import random
from collections.abc import Iterator

WORKFLOWS = ("order", "order-refund", "billing", 'näme ☃ "q"', "zz-last")
REFERENCES = (("order", "1"), ("order", "10"), ("user", 'ü-"x"'), ("doc", "order-7"), ("user", "1"))
# The id of instances of several workflows.
SHARED_ID = "shared"
STEP_NAMES = ("charge", "reserve stock", 'sénd "mail" ✉', "sleep-1", "wait")
VALUES: tuple[object, ...] = (
    None,
    True,
    0,
    -1.5,
    1e21,
    2**53 + 1,
    -(2**70) + 1,
    "",
    "plain",
    'quotes " and \\ and /',
    "control \u0000 \u001f \n \u007f \u2028",
    "ünïcode ☃ \U0001f600",
    "lone \ud800 surrogate",
    [],
    {},
    [[[[1, [2, [None]]]]]],
    {"a": {"b": [{"c": None}, "% %s ?1 {t}"]}, "": 0, 'k"\\': "v", "é": False},
)
ERRORS: tuple[dict[str, str | None], ...] = (
    {"name": "Error", "message": "boom", "stack": None},
    {"name": "Fehlér", "message": 'line\nwith "quotes" \\ \u0000', "stack": "at a\n\tat b ☃"},
)
_PATHS = (
    ("QUEUED",),
    ("RUNNING",),
    ("QUEUED", "RUNNING", "SLEEPING"),
    ("QUEUED", "RUNNING", "WAITING"),
    ("RUNNING", "WAITING_FOR_PAUSE"),
    ("RUNNING", "WAITING_FOR_PAUSE", "PAUSED", "RUNNING"),
    ("QUEUED", "PAUSED"),
    ("QUEUED", "RUNNING", "COMPLETED"),
    ("RUNNING", "SLEEPING", "RUNNING", "COMPLETED"),
    ("QUEUED", "RUNNING", "ERRORED"),
    ("ERRORED", "QUEUED", "RUNNING"),
    ("RUNNING", "QUEUED", "RUNNING", "COMPLETED", "QUEUED"),
    ("QUEUED", "TERMINATED"),
    ("UNKNOWN",),
    ("COMPLETED",),
)
_FINISHED = ("COMPLETED", "ERRORED", "TERMINATED")
_STEP_PATHS = (
    (("PENDING", 0),),
    (("RUNNING", 1),),
    (("RUNNING", 1), ("RETRYING", 1)),
    (("RUNNING", 1), ("RETRYING", 1), ("RUNNING", 2), ("RETRYING", 2)),
    (("RUNNING", 1), ("RETRYING", 1), ("RUNNING", 2), ("COMPLETED", 2)),
    (("RUNNING", 1), ("COMPLETED", 1)),
    (("PENDING", 0), ("RUNNING", 1), ("FAILED", 1)),
    (("COMPLETED", 1),),
    (("RETRYING", 1), ("FAILED", 2)),
)


class Clock:
    """A clock that advances only now and then, so that many rows share an instant."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._ms = 0

    def now(self, year: int) -> str:
        """The current instant, in the given year."""
        if self._chance.random() < 0.5:
            self._ms += self._chance.choice((1, 999, 60_000, 3_600_000, 7_654_321))
        hours, rest = divmod(self._ms, 3_600_000)
        minutes, rest = divmod(rest, 60_000)
        day, hour = divmod(hours, 24)
        seconds = f"{rest // 1000:02}.{rest % 1000:03}"
        return f"{year}-03-{1 + day % 28:02}T{hour:02}:{minutes:02}:{seconds}Z"


def statements(instances: int = 60, seed: int = 7) -> Iterator[str]:
    """The statements that make the database, in order."""
    chance = random.Random(seed)
    clock = Clock(chance)
    at = clock.now(2001)
    yield insert(
        "workflows",
        name="empty",
        description='By hand ☃ "q" \u0001',
        metadata=json_text({"team": None}),
        retention_days=30,
        created_at=at,
        updated_at=at,
    )
    yield insert("workflows", name="order", created_at=at, updated_at=at, metadata="[1]")
    for number in range(instances):
        yield from instance(number, chance, clock)
    for number, workflow in enumerate(WORKFLOWS[:3], instances):
        yield from instance(number, chance, clock, key=(workflow, SHARED_ID))
    yield "UPDATE instances SET followed='[1,0,\"\",0,[]]' WHERE id%3=1"
    yield f"UPDATE instances SET behind_since={quoted(at)} WHERE id%6=1"
    yield from stacks()
    # This leaves gaps in rows and log, and counters at zero.
    yield "DELETE FROM instances WHERE instance_id IN ('i-003','i-011')"


def stacks() -> Iterator[str]:
    """Stacks that were reported for errors, some of other messages than the recorded ones."""
    message = "iif(id%3=0,'other','boom')"
    error = f"{message},'at reported '||id"
    yield f"INSERT INTO stacks SELECT id,run,'',0,0,{error} FROM instances"
    yield f"INSERT INTO stacks SELECT id,1,'',0,0,{error} FROM instances WHERE run>1"
    attempt = "iif(id%2=0,0,max(attempt-id%5,0))"
    yield f"INSERT INTO stacks SELECT instance,run,name,occurrence,{attempt},{error} FROM steps"


def instance(
    number: int, chance: random.Random, clock: Clock, key: tuple[str, str] | None = None
) -> Iterator[str]:
    """One instance with its runs, their steps, and its changes of status.

    `key` is its workflow and id; by default an id of its own.
    """
    year = chance.choice((2001, 2025, 2025))
    created = clock.now(year)
    path = _PATHS[number % len(_PATHS)]
    ref_type, ref_id = chance.choice((*REFERENCES, (None, None)))
    own_id = f"i-{number:03}" if number % 7 else f'ïd-{number} "☃"'
    workflow, instance_id = key or (chance.choice(WORKFLOWS), own_id)
    started = created if path[0] not in ("QUEUED", "UNKNOWN") else None
    yield insert(
        "instances",
        instance_id=instance_id,
        workflow=workflow,
        ref_type=ref_type,
        ref_id=ref_id,
        status=path[0],
        input=json_text(chance.choice(VALUES)),
        metadata=json_text(chance.choice(VALUES)),
        error=json_text(ERRORS[1]) if path[0] == "ERRORED" else None,
        created_at=created,
        updated_at=created,
        started_at=started,
        completed_at=created if path[0] in _FINISHED else None,
    )
    where = f"WHERE instance_id={quoted(instance_id)} AND workflow={quoted(workflow)}"
    row = f"(SELECT id FROM instances {where})"
    run = 1
    yield from steps(row, run, chance, clock, year)
    if path[0] in _FINISHED:
        open_ = "status IN ('PENDING','RUNNING','RETRYING')"
        ended: dict[str, str | int | None] = {"status": "CANCELLED", "completed_at": created}
        ended["next_retry_at"] = None
        yield update("steps", ended, f"WHERE instance={row} AND {open_}")
    for status in path[1:]:
        at = clock.now(year)
        changes: dict[str, str | int | None] = {"status": status, "updated_at": at}
        changes["completed_at"] = at if status in _FINISHED else None
        if status == "QUEUED":
            run += 1
            changes |= {"run": run, "output": None, "output_kind": None}
            changes |= {"error": None, "started_at": None}
        if started is None and status != "QUEUED":
            started = changes["started_at"] = at
        if status == "COMPLETED":
            changes["output"] = json_text(chance.choice(VALUES))
            changes["output_kind"] = chance.choice(("JSON", "CONVERTED", "TRUNCATED"))
        if status == "ERRORED":
            changes["error"] = json_text(chance.choice(ERRORS))
        if status == "SLEEPING":
            changes["sleep_until"] = "2030-01-01T00:00:00.000Z"
        yield update("instances", changes, where)
        if status == "QUEUED":
            yield from steps(row, run, chance, clock, year)


def steps(row: str, run: int, chance: random.Random, clock: Clock, year: int) -> Iterator[str]:
    """The steps of a run; of four, the last has the name of the first."""
    names = chance.sample(STEP_NAMES, chance.randint(0, 4))
    for index, name in enumerate(names, 1):
        key = (run, names[0], 2) if index == len(STEP_NAMES) - 1 else (run, name, 1)
        yield from step(row, key, index, chance, clock.now(year))


def step(
    row: str, key: tuple[int, str, int], index: int, chance: random.Random, at: str
) -> Iterator[str]:
    """One step and its attempts; `key` is its run, name and occurrence."""
    run, name, occurrence = key
    path = chance.choice(_STEP_PATHS)
    kind = "SLEEP" if name.startswith("sleep") else "TASK"
    if kind == "SLEEP":
        path = (("RUNNING", 0),)
    policy = chance.random() < 0.5
    for position, (status, attempt) in enumerate(path):
        failed = status in ("RETRYING", "FAILED")
        columns: dict[str, str | int | None] = {
            "status": status,
            "attempt": attempt,
            "error": json_text(chance.choice(ERRORS)) if failed else None,
            "next_retry_at": "2030-01-01T00:00:00.000Z" if status == "RETRYING" else None,
            "output": json_text(chance.choice(VALUES)) if status == "COMPLETED" else None,
            "output_kind": "JSON" if status == "COMPLETED" else None,
            "started_at": at if status != "PENDING" else None,
            "completed_at": at if status in ("COMPLETED", "FAILED") else None,
            "updated_at": at,
        }
        if position:
            found = f"run={run} AND name={quoted(name)} AND occurrence={occurrence}"
            yield update("steps", columns, f"WHERE instance={row} AND {found}")
            continue
        if policy:
            columns |= {"retry_limit": 3, "retry_delay": 1500, "retry_backoff": "LINEAR"}
        columns |= {"run": run, "name": name, "occurrence": occurrence}
        columns |= {"step_index": index * 2, "kind": kind}
        names = ",".join(["instance", *columns])
        values = ",".join([row, *map(quoted, columns.values())])
        yield f"INSERT INTO steps ({names}) VALUES ({values})"


def json_text(value: object) -> str:
    """JSON as the API stores it: escaped only if it contains lone surrogates."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if any("\ud800" <= character <= "\udfff" for character in text):
        return json.dumps(value, separators=(",", ":"))
    return text


def quoted(value: str | int | None) -> str:
    """An SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("'", "''") + "'"


def insert(table: str, **columns: str | int | None) -> str:
    """An INSERT of one row."""
    return (
        f"INSERT INTO {table} ({','.join(columns)})"
        f" VALUES ({','.join(map(quoted, columns.values()))})"
    )


def update(table: str, columns: dict[str, str | int | None], where: str) -> str:
    """An UPDATE."""
    return f"UPDATE {table} SET {','.join(f'{c}={quoted(v)}' for c, v in columns.items())} {where}"
