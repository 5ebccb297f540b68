"""The agent API: a view a use case. Authenticate, validate, call one service, answer."""

import base64
import hashlib
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from events.types import Source
from hitl.accounts.authentication import Credential
from hitl.accounts.models import Agent, User
from hitl.accounts.permissions import IsPerson, MayCreate, MayExecute, MayRead
from hitl.lib import canonical
from hitl.lib.errors import InvalidInput
from workflows import executions, idempotency, selectors, services
from workflows.api import examples, filters, queries, serializers
from workflows.api.longpoll import not_yet
from workflows.api.operations import Endpoint, id_in_path, operation
from workflows.errors import NotApproved, NotYours
from workflows.models import Status, Workflow

CREATE = "create"  # one scope for Idempotency-Key, whichever of the two paths is used
WORKFLOWS, DECISIONS, EXECUTION = "Workflows", "Decisions", "Execution"


def represent(workflow: Workflow, caller: Agent | User) -> dict[str, Any]:
    """A workflow as this caller sees it."""
    serializer = serializers.WorkflowSerializer(workflow, context={"caller": caller})
    data: dict[str, Any] = serializer.data
    return data


class CreateWorkflow(Endpoint):
    """Mixin of the two paths on which agents ask."""

    def create(self, request: Request) -> Response:
        new = self.read_body()

        def work() -> idempotency.Answer:
            try:
                workflow = services.create(self.agent, new.new_workflow)
            except InvalidInput as error:
                raise new.as_sent(error) from None
            return idempotency.Answer(201, represent(workflow, self.agent), workflow.pk)

        answer = self._once(request, work) if "Idempotency-Key" in request.headers else work()
        headers = {"Location": reverse("api-workflow", args=[answer.workflow_id])}
        if answer.replayed:
            headers["Idempotency-Replayed"] = "true"
        return Response(answer.body, status=answer.status, headers=headers)

    def _once(self, request: Request, work: Any) -> idempotency.Answer:
        key = idempotency.parse(request.headers["Idempotency-Key"])
        return idempotency.run(self.agent, CREATE, key, request.data, work)


_CREATE: dict[str, Any] = {
    "tag": WORKFLOWS,
    "permission": MayCreate,
    "body": serializers.NewWorkflowSerializer,
    "answer": serializers.WorkflowSerializer,
    "status": 201,
    "answer_says": "The stored request, PENDING.",
    "problems": ("request-in-progress", "key-reused"),
    "body_examples": examples.NEW_WORKFLOW,
    "answer_examples": {"Pending": examples.PENDING},
    "request_headers": {
        "Idempotency-Key": (
            {"type": "string", "pattern": "^[!#-+\\--\\[\\]-~]{1,255}$"},
            "Makes repeating safe: the same key with the same body gets the first answer again, "
            "for 48 hours and as long as the request is open. May stand in double quotes.",
        )
    },
    "answer_headers": {
        "Location": "Path of the workflow.",
        "Idempotency-Replayed": "`true`: this is the stored answer to an earlier request.",
    },
}


class Workflows(CreateWorkflow):
    """`/api/v1/workflows`."""

    @operation(
        id="listWorkflows",
        summary="List workflows",
        tag=WORKFLOWS,
        permission=MayRead,
        query=queries.WorkflowListQuery,
        answer=serializers.WorkflowPageSerializer,
        answer_says="One page.",
        answer_examples={"Page": {"items": [examples.PENDING], "nextCursor": None}},
    )
    def get(self, request: Request) -> Response:
        """Your team's workflows, newest first, in pages.

        Follow `nextCursor` until it is null. Pages stay consistent while new requests come in.
        """
        page = filters.workflows(self.caller, self.params)
        items = [represent(workflow, self.caller) for workflow in page.items]
        return Response({"items": items, "nextCursor": page.next_cursor})

    @operation(id="createWorkflow", summary="Ask for an approval", **_CREATE)
    def post(self, request: Request) -> Response:
        """Store a request for approval and tell the people who may decide it.

        The answer is given once the request is safely stored. Nothing runs before somebody has
        approved exactly this `actionData`; wait with `GET /api/v1/workflows/{id}?wait=30`.
        Fields that are not listed are refused, as are duplicate keys, NaN, numbers beyond ±2^53
        and other JSON that readers disagree on.
        """
        return self.create(request)


class SeedCreate(CreateWorkflow):
    """`/workflows/create`."""

    @operation(id="createWorkflowAtSeedPath", summary="Ask for an approval (short path)", **_CREATE)
    def post(self, request: Request) -> Response:
        """The same as `POST /api/v1/workflows`, in every respect.

        An `Idempotency-Key` used on one of the two paths is known on the other.
        """
        return self.create(request)


class OneWorkflow(Endpoint):
    """`/api/v1/workflows/{id}`."""

    @operation(
        id="getWorkflow",
        summary="Get a workflow, or wait for its decision",
        tag=WORKFLOWS,
        permission=MayRead,
        query=queries.WorkflowGetQuery,
        answer=serializers.WorkflowSerializer,
        answer_says="The workflow as it stands.",
        answer_examples={"Approved with edits": examples.MODIFIED},
        answer_headers={
            "Retry-After": "Only where the server could not hold the connection for `wait`: ask "
            "again after so many seconds."
        },
    )
    def get(self, request: Request, workflow_id: str) -> Response:
        """The current state. With `wait`, the answer is held back until something has happened.

        The answer comes within milliseconds of the decision (`until=decided`) or of the end
        (`until=settled`), else after `wait` seconds with the state as it is: look at `status`,
        and ask again. A connection that breaks loses nothing: ask again.
        """
        workflow = selectors.get(id_in_path(workflow_id), self.caller)
        headers = not_yet(workflow, **self.params)
        return Response(represent(workflow, self.caller), headers=headers)


class Cancel(Endpoint):
    """`/api/v1/workflows/{id}/cancel`."""

    @operation(
        id="cancelWorkflow",
        summary="Withdraw a request",
        tag=WORKFLOWS,
        permission=MayCreate,
        body=serializers.CancelSerializer,
        answer=serializers.WorkflowSerializer,
        answer_says="The workflow, CANCELLED.",
        problems=("already-decided",),
        body_examples={"With a reason": {"reason": "The customer called it off."}},
        answer_examples={"Cancelled": examples.PENDING | {"status": "CANCELLED"}},
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """Only the agent that asked may withdraw, and only while nobody has decided.

        Repeating it is harmless. The body may be left out.
        """
        body = self.read_body()
        workflow = services.cancel(
            id_in_path(workflow_id), agent=self.agent, reason=body.validated_data.get("reason", "")
        )
        return Response(represent(workflow, self.caller))


class ActionData(Endpoint):
    """`/api/v1/workflows/{id}/action-data`."""

    @operation(
        id="getApprovedData",
        summary="Get the approved bytes",
        tag=EXECUTION,
        permission=MayRead,
        answer={"type": "object", "additionalProperties": True},
        answer_says="The canonical bytes whose SHA-256 is `approvedFingerprint`.",
        problems=("not-approved",),
        answer_examples={"Approved": examples.ACTION_DATA},
        answer_headers={"Content-Digest": "`sha-256=:…:`, base64 over the body (RFC 9530)."},
    )
    def get(self, request: Request, workflow_id: str) -> HttpResponse:
        """Exactly what was approved, edits included, as canonical JSON (RFC 8785).

        Hash the body as it came and compare before acting. Only while the request is APPROVED or
        EXECUTING.
        """
        workflow = selectors.get(id_in_path(workflow_id), self.caller)
        if workflow.status not in (Status.APPROVED, Status.EXECUTING):
            raise NotApproved(f"The request is {workflow.status}: there is nothing to carry out.")
        raw = canonical.dumps(workflow.approved_data)
        digest = base64.b64encode(hashlib.sha256(raw).digest()).decode()
        return HttpResponse(
            raw,
            content_type="application/json",
            headers={"Content-Digest": f"sha-256=:{digest}:"},
        )


class Decide(Endpoint):
    """`/api/v1/workflows/{id}/decide`."""

    @operation(
        id="decideWorkflow",
        summary="Decide a request",
        tag=DECISIONS,
        permission=IsPerson,
        body=serializers.DecideSerializer,
        answer=serializers.DecidedSerializer,
        answer_says="The answer on record, and where the request stands after it.",
        problems=("already-decided", "asked-again", "expired", "digest-mismatch"),
        body_examples=examples.DECISIONS,
        answer_examples={"Approved with edits": examples.DECIDED},
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """Approve, reject, or approve with edits: for people, never for agents.

        Send the `fingerprint` of the data you looked at; if other data is stored, nothing happens.
        The first decision wins for ever. Repeating your own gives the first answer again.
        """
        body = self.read_body()
        workflow = selectors.get(id_in_path(workflow_id), self.caller)
        decided = self._decide(workflow.pk, body.arguments)
        return Response(
            {
                "decisionId": str(decided.decision.pk),
                "replayed": decided.replayed,
                "isEffective": decided.decision.is_effective,
                "workflow": represent(decided.workflow, self.caller),
            }
        )

    def _decide(self, row_id: UUID, arguments: dict[str, Any]) -> services.Decided:
        credential = self.request.auth
        strength = credential.kind if isinstance(credential, Credential) else ""
        try:
            return services.decide(
                row_id, user=self.person, source=Source.API, strength=strength, **arguments
            )
        except NotYours as refusal:
            services.record_refusal(
                row_id, actor=self.person.actor, source=Source.API, why=refusal.detail
            )
            raise


class Settle(Endpoint):
    """`/api/v1/workflows/{id}/settle`."""

    @operation(
        id="settleWorkflow",
        summary="Say what became of an unknown outcome",
        tag=DECISIONS,
        permission=IsPerson,
        body=serializers.SettleSerializer,
        answer=serializers.WorkflowSerializer,
        answer_says="The workflow, COMPLETED or FAILED.",
        problems=("illegal-transition",),
        body_examples={
            "It happened": {"outcome": "completed", "note": "The refund is in the bank's list."}
        },
        answer_examples={"Completed": examples.COMPLETED},
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """Somebody who has looked settles a request whose outcome is UNKNOWN: for people only."""
        sent = self.read_body().validated_data
        workflow = selectors.get(id_in_path(workflow_id), self.caller)
        settled = executions.settle_unknown(
            workflow.pk,
            user=self.person,
            succeeded=sent["outcome"] == "completed",
            note=sent["note"],
            source=Source.API,
        )
        return Response(represent(settled, self.caller))


class StartExecution(Endpoint):
    """`/api/v1/workflows/{id}/execution/start`."""

    @operation(
        id="startExecution",
        summary="Begin to carry out",
        tag=EXECUTION,
        permission=MayExecute,
        body=serializers.StartSerializer,
        answer=serializers.StartedSerializer,
        answer_says="The attempt, its lease and the data to act on.",
        problems=("execution-conflict", "reconciling"),
        body_examples={"Named": {"executor": "refund-bot/worker-7"}},
        answer_examples={"Started": examples.STARTED},
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """Claim the approved action, before acting: APPROVED becomes EXECUTING.

        Only the agent that asked. Act on `data` and on nothing else, then report `complete` or
        `fail`; send a `heartbeat` before `leaseUntil`, or the attempt ends as FAILED or UNKNOWN.
        """
        sent = self.read_body().validated_data
        workflow, attempt = executions.start(
            id_in_path(workflow_id), agent=self.agent, executor=sent.get("executor", "")
        )
        return Response(
            {
                "attempt": attempt.number,
                "leaseUntil": serializers.moment(attempt.lease_until),
                "fingerprint": workflow.approved_fingerprint,
                "data": workflow.approved_data,
                "workflow": represent(workflow, self.caller),
            }
        )


class Heartbeat(Endpoint):
    """`/api/v1/workflows/{id}/execution/heartbeat`."""

    @operation(
        id="heartbeatExecution",
        summary="Say that the work goes on",
        tag=EXECUTION,
        permission=MayExecute,
        body=serializers.AttemptSerializer,
        answer=serializers.HeartbeatSerializer,
        answer_says="The new lease.",
        problems=("execution-conflict", "reconciling"),
        body_examples={"First attempt": {"attempt": 1}},
        answer_examples={"Extended": {"attempt": 1, "leaseUntil": "2026-11-23T17:03:00Z"}},
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """The lease of a running attempt starts anew."""
        number = self.read_body().validated_data["attempt"]
        attempt = executions.heartbeat(id_in_path(workflow_id), agent=self.agent, attempt=number)
        lease = serializers.moment(attempt.lease_until)
        return Response({"attempt": attempt.number, "leaseUntil": lease})


class CompleteExecution(Endpoint):
    """`/api/v1/workflows/{id}/execution/complete`."""

    @operation(
        id="completeExecution",
        summary="Report success",
        tag=EXECUTION,
        permission=MayExecute,
        body=serializers.CompleteSerializer,
        answer=serializers.WorkflowSerializer,
        answer_says="The workflow, COMPLETED.",
        problems=("execution-conflict", "reconciling"),
        body_examples={"With a result": {"attempt": 1, "result": {"refundId": "re_8Q2"}}},
        answer_examples={"Completed": examples.COMPLETED},
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """The action has been carried out. Repeating the report is harmless.

        A report that comes after the lease ran out changes nothing; it is kept as evidence for the
        person who settles the outcome, and the answer shows the state as it is.
        """
        sent = self.read_body().validated_data
        workflow = executions.complete(
            id_in_path(workflow_id),
            agent=self.agent,
            attempt=sent["attempt"],
            result=sent["result"],
        )
        return Response(represent(workflow, self.caller))


class FailExecution(Endpoint):
    """`/api/v1/workflows/{id}/execution/fail`."""

    @operation(
        id="failExecution",
        summary="Report failure",
        tag=EXECUTION,
        permission=MayExecute,
        body=serializers.FailSerializer,
        answer=serializers.WorkflowSerializer,
        answer_says="The workflow, FAILED.",
        problems=("execution-conflict", "reconciling"),
        body_examples={
            "Declined": {"attempt": 1, "error": {"code": "declined", "message": "Card expired"}}
        },
        answer_examples={"Failed": examples.FAILED},
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """The action has failed, and you know it. Not knowing is silence: the lease runs out."""
        sent = self.read_body().validated_data
        workflow = executions.fail(
            id_in_path(workflow_id), agent=self.agent, attempt=sent["attempt"], error=sent["error"]
        )
        return Response(represent(workflow, self.caller))


class ActionTypes(Endpoint):
    """`/api/v1/action-types`."""

    @operation(
        id="listActionTypes",
        summary="List action types",
        tag="Action types",
        permission=MayRead,
        query=queries.ActionTypeListQuery,
        answer=serializers.ActionTypePageSerializer,
        answer_says="One page.",
        answer_examples={"Page": {"items": [examples.ACTION_TYPE], "nextCursor": None}},
    )
    def get(self, request: Request) -> Response:
        """What your team has declared about kinds of actions; others may be asked for too."""
        page = filters.action_types(self.caller, self.params)
        items = [serializers.ActionTypeSerializer(row).data for row in page.items]
        return Response({"items": items, "nextCursor": page.next_cursor})
