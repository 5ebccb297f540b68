"""What is frozen on a request when it is created: form, deadline, silence, policy, execution."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from hitl.accounts import selectors as accounts
from hitl.accounts.models import Agent, User
from hitl.lib import canonical
from hitl.lib.errors import FieldError, InvalidInput
from workflows import cases, guests, json_schema, policies, ruling
from workflows.inputs import NewWorkflow
from workflows.models import ActionType, Executor, Policy, Risk, Semantics, TimeoutAction
from workflows.policies import People, Request, freezing
from workflows.policies.rules import APPROVE, DENY, Ruling, choose_policy

SHORTEST, LONGEST = dt.timedelta(seconds=1), dt.timedelta(days=30)


@dataclass(frozen=True)
class Plan:
    """The frozen part of a new request. `timeout_action` is that of its first stage.

    `ruling` is what the team's rules say.
    """

    ui_schema: dict[str, Any] | None
    risk: str
    expires_at: dt.datetime
    timeout_action: str
    policy: dict[str, Any]
    execution: dict[str, Any]
    requester: User | None
    ruling: Ruling

    @property
    def is_decided(self) -> bool:
        """Whether a rule decides, and nobody is asked."""
        return self.ruling.outcome in (APPROVE, DENY)


def make(agent: Agent, new: NewWorkflow, *, now: dt.datetime) -> Plan:
    """Work out the plan, or raise InvalidInput naming every field that stands in the way."""
    types = ActionType.objects.select_related("policy")
    kind = types.filter(team_id=agent.team_id, name=new.action_type).first()
    if kind and kind.data_schema:
        json_schema.check_data(kind.data_schema, new.action_data, root="/actionData")
    risk = str(kind.risk) if kind else str(Risk.MEDIUM)
    requester = accounts.by_address(new.requester) if new.requester else None
    form = _form(kind, new)
    request = cases.new_request(
        agent,
        action_type=new.action_type,
        data=new.action_data,
        fingerprint=canonical.fingerprint(new.action_data),
        risk=risk,
        metadata=new.metadata,
        created_at=now,
        requester_id=str(requester.pk) if requester else None,
    )
    said = ruling.on(agent.team_id, request, now=now)
    policy = _policy(agent, new, kind, request, said)
    expires_at = _deadline(policy, kind, new, now)
    policy, timeout_action = _with_silence(policy, kind, new, risk)
    return Plan(
        ui_schema=form,
        risk=risk,
        expires_at=expires_at,
        timeout_action=timeout_action,
        policy=policy,
        execution=_execution(kind),
        requester=requester,
        ruling=said,
    )


def _form(kind: ActionType | None, new: NewWorkflow) -> dict[str, Any] | None:
    given = new.ui_schema if new.ui_schema is not None else (kind.ui_schema if kind else None)
    schema = json_schema.normalise(given, root="/uiSchema")
    if schema is not None:
        json_schema.check_data(schema, new.action_data, root="/actionData")
    return schema


def _deadline(
    policy: dict[str, Any], kind: ActionType | None, new: NewWorkflow, now: dt.datetime
) -> dt.datetime:
    """Until when: as the agent says, but no longer than the policy allows."""
    longest = policy.get("timeoutSeconds")
    if new.expires_at is not None:
        expires_at: dt.datetime = new.expires_at
        where = "/expiresAt"
    else:
        seconds = longest if new.timeout_seconds is None else new.timeout_seconds
        if seconds is None:
            seconds = (kind and kind.timeout_seconds) or settings.DEFAULT_TIMEOUT_SECONDS
        where = "/timeoutSeconds"
        expires_at = now + dt.timedelta(seconds=min(seconds, LONGEST.total_seconds() + 1))
    if not SHORTEST <= expires_at - now <= LONGEST:
        message = "The deadline must lie between 1 second and 30 days from now."
        raise InvalidInput(message, [FieldError(where, message)])
    return min(expires_at, now + dt.timedelta(seconds=longest)) if longest else expires_at


# --- Silence -------------------------------------------------------------------------------------


def _with_silence(
    policy: dict[str, Any], kind: ActionType | None, new: NewWorkflow, risk: str
) -> tuple[dict[str, Any], str]:
    """The policy with what silence means written into every stage, and that of the first.

    What the policy says comes first; then what the agent asks for, then its action type.
    """
    fallback = _silence(policy, kind, new)
    stages = [
        stage | {"timeoutAction": _within_risk(stage.get("timeoutAction", fallback), risk)}
        for stage in policy["stages"]
    ]
    return policy | {"stages": stages}, str(stages[0]["timeoutAction"])


def _within_risk(action: str, risk: str) -> str:
    """Silence approves at low risk only; otherwise it rejects."""
    too_much = action == TimeoutAction.APPROVE and risk != Risk.LOW
    return str(TimeoutAction.REJECT if too_much else action)


def _silence(policy: dict[str, Any], kind: ActionType | None, new: NewWorkflow) -> str:
    wanted = new.timeout_action or (str(kind.timeout_action) if kind else TimeoutAction.REJECT)
    if wanted == TimeoutAction.APPROVE and not (kind and kind.allow_timeout_approval):
        message = (
            "Silence may approve only where a manager has allowed it for a low-risk action type: "
            "use reject or hold."
        )
        raise InvalidInput(message, [FieldError("/timeoutAction", message)])
    if wanted == TimeoutAction.ESCALATE and not all("escalation" in s for s in policy["stages"]):
        if not new.timeout_action:
            return str(TimeoutAction.REJECT)
        message = "The policy that applies has no steps of escalation: use reject or hold."
        raise InvalidInput(message, [FieldError("/timeoutAction", message)])
    return str(wanted)


# --- Policy --------------------------------------------------------------------------------------


def _policy(
    agent: Agent, new: NewWorkflow, kind: ActionType | None, request: Request, said: Ruling
) -> dict[str, Any]:
    """The policy that applies, frozen, with where it comes from and why."""
    if new.policy and new.approvers:
        message = "Name a policy or approvers, not both: the policy says who is asked."
        raise InvalidInput(message, [FieldError("/policy", message, "exclusive")])
    by_type = kind.policy.name if kind and kind.policy and not kind.policy.archived_at else None
    if new.policy and _find(agent, new.policy) is None:
        message = f"The team has no policy named {new.policy!r}."
        raise InvalidInput(message, [FieldError("/policy", message, "unknown_policy")])
    choice = choose_policy(said, named=new.policy or None, by_type=by_type)
    # A rule may name a policy that is no more: then the team's default, as if it named none.
    chosen = _find(agent, choice.policy) if choice.policy else None
    chosen = chosen or cases.default_policy_of(agent.team_id)
    if chosen is None:
        return _of_people(agent, new, request)
    _, people = cases.people_of(agent.team_id, chosen.document)
    frozen = freezing.freeze(chosen.document, request, People.of(people))
    ignored = " The people whom the agent named are not asked: the policy says who is."
    source = {
        "policyId": str(chosen.pk), "name": chosen.name, "version": chosen.version,
        "why": choice.why + (ignored if new.approvers else ""),
    }  # fmt: skip
    return frozen | {"from": source}


def _find(agent: Agent, name: str) -> Policy | None:
    rows = Policy.objects.filter(team_id=agent.team_id, archived_at=None)
    return rows.filter(name=name).first()


def _of_people(agent: Agent, new: NewWorkflow, request: Request) -> dict[str, Any]:
    """One answer of the people the agent names, or of any approver."""
    if not new.approvers:
        return policies.default_policy()
    people, guested = _named(agent, new.approvers, request.risk)
    named = policies.default_policy([str(person.pk) for person in people])
    return named | ({"guests": guested} if guested else {})


def _named(agent: Agent, emails: list[str], risk: str) -> tuple[list[User], dict[str, str]]:
    """Whom the agent names, and the addresses of the guests among them, by id.

    Raises InvalidInput for unknown addresses, or when nobody is left.
    """
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


# --- Execution -----------------------------------------------------------------------------------


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
