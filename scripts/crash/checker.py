"""Judges from the outside: plain SQL, the ledgers of the stand-ins, and what clients were told.

Imports nothing of the project. Every sentence it gives is a broken promise; none means that all of
them held.
"""

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

LEGAL = {
    "PENDING>APPROVED", "PENDING>REJECTED", "PENDING>TIMEOUT", "PENDING>CANCELLED",
    "APPROVED>EXECUTING", "EXECUTING>COMPLETED", "EXECUTING>FAILED", "EXECUTING>UNKNOWN",
    "UNKNOWN>COMPLETED", "UNKNOWN>FAILED",
}  # fmt: skip
BACK = {
    "APPROVED>PENDING", "REJECTED>PENDING", "TIMEOUT>PENDING", "FAILED>PENDING", "FAILED>APPROVED",
}  # fmt: skip
UNDECIDED = ("PENDING", "TIMEOUT", "CANCELLED")
NEVER_TWICE = "redis"
TOLD_APART = ("approval.sent.", "delivery.")
Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What is known of one run besides the database.

    What clients were told, how it may end, what was hit, and how long it took to come to rest.
    """

    told: list[Row]
    facts: Row
    ends: tuple[str, ...]
    target: str
    rounds: int | None


class Ledgers:
    """The stand-ins' files, read on from where the last look ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, int] = Counter()
        self.lines: dict[str, list[Row]] = {"act": [], "hook": [], "mail": []}

    def refresh(self) -> None:
        """Read what was written since."""
        for name, lines in self.lines.items():
            with (self._folder / name).open() as file:
                file.seek(self._read[name])
                lines.extend(map(json.loads, file))
                self._read[name] = file.tell()


def judge(database: str, ledgers: Ledgers, run: Run) -> list[str]:
    """Everything that is wrong after a run, a sentence each."""
    ledgers.refresh()
    with psycopg.connect(database, row_factory=dict_row, autocommit=True) as connection:
        facts = _Facts(connection, ledgers, run)
        return [sentence for check in CHECKS for sentence in check(facts)]


class _Facts:
    """One request with everything that belongs to it."""

    def __init__(self, connection: Any, ledgers: Ledgers, run: Run) -> None:
        self.run, self._connection = run, connection
        self.keyed = self.rows(
            "SELECT workflow_id::text AS id FROM workflows_idempotencykey WHERE key = %s",
            run.facts.get("key", ""),
        )
        known = [each["id"] for each in self.keyed] or [run.facts.get("workflow")]
        self.id = known[0]
        self.workflow = (self.rows("SELECT * FROM workflows_workflow WHERE id = %s", self.id) or [
            {}
        ])[0]  # fmt: skip
        self.events = self._of("events_event", "seq")
        self.decisions = self._of("workflows_decision", "seq")
        self.attempts = self._of("workflows_executionattempt", "number")
        self.deliveries = self._of("deliveries_delivery", "created_at")
        self.steps = self._of("workflows_firedstep", "fired_at")
        self.stream = self._of("events_eventstream", "workflow_id")
        self.hooks = self.rows(
            "SELECT m.*, e.id AS event FROM events_event e LEFT JOIN events_webhookmessage m"
            " ON m.event_id = e.id WHERE e.workflow_id = %s",
            self.id,
        )
        self.acts = [each for each in ledgers.lines["act"] if each["workflow"] == self.id]
        self.posted = Counter((each["id"], each["digest"]) for each in ledgers.lines["hook"])
        self.mails = Counter(each["key"] for each in ledgers.lines["mail"])

    def rows(self, query: str, *values: Any) -> list[Row]:
        found: list[Row] = self._connection.execute(query, values).fetchall()
        return found

    def _of(self, table: str, order: str) -> list[Row]:
        query = f"SELECT * FROM {table} WHERE workflow_id = %s ORDER BY {order}"  # noqa: S608
        return self.rows(query, self.id)


# --- The promises ---------------------------------------------------------------------------------


def _nothing_acknowledged_is_lost(facts: _Facts) -> Iterator[str]:
    for told in facts.run.told:
        row = facts.workflow
        if not row or str(row["id"]) != told["workflow"]:
            yield f"lost: the client was told of {told['did']}, and {told['workflow']} is not there"
        elif told["did"] == "decide":
            kept = [each for each in facts.decisions if str(each["id"]) == told["decision"]]
            if [each["verdict"] for each in kept] != [told["verdict"]]:
                yield f"lost: the decision {told['verdict']} that the client was told of"
        elif told["did"] == "roll back" and row["round"] < told["round"]:
            yield "lost: the rollback that the client was told of"
        elif told["did"] == "start" and not facts.attempts:
            yield "lost: the attempt that the agent was told to make"
        elif "status" in told and row["status"] != told["status"]:
            yield f"lost: the client was told {told['status']}, and it is {row['status']}"


def _created_once(facts: _Facts) -> Iterator[str]:
    if "key" not in facts.run.facts:
        return
    made = facts.rows(
        "SELECT count(*) AS made FROM workflows_workflow w WHERE NOT EXISTS"
        " (SELECT 1 FROM events_event e WHERE e.workflow_id = w.id)"
    )[0]["made"]
    if len(facts.keyed) != 1 or made:
        yield f"{len(facts.keyed)} requests for one Idempotency-Key, {made} without an event"


def _decided_once(facts: _Facts) -> Iterator[str]:
    effective = [each for each in facts.decisions if each["is_effective"]]
    rounds = [each["round"] for each in effective]
    if len(set(rounds)) < len(rounds):
        yield f"decided twice: {rounds}"
    row = facts.workflow
    here = [each["verdict"] for each in effective if each["round"] == row["asked_round"]]
    wanted = [] if row["status"] in UNDECIDED else [row["status"] == "REJECTED"]
    if [verdict == "rejected" for verdict in here] != wanted:
        yield f"{row['status']} with the decisions {here}"
    seqs = {each["seq"] for each in facts.events}
    if any(each["seq"] not in seqs for each in facts.decisions):
        yield "a decision without its event"


def _executed_once(facts: _Facts) -> Iterator[str]:
    row, acts = facts.workflow, facts.acts
    by_key = Counter(each["key"] for each in acts)
    plan = json.loads(row["execution_plan"])
    if plan["semantics"] == "at_most_once" and max(by_key.values(), default=0) > 1:
        yield f"executed twice: {dict(by_key)}"
    if len(by_key) > row["round"]:
        yield f"executed under {len(by_key)} keys in {row['round']} rounds"
    digests = {f"sha256:{each['digest']}" for each in acts}
    if not digests <= {row["fingerprint"], row["response_fingerprint"]}:
        yield "other bytes were executed than those approved"
    if acts and row["status"] not in ("EXECUTING", "COMPLETED", "FAILED", "UNKNOWN"):
        yield f"executed, but {row['status']}"
    succeeded = sum(each["status"] == "succeeded" for each in facts.attempts)
    if row["status"] == "COMPLETED" and (succeeded != 1 or (plan["by"] == "http" and not acts)):
        yield f"COMPLETED with {succeeded} attempts that succeeded and {len(acts)} calls"


def _log_is_gapless(facts: _Facts) -> Iterator[str]:
    seqs = [each["seq"] for each in facts.events]
    if seqs != list(range(1, len(seqs) + 1)):
        yield f"the log has gaps: {seqs}"
    previous: Row = {"hash": "", "status": "", "round": 1, "timestamp": None}
    for event in facts.events:
        if event["previous_hash"] != previous["hash"] or event["hash"] != _digest(event):
            yield f"the chain breaks at event {event['seq']}"
        if previous["timestamp"] and event["timestamp"] < previous["timestamp"]:
            yield f"time runs backwards at event {event['seq']}"
        yield from _moved(previous, event)
        previous = event
    head = [(each["last_seq"], each["head_hash"]) for each in facts.stream]
    if head != [(len(seqs), previous["hash"])]:
        yield "the head of the log is not its last event"


def _moved(before: Row, after: Row) -> Iterator[str]:
    move = f"{before['status']}>{after['status']}"
    if before["status"] in ("", after["status"]) and after["round"] == before["round"]:
        return
    if move not in (LEGAL if after["round"] == before["round"] else BACK):
        yield f"moved {move}"


def _digest(event: Row) -> str:
    """The hash that the documentation describes, made anew from the columns."""

    def text(value: Any) -> str:
        return json.dumps(str(value), ensure_ascii=False)

    moment = event["timestamp"].astimezone(dt.UTC).isoformat(timespec="microseconds")
    parts = {
        "actor": event["actor"],
        "data": event["data"],
        "previousHash": text(event["previous_hash"]),
        "round": str(event["round"]),
        "seq": str(event["seq"]),
        "source": text(event["source"]),
        "stateSnapshot": event["state_snapshot"],
        "status": text(event["status"]),
        "teamId": text(event["team_id"]),
        "timestamp": text(moment),
        "type": text(event["type"]),
        "workflowId": text(event["workflow_id"]),
    }
    content = "{" + ",".join(f'"{name}":{value}' for name, value in sorted(parts.items())) + "}"
    return hashlib.sha256(content.encode()).hexdigest()


def _row_is_last_event(facts: _Facts) -> Iterator[str]:
    row = facts.workflow
    if not facts.events:
        yield "no event"
        return
    last = facts.events[-1]
    state = json.loads(last["state_snapshot"])
    columns = {
        "status": "status", "round": "round", "askedRound": "asked_round", "stage": "stage",
        "wave": "wave", "fingerprint": "fingerprint", "feedback": "feedback",
        "timeoutAction": "timeout_action", "name": "name",
    }  # fmt: skip
    wrong = [name for name, column in columns.items() if state[name] != row[column]]
    wrong += [] if (state["decision"] or "") == row["decision"] else ["decision"]
    for name, column in (("actionData", "action_data"), ("result", "result"), ("error", "error")):
        if state[name] != (json.loads(row[column]) if row[column] else None):
            wrong.append(name)
    # What became of a message is told by events alone: they leave the row as it is.
    later = [each["type"] for each in facts.events if each["seq"] > row["event_seq"]]
    apart = [each for each in later if not each.startswith(TOLD_APART)]
    if wrong or apart or row["event_seq"] > last["seq"]:
        yield f"the row is not what its last event says: {wrong or apart}"


def _everybody_was_told(facts: _Facts) -> Iterator[str]:
    for each in facts.deliveries:
        key, copies = str(each["id"]), facts.mails[str(each["id"])]
        if each["status"] in ("sent", "delivered") and not copies:
            yield f"message {key} is {each['status']}, and nobody has it"
        if each["status"] == "failed":
            yield f"message {key} failed: {each['last_error']}"
        if copies > 1 and facts.run.target.startswith(NEVER_TWICE):
            yield f"message {key} was sent {copies} times though nobody died"
    for each in facts.hooks:
        if each["id"] is None:
            yield f"no webhook for event {each['event']}"
            continue
        digest = hashlib.sha256(each["body"].encode()).hexdigest()
        if each["status"] != "delivered" or not facts.posted[(f"msg_{each['id'].hex}", digest)]:
            yield f"webhook {each['id']} is {each['status']} and was not received"


def _escalated_once(facts: _Facts) -> Iterator[str]:
    wanted = facts.run.facts.get("steps", 0)
    told = sum(each["type"] == "workflow.escalated" for each in facts.events)
    if (len(facts.steps), told) != (wanted, wanted):
        yield f"{len(facts.steps)} steps and {told} events instead of {wanted}"


def _calm_at_last(facts: _Facts) -> Iterator[str]:
    if facts.run.rounds is None:
        yield "it never came to rest"
    row = facts.workflow
    if row["execution_due_at"] is not None or row["status"] not in facts.run.ends:
        yield f"it ends as {row['status']}, not as {facts.run.ends}"


CHECKS = (
    _nothing_acknowledged_is_lost,
    _created_once,
    _decided_once,
    _executed_once,
    _log_is_gapless,
    _row_is_last_event,
    _everybody_was_told,
    _escalated_once,
    _calm_at_last,
)
