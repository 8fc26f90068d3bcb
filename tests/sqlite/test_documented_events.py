"""Every change of an instance writes the event that docs/transitions.md says."""

from itertools import product

import pytest

from resolvers.base.transitions import INSTANCE_TRANSITIONS, RESTARTABLE
from resolvers.base.vocabulary import InstanceStatus
from scripts.project import ROOT
from tests.support.engines import RecordingEngine
from tests.support.markdown import code, rows, section
from tests.support.writing import Writer

CREATED = "created"
_PAIRS = [
    (str(source), str(target))
    for source, target in product(InstanceStatus, InstanceStatus)
    if source != target and target in INSTANCE_TRANSITIONS[source]
]


def documented(source: str, target: str, *, restarted: bool = False) -> str:
    """The event in the first row of the table that applies."""
    page = (ROOT / "docs" / "transitions.md").read_text(encoding="utf-8")
    table = rows(section(page, "Events of instances"))
    for targets, sources, event in table:
        by_restart = "by `restartWorkflow`" in sources
        fits = target in code(targets) and by_restart == restarted
        from_any = "any" in sources and source != CREATED
        if fits and (from_any or source in sources):
            return code(event)[0]
    raise AssertionError(f"no row for {source} to {target}")


@pytest.mark.parametrize(("source", "target"), _PAIRS)
def test_a_change_writes_the_documented_event(source: str, target: str) -> None:
    writer = Writer()
    writer.create(source)
    before = writer.head()
    writer.update(status=target)
    assert writer.types(before) == [documented(source, target)]


@pytest.mark.parametrize("status", list(InstanceStatus))
def test_a_first_report_writes_the_documented_event(status: InstanceStatus) -> None:
    writer = Writer()
    writer.create(str(status))
    assert writer.types() == [documented(CREATED, status)]


@pytest.mark.parametrize("status", sorted(RESTARTABLE))
def test_a_restart_writes_the_documented_event(status: InstanceStatus) -> None:
    writer = Writer(engine=RecordingEngine("w"))
    writer.create(str(status))
    before = writer.head()
    writer.act("restart")
    event = documented(status, InstanceStatus.QUEUED, restarted=True)
    assert writer.types(before) == [event]
