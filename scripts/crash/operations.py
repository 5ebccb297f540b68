"""What is interrupted: each operation as the role plays it that plays it in production.

`prepare` makes a request that stands just before it; `act` is the operation itself, and returns
what its caller was told (None: nothing). Whoever was told nothing asks again, `act` once more.
"""

import base64
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
from django.conf import settings
from django.db import connection
from django.test import Client
from django.utils import timezone

from deliveries import tasks as delivery_tasks
from deliveries.models import Delivery
from events.models import WebhookEndpoint
from events.types import Source
from events.webhooks import endpoints, sending
from hitl.accounts.models import Agent, Role, Team, User
from hitl.accounts.services import add_member, issue_key
from hitl.celery import app
from workflows import executions, rollback, services
from workflows import tasks as workflow_tasks
from workflows.inputs import NewWorkflow
from workflows.models import ActionType, Policy, Verdict, Workflow
from workflows.policies import format as policy_format

Facts = dict[str, Any]
WEB, WORKER, BEAT = "web", "worker", "beat"
HOUR = 3600
LEASE_SECONDS = 600
API = "/api/v1/workflows"
DATA = {"amount": 120, "currency": "EUR"}
# What a worker that dies has not acknowledged, the broker delivers once more.
Message = tuple[str, list[str]]


@dataclass(frozen=True)
class Operation:
    """One row of the matrix.

    `ends` is how a request may stand in the end, `message` what the broker would deliver again.
    A sweep takes whatever is due. `thinned`: only every so many of its boundaries are hit, because
    most of them do the same.
    """

    name: str
    role: str
    prepare: Callable[[], Facts]
    act: Callable[[Facts], Facts | None]
    ends: tuple[str, ...]
    is_sweep: bool = False
    thinned: int = 1
    message: Callable[[Facts], Message] | None = None


# --- Who is there ---------------------------------------------------------------------------------


def set_up(world: str) -> None:
    """A team, its people, its agent, what it can do, and where it tells the outside."""
    team = Team.objects.create(name="Crash", slug="crash")
    people = {"ann": Role.APPROVER, "dora": Role.APPROVER, "max": Role.MANAGER}
    for name, role in people.items():
        add_member(team, User.objects.create_user(f"{name}@example.com"), role)
    secret = f"whsec_{base64.b64encode(b'k' * 32).decode()}"
    http: Facts = {"executor": "http", "executor_config": {"url": f"{world}/act", "secret": secret}}
    agent: Facts = {"executor": "agent", "semantics": "at_most_once"}
    for name, more in {
        "once": http | {"semantics": "at_most_once"},
        "again": http | {"semantics": "idempotent", "max_attempts": 5},
        "agent": agent,
        "escalates": agent | {"policy": _policy(team)},
    }.items():
        ActionType.objects.create(team=team, name=name, lease_seconds=LEASE_SECONDS, **more)
    endpoints.create(team_id=team.pk, url=f"{world}/hook")
    Agent.objects.create(team=team, name="bot")


def _policy(team: Team) -> Policy:
    step = {"after": HOUR, "to": {"users": [str(_user("dora").pk)]}}
    stage = {
        "name": "Ann",
        "need": {"who": {"users": [str(_user("ann").pk)]}, "count": 1},
        "escalation": [step],
    }
    document = policy_format.normalise({"name": "Escalates", "stages": [stage]})
    return Policy.objects.create(team=team, name="Escalates", document=document)


def _user(name: str) -> User:
    return User.objects.get(email=f"{name}@example.com")


def _agent() -> Agent:
    return Agent.objects.select_related("team").get(name="bot")


def _new(action_type: str = "once") -> Workflow:
    approvers = [] if action_type == "escalates" else ["ann@example.com"]
    new = NewWorkflow(action_type=action_type, action_data=DATA, approvers=approvers)
    return services.create(_agent(), new)


def _facts(workflow: Workflow, **more: Any) -> Facts:
    return {"workflow": str(workflow.pk), "fingerprint": workflow.fingerprint, **more}


def _decided(action_type: str, verdict: Verdict = Verdict.APPROVED) -> Workflow:
    workflow = _new(action_type)
    return services.decide(
        workflow.pk,
        user=_user("ann"),
        verdict=verdict,
        fingerprint=workflow.fingerprint,
        source=Source.DASHBOARD,
    ).workflow


# --- The web's ------------------------------------------------------------------------------------


def _post(path: str, body: Any, token: str, **headers: str) -> Any:
    """A request as it comes in, with all that stands before the views; None unless it is a 2xx."""
    client = Client(raise_request_exception=False, SERVER_NAME="127.0.0.1")
    answer = client.post(
        path,
        json.dumps(body),
        content_type="application/json",
        headers={"authorization": f"Bearer {token}", **headers},
    )
    if answer.status_code >= 500:
        return None
    if answer.status_code >= 300:
        raise RuntimeError(f"{path}: {answer.status_code} {answer.content[:500]!r}")
    return answer.json()


def _key() -> str:
    return issue_key(_agent())[1]


def _token(name: str) -> str:
    claims = {"sub": f"user:{_user(name).pk}", "exp": int(timezone.now().timestamp()) + HOUR}
    return jwt.encode(claims, settings.JWT_SECRET, algorithm="HS256")


def _prepare_create() -> Facts:
    return {"key": str(uuid.uuid4()), "token": _key()}


def _create(facts: Facts) -> Facts | None:
    body = {"actionType": "once", "actionData": DATA, "approvers": ["ann@example.com"]}
    answer = _post(API, body, facts["token"], **{"idempotency-key": facts["key"]})
    return answer and {"did": "create", "workflow": answer["workflowId"], "key": facts["key"]}


def _prepare_decision() -> Facts:
    return _facts(_new(), token=_token("ann"))


def _decides(decision: str) -> Callable[[Facts], Facts | None]:
    def act(facts: Facts) -> Facts | None:
        body = {"decision": decision, "fingerprint": facts["fingerprint"]}
        answer = _post(f"{API}/{facts['workflow']}/decide", body, facts["token"])
        return answer and _told("decide", facts, decision=answer["decisionId"], verdict=decision)

    return act


def _told(did: str, facts: Facts, **more: Any) -> Facts:
    return {"did": did, "workflow": facts["workflow"], **more}


def _cancel(facts: Facts) -> Facts | None:
    answer = _post(f"{API}/{facts['workflow']}/cancel", {}, facts["token"])
    return answer and _told("cancel", facts, status=answer["status"])


def _prepare_agent(*, started: bool) -> Callable[[], Facts]:
    def prepare() -> Facts:
        workflow = _decided("agent")
        if started:
            executions.start(workflow.pk, agent=_agent(), executor="one")
        return _facts(workflow, token=_key())

    return prepare


def _start(facts: Facts) -> Facts | None:
    path = f"{API}/{facts['workflow']}/execution/start"
    answer = _post(path, {"executor": "one"}, facts["token"])
    return answer and _told("start", facts, attempt=1)


def _complete(facts: Facts) -> Facts | None:
    path = f"{API}/{facts['workflow']}/execution/complete"
    answer = _post(path, {"attempt": 1, "result": {"ok": True}}, facts["token"])
    return answer and _told("complete", facts, status="COMPLETED")


def _prepare_rejected() -> Facts:
    return _facts(_decided("agent", Verdict.REJECTED), seq=1)


def _prepare_failed() -> Facts:
    workflow = _decided("agent")
    agent = _agent()
    executions.start(workflow.pk, agent=agent)
    executions.fail(workflow.pk, agent=agent, attempt=1, error={"message": "no luck"})
    return _facts(workflow, seq=2)


def _roll_back(facts: Facts) -> Facts | None:
    """In the web's process; pages ask for it, the API does not."""
    workflow = Workflow.objects.get(pk=facts["workflow"])
    if workflow.round == 1:
        rollback.roll_back(
            workflow.pk,
            user=_user("max"),
            to_seq=facts["seq"],
            reason="Once more",
            source=Source.DASHBOARD,
            round=1,
            acknowledged=True,
        )
    return _told("roll back", facts, round=2)


# --- The worker's ---------------------------------------------------------------------------------


def _id(facts: Facts) -> str:
    return str(facts["workflow"])


def _prepare_overdue() -> Facts:
    workflow = _new()
    _let_pass(workflow, "30 days", "expires_at")
    return _facts(workflow)


def _let_pass(workflow: Workflow, how_long: str, *columns: str) -> None:
    """Let time pass, in these columns."""
    changes = ", ".join(f"{each} = {each} - interval '{how_long}'" for each in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE workflows_workflow SET {changes} WHERE id = %s",  # noqa: S608  # our columns
            [workflow.pk],
        )


def _sweep(task: Any) -> Callable[[Facts], None]:
    def act(_facts: Facts) -> None:
        task()

    return act


def _prepare_execution(action_type: str) -> Callable[[], Facts]:
    return lambda: _facts(_decided(action_type))


def _execute(facts: Facts) -> None:
    workflow_tasks.execute_workflow(_id(facts))


def _prepare_silent() -> Facts:
    """Somebody claimed it and was never heard of again."""
    workflow = _decided("once")
    executions.claim(workflow.pk)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE workflows_executionattempt SET lease_until = lease_until - interval '2 hours' "
            "WHERE workflow_id = %s",
            [workflow.pk],
        )
    return _facts(workflow)


def _prepare_delivery() -> Facts:
    workflow = _new()
    return _facts(workflow, delivery=str(Delivery.objects.get(workflow=workflow).pk))


def _deliver(facts: Facts) -> None:
    delivery_tasks.send_delivery(facts["delivery"])


def _drain(_facts: Facts) -> None:
    sending.drain(WebhookEndpoint.objects.get().pk)


def _prepare_escalation() -> Facts:
    workflow = _new("escalates")
    _let_pass(workflow, "2 hours", "stage_opened_at", "next_step_at")
    return _facts(workflow, steps=1)


# --- Beat's ---------------------------------------------------------------------------------------


def _tick(_facts: Facts) -> None:
    """A beat that has just been started puts everything into the queue that is due."""
    from django_celery_beat.schedulers import DatabaseScheduler

    scheduler = DatabaseScheduler(app=app)
    for _ in range(len(settings.CELERY_BEAT_SCHEDULE)):
        scheduler.tick()


PENDING, COMPLETED, UNKNOWN = "PENDING", "COMPLETED", "UNKNOWN"


def _again(task: str, name: str) -> Callable[[Facts], Message]:
    return lambda facts: (task, [facts[name]])


OPERATIONS: tuple[Operation, ...] = (
    Operation("create", WEB, _prepare_create, _create, (PENDING,)),
    Operation("decide: approve", WEB, _prepare_decision, _decides("approved"), (COMPLETED,)),
    Operation("decide: reject", WEB, _prepare_decision, _decides("rejected"), ("REJECTED",)),
    Operation("cancel", WEB, lambda: _facts(_new(), token=_key()), _cancel, ("CANCELLED",)),
    Operation("claim, by the agent", WEB, _prepare_agent(started=False), _start, ("EXECUTING",)),
    Operation("settle, by the agent", WEB, _prepare_agent(started=True), _complete, (COMPLETED,)),
    Operation("rollback: ask again", WEB, _prepare_rejected, _roll_back, (PENDING,)),
    Operation("rollback: run again", WEB, _prepare_failed, _roll_back, ("APPROVED",)),
    Operation(
        "expire",
        WORKER,
        _prepare_overdue,
        _sweep(workflow_tasks.sweep_timeouts),
        ("TIMEOUT",),
        is_sweep=True,
    ),
    Operation(
        "escalate",
        WORKER,
        _prepare_escalation,
        _sweep(workflow_tasks.sweep_steps),
        (PENDING,),
        is_sweep=True,
    ),
    Operation(
        "claim, execute, settle: at most once",
        WORKER,
        _prepare_execution("once"),
        _execute,
        (COMPLETED, UNKNOWN),
        message=_again("workflows.tasks.execute_workflow", "workflow"),
    ),
    Operation(
        "claim, execute, settle: idempotent",
        WORKER,
        _prepare_execution("again"),
        _execute,
        (COMPLETED,),
        message=_again("workflows.tasks.execute_workflow", "workflow"),
    ),
    Operation(
        "settle: a lease that ran out",
        WORKER,
        _prepare_silent,
        _sweep(workflow_tasks.sweep_executions),
        (UNKNOWN,),
        is_sweep=True,
    ),
    Operation(
        "claim, send, settle a message",
        WORKER,
        _prepare_delivery,
        _deliver,
        (PENDING,),
        message=_again("deliveries.tasks.send_delivery", "delivery"),
    ),
    Operation(
        "claim, send, settle a webhook",
        WORKER,
        lambda: _facts(_new()),
        _drain,
        (PENDING,),
        is_sweep=True,
    ),
    Operation(
        "sweep, by beat",
        BEAT,
        _prepare_overdue,
        _tick,
        ("TIMEOUT",),
        is_sweep=True,
        thinned=6,
    ),
)
