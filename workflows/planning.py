"""What is frozen on a request when it is created: form, deadline, silence, people, execution."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from hitl.accounts import selectors as accounts
from hitl.accounts.models import Agent, User
from hitl.lib.errors import FieldError, InvalidInput
from workflows import guests, json_schema, policies
from workflows.inputs import NewWorkflow
from workflows.models import ActionType, Executor, Risk, Semantics, TimeoutAction

SHORTEST, LONGEST = dt.timedelta(seconds=1), dt.timedelta(days=30)


@dataclass(frozen=True)
class Plan:
    """The frozen part of a new request."""

    ui_schema: dict[str, Any] | None
    risk: str
    expires_at: dt.datetime
    timeout_action: str
    people: list[User]
    policy: dict[str, Any]
    execution: dict[str, Any]


def make(agent: Agent, new: NewWorkflow, *, now: dt.datetime) -> Plan:
    """Work out the plan, or raise InvalidInput naming every field that stands in the way."""
    kind = ActionType.objects.filter(team_id=agent.team_id, name=new.action_type).first()
    if kind and kind.data_schema:
        json_schema.check_data(kind.data_schema, new.action_data, root="/actionData")
    risk = str(kind.risk) if kind else str(Risk.MEDIUM)
    people, guested = _people(agent, new.approvers, risk)
    named = [str(person.pk) for person in people] if new.approvers else []
    return Plan(
        ui_schema=_form(kind, new),
        risk=risk,
        expires_at=_deadline(kind, new, now),
        timeout_action=_silence(kind, new),
        people=people,
        policy=policies.default_policy(named) | ({"guests": guested} if guested else {}),
        execution=_execution(kind),
    )


def _form(kind: ActionType | None, new: NewWorkflow) -> dict[str, Any] | None:
    given = new.ui_schema if new.ui_schema is not None else (kind.ui_schema if kind else None)
    schema = json_schema.normalise(given, root="/uiSchema")
    if schema is not None:
        json_schema.check_data(schema, new.action_data, root="/actionData")
    return schema


def _deadline(kind: ActionType | None, new: NewWorkflow, now: dt.datetime) -> dt.datetime:
    if new.expires_at is not None:
        expires_at: dt.datetime = new.expires_at
        where = "/expiresAt"
    else:
        seconds = new.timeout_seconds
        if seconds is None:
            seconds = (kind and kind.timeout_seconds) or settings.DEFAULT_TIMEOUT_SECONDS
        where = "/timeoutSeconds"
        expires_at = now + dt.timedelta(seconds=min(seconds, LONGEST.total_seconds() + 1))
    if not SHORTEST <= expires_at - now <= LONGEST:
        message = "The deadline must lie between 1 second and 30 days from now."
        raise InvalidInput(message, [FieldError(where, message)])
    return expires_at


def _silence(kind: ActionType | None, new: NewWorkflow) -> str:
    wanted = new.timeout_action or (str(kind.timeout_action) if kind else TimeoutAction.REJECT)
    if wanted == TimeoutAction.APPROVE and not (kind and kind.allow_timeout_approval):
        message = (
            "Silence may approve only where a manager has allowed it for a low-risk action type: "
            "use reject or hold."
        )
        raise InvalidInput(message, [FieldError("/timeoutAction", message)])
    if wanted == TimeoutAction.ESCALATE:
        message = "No policy with steps of escalation applies here: use reject or hold."
        raise InvalidInput(message, [FieldError("/timeoutAction", message)])
    return str(wanted)


def _people(agent: Agent, emails: list[str], risk: str) -> tuple[list[User], dict[str, str]]:
    """Whom to ask, and the addresses of the guests among them, by id.

    Raises InvalidInput for unknown addresses, or when nobody is left.
    """
    if emails:
        return _named(agent, emails, risk)
    people = [user for user in accounts.approvers(agent.team_id) if user.pk != agent.owner_id]
    if not people:
        message = f"The team {agent.team.name} has nobody who could approve: add an approver."
        raise InvalidInput(message, [FieldError("/approvers", message, "nobody")])
    return people, {}


def _named(agent: Agent, emails: list[str], risk: str) -> tuple[list[User], dict[str, str]]:
    found = accounts.approvers_by_email(agent.team_id, emails)
    guested: dict[str, str] = {}
    errors: list[FieldError] = []
    for index, email in enumerate(emails):
        if email.lower() in found:
            continue
        try:
            guest = guests.invite(agent.team, email, risk)
        except InvalidInput as error:
            errors.append(FieldError(f"/approvers/{index}", str(error), "unknown_approver"))
        else:
            found[email.lower()] = guest
            guested[str(guest.pk)] = email
    if errors:
        raise InvalidInput("Some approvers are not known.", errors)
    people = {user.pk: user for user in found.values() if user.pk != agent.owner_id}
    if not people:
        message = "The agent's owner cannot be its only approver: name somebody else too."
        raise InvalidInput(message, [FieldError("/approvers", message, "own_request")])
    return list(people.values()), guested


def _execution(kind: ActionType | None) -> dict[str, Any]:
    lease = (kind and kind.lease_seconds) or settings.EXECUTION_LEASE_SECONDS
    if kind is None:
        return {
            "by": str(Executor.AGENT),
            "semantics": str(Semantics.AT_MOST_ONCE),
            "leaseSeconds": lease,
            "maxAttempts": 1,
            "config": {},
        }
    return {
        "by": str(kind.executor),
        "semantics": str(kind.semantics),
        "leaseSeconds": lease,
        "maxAttempts": kind.max_attempts if kind.semantics == Semantics.IDEMPOTENT else 1,
        "config": _public(kind.executor_config),
    }


def _public(config: dict[str, Any]) -> dict[str, Any]:
    """Secrets stay with the action type: the plan goes into every snapshot."""
    return {key: value for key, value in config.items() if key != "secret"}
