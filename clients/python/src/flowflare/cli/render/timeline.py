"""The output of `get`: an instance's fields, its steps as bars over time, and failed attempts,
of the current run or of an earlier one."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.text import Text

from flowflare.cli.render.bars import Axis, Cell, Stretch
from flowflare.cli.render.output import STATUS_STYLES, status_text
from flowflare.cli.render.tables import plain_table, reference_text
from flowflare.cli.render.text import ago, compact, error_text, local, plain, span, step_text
from flowflare.cli.vocabulary import is_unbound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from flowflare.cli.render.output import Output
    from flowflare.client import (
        GetRunsInstance,
        GetRunsInstanceRuns,
        InstanceKey,
        StepAttempt,
        WorkflowError,
        WorkflowInstance,
        WorkflowStep,
    )

    Fact = tuple[str, Text]
    Run = WorkflowInstance | GetRunsInstanceRuns
    """An instance stands for its current run."""

_FOLLOWING = {
    "FOLLOWED": "its history in the engine",
    "BEHIND": "behind: its history cannot be read at present",
}
_BAR_FROM_WIDTH = 60
_LONGEST_BAR = 60
_OTHER_COLUMNS = 46
"""Approximate width of the columns name, status, tries and duration."""


def show_instance(output: Output, instance: WorkflowInstance, *, stacks: bool = False) -> None:
    """Print an instance and its steps."""
    now = datetime.now(UTC)
    _show_head(output, instance, instance, _facts(instance, now), stacks=stacks)
    _show_steps(output, instance, now, stacks=stacks)


def show_run(output: Output, instance: GetRunsInstance, *, stacks: bool = False) -> None:
    """Print the one run that was read of an instance, and its steps."""
    now = datetime.now(UTC)
    [run] = instance.runs
    facts = [
        *_identity(instance),
        ("run", Text(f"{run.number} of {instance.run}")),
        *_times(run, now),
        *_output(run),
    ]
    _show_head(output, instance, run, facts, stacks=stacks)
    _show_steps(output, run, now, stacks=stacks)


def _show_head(
    output: Output, instance: InstanceKey, run: Run, facts: Iterable[Fact], *, stacks: bool
) -> None:
    """Print the id, the facts, and the error of the run."""
    title = Text.assemble((plain(instance.instance_id), "bold"), "  ")
    title.append_text(status_text(run.status.value))
    output.show(title)
    for label, value in facts:
        line = Text.assemble((f"{label:<10}", "dim"), value)
        line.truncate(output.console.width, overflow="ellipsis")
        output.show(line)
    if run.error is not None:
        output.show(Text(f"{'error':<10}{error_text(run.error)}", style="red"))
        if stacks:
            _show_whole(output, run.error, indent=10)


def _facts(instance: WorkflowInstance, now: datetime) -> Iterator[Fact]:
    yield from _identity(instance)
    if is_unbound(instance):
        yield "unbound", Text("no Workflow is bound, so it waits for reports of what runs it")
    if instance.following in _FOLLOWING:
        yield "following", Text(_FOLLOWING[instance.following])
    if instance.run > 1:
        earlier = "1" if instance.run == 2 else f"1 to {instance.run - 1}"
        yield "run", Text.assemble(str(instance.run), (f"  earlier ones: --run {earlier}", "dim"))
    yield "created", _moment(instance.created_at, now)
    yield from _times(instance, now)
    if instance.sleep_until is not None:
        yield "sleeps to", _moment(instance.sleep_until, now)
    yield from _data(input=instance.input)
    yield from _output(instance)
    yield from _data(metadata=instance.metadata)


def _identity(instance: InstanceKey) -> Iterator[Fact]:
    yield "workflow", Text(plain(instance.workflow.name))
    if instance.reference is not None:
        yield "reference", Text(plain(reference_text(instance)))


def _times(run: Run, now: datetime) -> Iterator[Fact]:
    if run.started_at is not None:
        yield "started", _moment(run.started_at, now)
    if run.completed_at is not None:
        yield "ended", _moment(run.completed_at, now)
    if run.duration is not None:
        yield "took", Text(span(run.duration))


def _data(**values: Any) -> Iterator[Fact]:
    for label, value in values.items():
        if value is not None:
            yield label, Text(plain(compact(value)))


def _output(run: Run) -> Iterator[Fact]:
    """The output, preceded by its kind unless it is the result itself."""
    kind = run.output_kind
    if kind is None:
        return
    if kind == "JSON":
        yield "output", Text(plain(compact(run.output)))
        return
    line = Text(f"({kind.lower()})", style="dim")
    if run.output is not None:
        line.append(f" {plain(compact(run.output))}", style="not dim")
    yield "output", line


def _moment(instant: datetime, now: datetime) -> Text:
    return Text.assemble(local(instant), (f"  {ago(instant, now)}", "dim"))


def _show_steps(output: Output, run: Run, now: datetime, *, stacks: bool) -> None:
    if not run.steps:
        return
    output.show(Text())
    axis = axis_of(run, now)
    bar_width = min(max(output.console.width - _OTHER_COLUMNS, 0), _LONGEST_BAR)
    has_bars = output.console.width >= _BAR_FROM_WIDTH and axis is not None
    table = plain_table()
    table.add_column("Step", no_wrap=True, overflow="ellipsis")
    table.add_column("Status", no_wrap=True, min_width=9)
    table.add_column("Tries", justify="right", no_wrap=True, min_width=5)
    table.add_column("Took", justify="right", no_wrap=True, min_width=5)
    if has_bars and axis is not None:
        table.add_column(_scale(axis, bar_width), no_wrap=True, width=bar_width)
    for step in run.steps:
        cells: list[RenderableType] = [
            Text(_label(step)),
            status_text(step.status.value),
            str(step.attempt_count) if step.attempt_count else "",
            span(step.duration) if step.duration is not None else "",
        ]
        if has_bars and axis is not None:
            stretches = stretches_of(step, axis.end)
            cells.append(_bar(axis.bar(stretches, bar_width), ascii_only=output.ascii_only))
        table.add_row(*cells)
    output.show(table)
    _show_failures(output, run.steps, now, stacks=stacks)


def _label(step: WorkflowStep) -> str:
    """A step by its index and name."""
    return f"{step.index} {plain(step_text(step))}"


def axis_of(run: Run, now: datetime) -> Axis | None:
    """The axis from the first start to the end of the run, or to now if it has not ended."""
    begun = [step.started_at for step in run.steps if step.started_at is not None]
    if not begun:
        return None
    known = [*begun, *(step.completed_at for step in run.steps if step.completed_at)]
    known += [a.ended_at for step in run.steps for a in step.attempts if a.ended_at]
    known.append(run.completed_at if run.completed_at is not None else now)
    start = min([*begun, run.started_at] if run.started_at else begun)
    return Axis(start, max(known))


def stretches_of(step: WorkflowStep, until: datetime) -> Iterator[Stretch]:
    """The parts of a step's bar; a part that has not ended reaches to `until`."""
    if step.started_at is None:
        return
    end = step.completed_at or until
    if not step.attempts:
        yield Stretch(step.started_at, end, _PAUSE_CELLS.get(step.status, Cell.SLEEP))
        return
    # The step waits between two attempts.
    yield Stretch(step.started_at, end, Cell.WAIT)
    for attempt in step.attempts:
        if attempt.started_at is not None:
            yield Stretch(
                attempt.started_at, attempt.ended_at or end, _ATTEMPT_CELLS[attempt.status]
            )


_PAUSE_CELLS = {"FAILED": Cell.FAILED, "CANCELLED": Cell.CANCELLED}
_ATTEMPT_CELLS = {
    "RUNNING": Cell.RUNNING,
    "COMPLETED": Cell.DONE,
    "FAILED": Cell.FAILED,
    "CANCELLED": Cell.CANCELLED,
}


def _bar(cells: list[Cell], *, ascii_only: bool) -> Text:
    bar = Text()
    for cell, run in groupby(cells):
        bar.append(cell.character(ascii_only=ascii_only) * len(list(run)), style=cell.style)
    return bar


def _scale(axis: Axis, width: int) -> Text:
    """The heading of the bars: 0 at the left, the whole length at the right."""
    length = span(axis.length)
    return Text(f"0{length:>{max(width - 1, 1)}}", style="dim")


def _show_failures(
    output: Output, steps: Sequence[WorkflowStep], now: datetime, *, stacks: bool
) -> None:
    """Print the failed attempts of each step, and the time of the next one."""
    for step in steps:
        failed = [attempt for attempt in step.attempts if attempt.error is not None]
        error = step.error if step.status == "FAILED" and not failed else None
        if not failed and error is None:
            continue
        output.show(Text())
        head = Text.assemble((_label(step), "bold"))
        if step.retry_policy is not None:
            policy = step.retry_policy
            head.append(
                f"  at most {policy.limit + 1} tries, {policy.backoff.lower()} delay"
                f" of {span(policy.delay)}",
                style="dim",
            )
        output.show(head)
        for attempt in failed:
            was_last = step.status == "CANCELLED" and attempt.number == step.attempt_count
            output.show(_failure(attempt, now, was_last=was_last))
            if stacks and attempt.error is not None:
                _show_whole(output, attempt.error, indent=4)
        if error is not None:
            output.show(Text(f"  {error_text(error)}", style="red"))
        if step.next_retry_at is not None and step.status == "RETRYING":
            due = ago(step.next_retry_at, now)
            output.show(Text(f"  next try {due}", style=STATUS_STYLES["RETRYING"]))


def _failure(attempt: StepAttempt, now: datetime, *, was_last: bool) -> Text:
    assert attempt.error is not None
    line = Text.assemble((f"  try {attempt.number}  ", "dim"))
    line.append(error_text(attempt.error), style="red")
    if attempt.ended_at is not None:
        line.append(f"  {ago(attempt.ended_at, now)}", style="dim")
    if attempt.ended_at is not None and attempt.retry_at is not None and not was_last:
        wait = attempt.retry_at - attempt.ended_at
        line.append(f", tried again after {span(wait)}", style="dim")
    return line


def _show_whole(output: Output, error: WorkflowError, *, indent: int) -> None:
    """Print the rest of an error: a message of several lines in full, and the stack."""
    message = error.message.splitlines() if "\n" in error.message else []
    for line in (*message, *(error.stack or "").splitlines()):
        output.show(Text(" " * indent + plain(line), style="dim"))
