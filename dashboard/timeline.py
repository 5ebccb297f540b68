"""Events as people read them: who did what, through which door. Names come from the log itself."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from events.models import Event
from events.types import EventType
from workflows.models import TimeoutAction, Verdict, doors
from workflows.rollback import Way

# What somebody found out about a request after a backup was restored.
FOUND = {
    "executed": "found that it had been carried out",
    "not_executed": "found that it had not been carried out",
    "as_recorded": "found that nothing had happened since the backup",
}
Says = tuple[str, str, str, str]  # tone, icon, sentence, quoted words

DOORS = dict(doors())
VERDICTS = {
    Verdict.APPROVED: ("ok", "check", "approved"),
    Verdict.MODIFIED: ("ok", "edit", "approved with edits"),
    Verdict.REJECTED: ("danger", "x", "rejected"),
}


SPEAKERS: dict[str, str] = {
    EventType.HUMAN_COMMENTED: "person",
    EventType.HUMAN_ASKED: "person",
    EventType.AGENT_ANSWERED: "agent",
}


@dataclass(frozen=True)
class Entry:
    """One line of the timeline. `text` and `quote` may be an agent's words: show them honestly."""

    seq: int
    tone: str
    icon: str
    text: str
    quote: str
    source: str
    door: str
    when: dt.datetime
    type: str
    data: Any

    @property
    def said(self) -> str:
        """Who speaks, where it is a part of the conversation: `person` or `agent`."""
        return SPEAKERS.get(self.type, "")


def entries(events: Iterable[Event]) -> list[Entry]:
    """The timeline of one request, in order."""
    return [_entry(event) for event in events]


def _entry(event: Event) -> Entry:
    tone, icon, text, quote = _says(event)
    return Entry(
        seq=event.seq,
        tone=tone,
        icon=icon,
        text=text,
        quote=quote,
        source=event.source,
        door=DOORS.get(event.source, event.source),
        when=event.timestamp,
        type=event.type,
        data=event.data,
    )


def _says(event: Event) -> Says:
    who, data = event.actor.get("name", ""), event.data
    match event.type:
        case EventType.WORKFLOW_CREATED:
            return "info", "robot", f"{who} asked for approval", ""
        case EventType.HUMAN_VIEWED if data.get("certain", True):
            return "muted", "eye", f"{who} opened the request", ""
        case EventType.HUMAN_VIEWED:
            return "muted", "eye", f"The link sent to {who} was opened", ""
        case EventType.HUMAN_RESPONDED:
            return _answer(who, data)
        case EventType.HUMAN_REFUSED:
            return "warn", "ban", f"An answer by {who} was refused", str(data.get("reason", ""))
        case EventType.DELIVERY_FAILED:
            failed = f"Could not reach {data.get('recipient', '')}"
            return "danger", "alert-circle", failed, str(data.get("error", ""))
        case EventType.DELIVERY_UNDELIVERABLE:
            return "danger", "alert-triangle", "Nobody could be reached", str(data.get("error", ""))
        case EventType.WORKFLOW_CANCELLED:
            return "muted", "ban", f"{who} withdrew the request", str(data.get("reason", ""))
        case EventType.HUMAN_WITHDREW:
            return (
                "warn",
                "rotate",
                f"{who} took an answer back",
                str(data.get("reason", "")),
            )
        case EventType.HUMAN_COMMENTED:
            return "muted", "message", f"{who} said", str(data.get("text", ""))
        case EventType.HUMAN_ASKED:
            return "info", "help-circle", f"{who} asked the agent", str(data.get("text", ""))
        case EventType.AGENT_ANSWERED:
            asked = f"{who} answered “{data.get('question', '')}”"
            return "info", "robot", asked, str(data.get("text", ""))
        case type_ if type_.startswith("approval.sent."):
            return "info", "send", f"Asked {data.get('recipient', '')}", ""
        case type_:
            return _among_people(type_, who, data) or _machinery(type_, who, data)


def problem_of(error: Any) -> str:
    """What an error says; agents report errors of any shape."""
    message = error.get("message") if isinstance(error, dict) else None
    return str(message or error or "")


def _answer(who: str, data: dict[str, Any]) -> Says:
    tone, icon, verb = VERDICTS[Verdict(data["decision"])]
    whose = data.get("onBehalfOf")
    if whose:
        who = f"{who} for {whose.get('name', '')}"
    return tone, icon, f"{who} {verb}", str(data.get("comment", ""))


def _among_people(type_: str, who: str, data: dict[str, Any]) -> Says | None:
    """How a request is passed on and paced; None for anything else."""
    reason, stage = str(data.get("reason", "")), data.get("name", "")
    match type_:
        case EventType.WORKFLOW_HANDED_OVER:
            person, to = data["person"]["name"], data["to"]["name"]
            whose = "it" if person == who else f"{person}’s part"
            return "info", "arrow-right", f"{who} handed {whose} over to {to}", reason
        case EventType.WORKFLOW_CLAIMED:
            before = f", instead of {data['from']['name']}" if data.get("from") else ""
            return "info", "user", f"{who} looks after it{before}", ""
        case EventType.WORKFLOW_RELEASED:
            whose = (data.get("from") or {}).get("name", who)
            said = f"{who} released it" if whose == who else f"{who} took it from {whose}"
            return "muted", "user", said, ""
        case EventType.STAND_IN_ASKED:
            people = ", ".join(map(str, data.get("to", []))) or "nobody"
            return "info", "arrow-right", f"{data['person']['name']} is away: asked {people}", ""
        case EventType.WORKFLOW_EXTENDED:
            return "info", "clock", f"{who} moved the deadline", reason
        case EventType.WORKFLOW_REMINDED:
            people = ", ".join(map(str, data.get("to", []))) or "nobody"
            return "info", "bell", f"Reminded {people}", ""
        case EventType.WORKFLOW_ESCALATED:
            only = "only " if data.get("mode") == "replace" else ""
            return "warn", "arrow-up", f"Nobody answered: {only}{data.get('to', '')} asked now", ""
        case EventType.STAGE_OPENED:
            return "info", "arrow-right", f"{data.get('after', '')} agreed; now {stage}", ""
        case EventType.RULE_APPLIED:
            tone, icon, verb = VERDICTS[Verdict(data["decision"])]
            return tone, icon, f"{who[:1].upper()}{who[1:]} {verb} it", str(data.get("why", ""))
        case _:
            return None


def _rolled_back(who: str, data: dict[str, Any]) -> Says:
    """Which state was gone back to, and why."""
    reason, number = str(data.get("reason", "")), data.get("round", "")
    if "compensation" in data:
        asked = (data.get("askedBy") or {}).get("name", "somebody")
        return "warn", "rotate", f"Undone by the compensation that {asked} asked for", reason
    if data.get("way") == Way.RUN:
        return "warn", "rotate", f"{who} let it run again, in round {number}", reason
    return "warn", "rotate", f"{who} had it asked again, in round {number}", reason


def _machinery(type_: str, who: str, data: dict[str, Any]) -> Says:
    """What happens without anybody's answer: deadlines and carrying out."""
    number = data.get("attempt", "")
    problem = problem_of(data.get("error") or data.get("message"))
    match type_:
        case EventType.WORKFLOW_HELD:
            return "warn", "player-pause", "The deadline passed; the request stays open", ""
        case EventType.WORKFLOW_TIMEOUT if data.get("timeoutAction") == TimeoutAction.APPROVE:
            return "ok", "hourglass", "Nobody answered in time, and silence approves", ""
        case EventType.WORKFLOW_TIMEOUT:
            return "muted", "hourglass", "Nobody answered in time", ""
        case EventType.COMPENSATION_ASKED:
            return "warn", "rotate", f"{who} asked for its compensation", str(data.get("reason"))
        case EventType.WORKFLOW_ROLLED_BACK:
            return _rolled_back(who, data)
        case EventType.WORKFLOW_RECONCILED:
            reason = str(data.get("reason", ""))
            return "warn", "refresh", f"After a restore, {who} {FOUND[data['outcome']]}", reason
        case EventType.WORKFLOW_REJECTED:
            return "danger", "circle-x", "The request was rejected; nothing ran", ""
        case EventType.RECEIPT_ISSUED:
            whom = f" for {data['audience']}" if data.get("audience") else ""
            return "info", "file-text", f"{who} was given a receipt{whom}", ""
        case EventType.RECEIPT_CONSUMED:
            consumer = str(data.get("consumer", ""))
            quoted = consumer if consumer != who else ""
            return "info", "shield-check", f"{who} used the receipt", quoted
        case EventType.ACTION_EXECUTING if not number:
            return "danger", "shield-lock", "Nothing was started", problem
        case EventType.ACTION_EXECUTING:
            executor = data.get("executor", who)
            return "info", "player-play", f"{executor} started attempt {number}", ""
        case EventType.ACTION_RETRYING:
            return "warn", "refresh", f"Attempt {number} failed; another one follows", problem
        case EventType.WORKFLOW_COMPLETED | EventType.WORKFLOW_FAILED if "settledBy" in data:
            done = "completed" if type_ == EventType.WORKFLOW_COMPLETED else "failed"
            tone = "ok" if done == "completed" else "danger"
            return tone, "user", f"{who} settled the outcome: {done}", str(data.get("note", ""))
        case EventType.WORKFLOW_COMPLETED:
            return "ok", "circle-check", "The action was carried out", ""
        case EventType.WORKFLOW_FAILED:
            return "danger", "alert-circle", "The action failed", problem
        case EventType.WORKFLOW_UNKNOWN:
            return "violet", "help-circle", "Nobody knows whether the action happened", problem
        case _:
            return "muted", "info-circle", str(type_), ""
