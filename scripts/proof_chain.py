#!/usr/bin/env python3
# ruff: noqa: S608  # the names of our own tables; nothing comes from outside
"""Verify a log of a million events, and find each of a few changes in it; write down the time.

    python scripts/services.py --postgres -- python -m scripts.proof_chain \\
        [--events 1000000] [--report docs/proof-time.md]

One request lives its life through the real use cases. Its log is then written again and again under
other ids, each event with the hash that it must have, until there are enough; checkpoints over all
of it are made by the server's own code. `manage.py verify` runs as an operator would run it. Then
single rows are changed by SQL past every trigger, and `verify` must name each. Exit code 1 where it
finds what is not there, or does not find what is. TEST_DATABASE_URL names an empty database.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import django

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "proof-time.md"
COMMENTS = 5
AT_A_TIME = 5_000  # logs in one transaction
TEXT = """\
# Proof: {events:,} events verified

Written by `make proof-chain`; the code is `scripts/proof_chain.py`. {workflows:,} logs of
{length} events each ({size:.0f} bytes an event, its snapshot included), {checkpoints} signed
checkpoint(s) over them; PostgreSQL on the same machine, {processors} processors for both.

| what | time | events a second | memory of the process |
| --- | --- | --- | --- |
{times}

Then one row at a time was changed by SQL, past every trigger, and put back:

| change | what `manage.py verify` said |
| --- | --- |
{tampered}
"""


@dataclass(frozen=True)
class Run:
    """One run of `manage.py verify`."""

    seconds: float
    megabytes: float
    found: dict[str, Any]


def main() -> int:
    """Play it and write the report; 0 when everything was found, and nothing else."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--report", type=Path, default=REPORT, help="where to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hitl-proof-") as folder:
        anchors = Path(folder, "checkpoints.jsonl")
        _prepare(anchors)
        began = time.monotonic()
        template = _live()
        length, copies = _multiply(template, options.events)
        made = _cover()
        _say(f"{copies * length:,} events, {made} checkpoints in {time.monotonic() - began:.0f} s")
        runs = {number: _verify(number) for number in (1, os.cpu_count() or 1)}
        for number, run in runs.items():
            _say(f"verified by {number} in {run.seconds:.0f} s")
        is_good = all(run.found["ok"] and not run.found["uncovered"] for run in runs.values())
        tampered = [_tamper(*change) for change in _changes()]
        options.report.write_text(
            TEXT.format(
                events=runs[1].found["events"],
                workflows=runs[1].found["workflows"],
                length=length,
                size=_size(),
                checkpoints=made,
                processors=os.cpu_count(),
                times="\n".join(_time_row(number, run) for number, run in runs.items()),
                tampered="\n".join(f"| {title} | {says} |" for title, says, _ in tampered),
            )
        )
    print(options.report.read_text())
    is_enough = runs[1].found["events"] >= options.events
    return int(not (is_good and is_enough and all(is_found for _, _, is_found in tampered)))


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def _prepare(anchors: Path) -> None:
    """Point this process and its children at the database; make the tables."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "hitl.settings",
        "DATABASE_URL": os.environ["TEST_DATABASE_URL"],
        "REDIS_URL": "redis://127.0.0.1:1/0",  # nobody there: nobody has to be told
        "PUBLIC_URL": "https://approvals.example.com",
        "ALLOWED_HOSTS": "approvals.example.com",
        "SECRET_KEY": "secret-key-of-the-proof-0123456789abcdef-0123456789",
        "JWT_SECRET": "jwt-secret-of-the-proof-0123456789abcdef",
        "SIGNING_KEYS": "hitl_sk_c2lnbmluZy1rZXktb2YtdGhlLXByb29mLTAxMjM0NTY",
        "CHECKPOINT_FILE": str(anchors),
        "LOG_LEVEL": "ERROR",
    }
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _live() -> UUID:
    """One request from its creation to its result, through the real use cases."""
    from hitl.accounts.models import Agent, Membership, Role, Team, User
    from workflows import conversation, deciding, executions, services
    from workflows.inputs import NewWorkflow
    from workflows.models import Verdict

    team = Team.objects.create(name="Proof", slug="proof")
    person = User.objects.create_user("ann@example.com", name="Ann")
    Membership.objects.create(team=team, user=person, role=Role.APPROVER)
    agent = Agent.objects.create(team=team, name="refund-bot")
    data = {"amount": 4200, "currency": "EUR", "customer": "C-1077", "reason": "Double charge"}
    made = services.create(agent, NewWorkflow("payments.refund", data))
    services.mark_viewed(made.pk, user=person, source="dashboard")
    for turn in range(COMMENTS):
        text = f"Look {turn + 1}: the customer has been charged twice."
        conversation.comment(made.pk, user=person, text=text, source="dashboard")
    deciding.decide(
        made.pk,
        user=person,
        verdict=Verdict.APPROVED,
        fingerprint=made.fingerprint,
        source="dashboard",
    )
    executions.start(made.pk, agent=agent)
    executions.complete(made.pk, agent=agent, attempt=1, result={"refund": "R-2201"})
    return UUID(str(made.pk))


def _multiply(template: UUID, events: int) -> tuple[int, int]:
    """Write the log anew under other ids until there are so many events; its length, and how many
    of it there are."""
    from events.proof import rows

    log = list(rows.events(rows.Part.of(template)))
    copies = -(-events // len(log))
    rest = copies - 1
    while rest:
        _copy(str(template), log, min(rest, AT_A_TIME))
        rest -= min(rest, AT_A_TIME)
    return len(log), copies


def _copy(template: str, log: list[Any], number: int) -> None:
    """So many copies in one transaction, each event with its own hash."""
    from django.db import transaction

    from events.proof.chain import digest
    from hitl.lib.models import uuid7

    with _superuser() as cursor, transaction.atomic():
        cursor.execute("SELECT hitl_feed_now()")
        xid = cursor.fetchone()[0]
        ids = [str(uuid7()) for _ in range(number)]
        heads = []
        columns = (
            "workflow_id, team_id, seq, round, type, status, data, actor, source, state_snapshot,"
            " timestamp, previous_hash, hash, xid"
        )
        with cursor.cursor.copy(f"COPY events_event ({columns}) FROM STDIN") as copy:
            for workflow_id in ids:
                previous = ""
                for event in log:
                    texts = (event.data, event.state_snapshot)
                    data, snapshot = (text.replace(template, workflow_id) for text in texts)
                    new = event._replace(
                        workflow_id=workflow_id, data=data, state_snapshot=snapshot,
                        previous_hash=previous,
                    )  # fmt: skip
                    previous = digest(new)
                    copy.write_row((
                        workflow_id, new.team_id, new.seq, new.round, new.type, new.status,
                        data, new.actor, new.source, snapshot, new.timestamp, new.previous_hash,
                        previous, xid,
                    ))  # fmt: skip
                heads.append((workflow_id, previous))
        cursor.execute("CREATE TEMPORARY TABLE head (id uuid, hash text) ON COMMIT DROP")
        with cursor.cursor.copy("COPY head FROM STDIN") as copy:
            for head in heads:
                copy.write_row(head)
        for table, key, changed in (
            ("workflows_workflow", "id", {"id": "head.id"}),
            (
                "events_eventstream",
                "workflow_id",
                {"workflow_id": "head.id", "head_hash": "head.hash", "last_xid": str(xid)},
            ),
        ):
            cursor.execute(_like(cursor, table, key, changed), [template])


def _like(cursor: Any, table: str, key: str, changed: dict[str, str]) -> str:
    """Rows like the template's, one for each of the heads."""
    cursor.execute(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_name = %s AND is_generated = 'NEVER'",
        [table],
    )
    names = [row[0] for row in cursor.fetchall()]
    values = [changed.get(name, f"old.{name}") for name in names]
    return (
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)}"
        f" FROM {table} AS old CROSS JOIN head WHERE old.{key} = %s"
    )


def _cover() -> int:
    """Checkpoints over everything; how many it took."""
    from django.db import connection

    from events.proof import checkpoints

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    made = 0
    while checkpoints.make():
        made += 1
    return made


def _verify(processes: int) -> Run:
    """As an operator does it: a process of its own."""
    began = time.monotonic()
    command = [sys.executable, "manage.py", "verify", "--json", "--processes", str(processes)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    if process.stdout is None:
        raise RuntimeError("verify has no voice")
    said = process.stdout.read()
    _, _, used = os.wait4(process.pid, 0)
    megabytes = used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Run(time.monotonic() - began, megabytes, json.loads(said))


def _changes() -> list[tuple[str, str, str, str, str]]:
    """What is done to the log: a title, the table and how its row is found, what is done, and the
    place that must be named."""
    middle = "(SELECT workflow_id FROM events_eventstream ORDER BY workflow_id OFFSET {} LIMIT 1)"
    from events.models import EventStream

    count = EventStream.objects.count()
    somewhere = [middle.format(count * part // 4) for part in (1, 2, 3)]
    event = "events_event"
    return [
        (
            "one letter of a comment",
            event,
            f"workflow_id = {somewhere[0]} AND seq = 4",
            "UPDATE events_event SET data = replace(data, 'customer', 'Customer') WHERE {}",
            "4",
        ),
        (
            "an event removed",
            event,
            f"workflow_id = {somewhere[1]} AND seq = 5",
            "DELETE FROM events_event WHERE {}",
            "5",
        ),
        (
            "a time moved by a millisecond",
            event,
            f"workflow_id = {somewhere[2]} AND seq = 8",
            "UPDATE events_event SET timestamp = timestamp + interval '1 millisecond' WHERE {}",
            "8",
        ),
        (
            "the hash of a checkpoint",
            "events_checkpoint",
            "number = (SELECT (max(number) + 1) / 2 FROM events_checkpoint)",
            "UPDATE events_checkpoint SET hash = reverse(hash) WHERE {}",
            "",
        ),
    ]


def _tamper(title: str, table: str, where: str, statement: str, seq: str) -> tuple[str, str, bool]:
    """Change one row, verify, put it back; what was said, and whether it was right."""
    with _superuser() as cursor:
        # Found once: the change itself may make another row answer to the description.
        cursor.execute(f"CREATE TABLE kept AS SELECT * FROM {table} WHERE {where}")
        key = "number" if table == "events_checkpoint" else "id"
        cursor.execute(f"SELECT {key} FROM kept")
        [(row_id,)] = cursor.fetchall()
        cursor.execute(statement.format(f"{key} = {row_id}"))
        if cursor.rowcount != 1:
            raise RuntimeError(f"{title}: {cursor.rowcount} rows were changed")
    found = _verify(os.cpu_count() or 1).found
    with _superuser() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE {key} = {row_id}")
        cursor.execute(f"INSERT INTO {table} SELECT * FROM kept; DROP TABLE kept")
    first = found["first"] or {}
    says = " ".join(each["says"] for each in found["findings"][:2])
    named = str(first.get("seq")) if seq else str(first.get("checkpoint"))
    is_found = not found["ok"] and named == (seq or str(row_id))
    return title, f"{says or 'nothing'}", is_found


@contextmanager
def _superuser() -> Iterator[Any]:
    """A cursor that no trigger and no foreign key stops."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        try:
            yield cursor
        finally:
            cursor.execute("SET session_replication_role = DEFAULT")


def _size() -> float:
    """Bytes of an event as it is hashed, on average."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT avg(octet_length(data) + octet_length(actor) + octet_length(state_snapshot)"
            " + octet_length(hash) + octet_length(previous_hash)) FROM"
            " (SELECT * FROM events_event LIMIT 1000) AS sample"
        )
        return float(cursor.fetchone()[0])


def _time_row(processes: int, run: Run) -> str:
    what = f"`manage.py verify --processes {processes}`"
    rate = run.found["events"] / run.seconds
    return f"| {what} | {run.seconds:.0f} s | {rate:,.0f} | {run.megabytes:.0f} MB |"


if __name__ == "__main__":
    sys.exit(main())
