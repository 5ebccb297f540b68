"""Whom a stage asks, and telling them: every opening, re-asking and step of an escalation.

Each asking is a wave. What was sent in earlier waves and is pointless now is rewritten.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from deliveries import routing
from deliveries import services as deliveries
from deliveries.channels.base import Message
from deliveries.models import Delivery
from deliveries.routing import Recipient
from deliveries.wakeups import SEND, wake
from hitl.accounts.models import User
from hitl.lib.errors import FieldError, InvalidInput
from workflows import cases, guests, messages
from workflows.cases import CaseFile
from workflows.models import Workflow
from workflows.policies import calendars, plain
from workflows.policies.shape import Leaf, Policy, Who, leaves_of

NOBODY = (
    "Nobody who is asked can be reached over the channels of this server: let one of them add an "
    "address under “How to reach me”, name somebody else, or configure mail."
)


@dataclass(frozen=True)
class Invitation:
    """One person to write to, and in whose places they would answer besides their own."""

    user: User
    behalf: tuple[str, ...] = ()


def opening(
    workflow: Workflow,
    policy: Policy,
    index: int,
    *,
    now: dt.datetime,
    also: Iterable[str] = (),
) -> dict[str, Any]:
    """What changes on the row when this stage of its policy opens.

    `also` are the ids of those to whom somebody has handed this request over.
    """
    stage = policy.stages[index]
    workflow.stage, workflow.stage_opened_at = index, now
    found = cases.plan(workflow, policy, (), now)
    return {
        "stage": index,
        "stage_opened_at": now,
        "next_step_at": cases.next_due(found, now),
        "timeout_action": stage.timeout_action or workflow.timeout_action,
        "asks": whom(leaves_of(stage.need), also=also),
        "wave": workflow.wave + 1,
        "claimed_by": None,
        "claimed_at": None,
    }


def whom(leaves: Iterable[Leaf], *, also: Iterable[str] = ()) -> str:
    """The people these places ask, as words between bars: `|team||group:finance|`.

    What an inbox can look for in the database; `also` are ids of people on top. Expressions are
    not judged here: everybody in the team finds the request, and its page says who may answer.
    """
    found: dict[str, None] = {}
    for leaf in leaves:
        who = leaf.who
        found |= dict.fromkeys(_words(who))
    found |= {f"user:{id_}": None for id_ in also}
    return "".join(f"|{word}|" for word in found)


def _words(who: Who) -> list[str]:
    if "users" in who:
        return [f"user:{id_}" for id_ in who["users"]]
    if "roles" in who:
        return [f"role:{role}" for role in who["roles"]]
    if "group" in who:
        return [f"group:{who['group']}"]
    return ["owner" if "agentOwner" in who else "team"]


def invitations(file: CaseFile, persons: Iterable[str] | None = None) -> list[Invitation]:
    """Everybody who may answer now (or who may for these people), each once."""
    found: dict[str, list[str]] = {}
    for each in file.asked(persons):
        found.setdefault(each.actor, [])
        if each.actor != each.person:
            found[each.actor].append(each.person)
    return [
        Invitation(file.users[actor], tuple(file.names.person(one) for one in behalf))
        for actor, behalf in sorted(found.items(), key=lambda item: file.users[item[0]].email)
        if actor in file.users
    ]


def ask(
    file: CaseFile,
    *,
    persons: Iterable[str] | None = None,
    kind: str = Delivery.Kind.APPROVAL,
    channels: tuple[str, ...] = (),
    notice: str = "",
    must_reach: bool = False,
) -> list[User]:
    """Write to everybody who is asked now; `persons` narrows it down. Returns whom.

    With `must_reach`, raises InvalidInput where nobody can be reached at all.
    """
    workflow = file.workflow
    invited = invitations(file, persons)
    wanted = channels or _channels(file)
    pairs = [(one, to) for one in invited for to in _recipients(workflow, one, wanted)]
    if must_reach and routing.anything_is_on() and not pairs:
        raise InvalidInput(NOBODY, [FieldError("/approvers", NOBODY, "unreachable")])
    plainly = replace(messages.approval(workflow, kind=kind), progress=_progress(file))
    for says, recipients in _by_wording(workflow, pairs, replace(plainly, notice=notice)):
        rows = deliveries.request(
            recipients,
            says,
            workflow_id=workflow.pk,
            team_id=workflow.team_id,
            round=workflow.round,
            stage=workflow.stage,
            wave=workflow.wave,
            now=file.now,
            not_before=_welcome(file) if kind == Delivery.Kind.REMINDER else {},
        )
        for row in rows:
            wake(SEND, row.pk)
    return [one.user for one in invited]


def _progress(file: CaseFile) -> str:
    """How far it is, as every copy tells it; nothing where "0 of 1" would tell nobody anything."""
    if len(file.policy.stages) == 1 and all(one.wanted == 1 for one in file.case.progress):
        return ""
    return plain.waiting(file.case, file.names)


def tell_progress(file: CaseFile) -> None:
    """How far it is now, in every copy that still asks: something has changed without a new wave
    for everybody."""
    deliveries.refresh_progress(file.workflow.pk, progress=_progress(file), now=file.now)


def _channels(file: CaseFile) -> tuple[str, ...]:
    return file.case.stage.channels if file.case.stage else ()


def _recipients(
    workflow: Workflow, invited: Invitation, channels: tuple[str, ...]
) -> list[Recipient]:
    if str(invited.user.pk) in guests.addresses(workflow):
        return guests.recipients(workflow, [invited.user])
    return routing.first_wave([invited.user], only=channels)


def _by_wording(
    workflow: Workflow, pairs: list[tuple[Invitation, Recipient]], message: Message
) -> list[tuple[Message, list[Recipient]]]:
    """The same message for most; stand-ins read for whom, and the dashboard lets no guest in."""
    invited = guests.addresses(workflow)
    found: dict[tuple[bool, tuple[str, ...]], list[Recipient]] = {}
    for one, recipient in pairs:
        key = (str(one.user.pk) in invited, one.behalf)
        found.setdefault(key, []).append(recipient)
    return [
        (
            replace(
                message,
                url="" if is_guest else message.url,
                on_behalf=plain.listed(list(behalf)),
            ),
            recipients,
        )
        for (is_guest, behalf), recipients in found.items()
    ]


def _welcome(file: CaseFile) -> dict[Any, dt.datetime]:
    """Until when somebody's own quiet hours hold a reminder back; the deadline moves for nobody."""
    found = {}
    for user in file.users.values():
        if user.calendar:
            at = calendars.read(user.calendar).next_allowed(file.now)
            if at > file.now and (file.workflow.held_at or at < file.workflow.expires_at):
                found[user.pk] = at
    return found


def close_wave(file: CaseFile, sentence: str, *, users: Iterable[User] | None = None) -> None:
    """Nobody (or none of these people) need answer what was sent so far: say so in every copy."""
    deliveries.conclude(
        file.workflow.pk,
        outcome=sentence,
        now=file.now,
        users=None if users is None else [user.pk for user in users],
    )


__all__ = [
    "NOBODY",
    "Invitation",
    "ask",
    "close_wave",
    "invitations",
    "opening",
    "tell_progress",
    "whom",
]
