"""Verifies the whole log, or a part of it: one consistent look at the database, changing nothing.

Workflows are taken in parts of some thousand events; several processes share the parts and, on
PostgreSQL, the very same view of the database, so running traffic causes no false alarm.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import django
from django.db import connection

from events.proof import rows
from events.proof.chain_of_checkpoints import Checkpoints
from events.proof.findings import Found
from events.proof.rows import Part
from events.proof.streams import Log, Memory, Standing, Timeline

PART = 10_000  # events
WORTH_A_PROCESS = 4  # parts

# How the rows of workflows stand, by id; a function of a module, so that processes can be told.
Standings = Callable[[str | None, str | None], Mapping[str, Standing]]


@dataclass(frozen=True)
class Task:
    """Part of the work, for whichever process takes it."""

    part: Part
    timeline: Timeline
    standings: Standings | None


def verify(
    *,
    part: Part | None = None,
    anchors: Path | None = None,
    standings: Standings | None = None,
    processes: int | None = None,
) -> Found:
    """Everything that is not as it was written. Raises OSError where `anchors` cannot be read."""
    found = Found()
    with rows.snapshot() as shared:
        known = Checkpoints(found)
        known.look(part or Part())
        if anchors is not None:
            known.compare(anchors)
        parts = [part] if part else rows.parts(PART)
        timeline = known.timeline()
        for each in _each([Task(each, timeline, standings) for each in parts], shared, processes):
            found.join(each)
    return found


def _each(tasks: list[Task], shared: str, processes: int | None) -> Iterator[Found]:
    count = processes or min(os.cpu_count() or 1, len(tasks) // WORTH_A_PROCESS, 8)
    if count < 2 or not shared:
        yield from map(look, tasks)
        return
    there = partial(_look_there, str(connection.settings_dict["NAME"]), shared)
    spawned = multiprocessing.get_context("spawn")  # a fork would share the connection
    with ProcessPoolExecutor(count, spawned, initializer=django.setup) as pool:
        yield from pool.map(there, tasks)


_view = ExitStack()  # of a process that was started to help


def _look_there(database: str, shared: str, task: Task) -> Found:
    """In another process: see what the first one sees, until the process ends."""
    if connection.settings_dict["NAME"] != database:
        connection.settings_dict["NAME"] = database
    if connection.connection is None:
        _view.enter_context(rows.snapshot(shared))
    return look(task)


def look(task: Task) -> Found:
    """Verify the workflows of one part."""
    found, part = Found(), task.part
    streams, claims = rows.streams(part), rows.claims(part)
    standings = task.standings(part.first, part.end) if task.standings and not part.since else {}
    standings = dict(standings)
    is_known = task.standings is not None and not part.since

    def remembered(workflow_id: str) -> Memory:
        return Memory(
            streams.pop(workflow_id, None),
            claims.pop(workflow_id, ()),
            standings.pop(workflow_id, None),
            is_known,
            task.timeline,
        )

    for workflow_id, events in groupby(rows.events(part), key=attrgetter("workflow_id")):
        _take(found, Log(workflow_id, events, remembered(workflow_id)))
    for workflow_id in sorted({*streams, *claims, *standings}):
        _take(found, Log(workflow_id, (), remembered(workflow_id)))
    return found


def _take(found: Found, log: Log) -> None:
    for finding in log.findings():
        found.add(finding)
    found.workflows += 1
    found.events += log.events
    found.uncovered += log.uncovered
