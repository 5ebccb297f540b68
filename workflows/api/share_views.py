"""The API around a decision: taking back, more time, handing over, claiming, words, batches."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from events.types import Source
from hitl.accounts.authentication import Credential
from hitl.accounts.models import Agent, User
from hitl.accounts.permissions import IsPerson, MayCreate, MayRead
from hitl.lib.errors import Forbidden
from workflows import batch, conversation, pace, selectors, services, sharing
from workflows.api import examples, share_examples
from workflows.api import share_serializers as shapes
from workflows.api.operations import Endpoint, id_in_path, operation
from workflows.api.serializers import WorkflowSerializer
from workflows.api.views import DECISIONS, WORKFLOWS, represent
from workflows.models import Remark, Workflow

OPEN_ONLY = ("already-decided", "expired")


class MayCreateOrPerson(MayCreate):
    """A person, or an agent whose key may ask for approvals."""

    message = "This API key lacks the scope `create`."

    def has_permission(self, request: Request, view: Any) -> bool:
        return isinstance(request.user, User) or super().has_permission(request, view)


def _visible(endpoint: Endpoint, workflow_id: str) -> Workflow:
    return selectors.get(id_in_path(workflow_id), endpoint.caller)


class Withdraw(Endpoint):
    """`/api/v1/workflows/{id}/withdraw`."""

    @operation(
        id="withdrawDecision",
        summary="Take an answer back",
        tag=DECISIONS,
        permission=IsPerson,
        body=shapes.WithdrawSerializer,
        answer=WorkflowSerializer,
        answer_says="The workflow, still PENDING.",
        problems=OPEN_ONLY,
        body_examples={"With a reason": {"reason": "I misread the amount."}},
        answer_examples={"Pending": examples.PENDING},
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """Your own answer, as long as its stage is open; you are asked again.

        After the verdict nothing can be taken back. The body may be left out.
        """
        sent = self.read_body().validated_data
        row = _visible(self, workflow_id)
        workflow = services.withdraw(
            row.pk,
            user=self.person,
            source=Source.API,
            reason=sent.get("reason", ""),
            behalf=sent.get("onBehalfOf"),
        )
        return Response(represent(workflow, self.caller))


class Extend(Endpoint):
    """`/api/v1/workflows/{id}/extend`."""

    @operation(
        id="extendDeadline",
        summary="Move the deadline to a later time",
        tag=WORKFLOWS,
        permission=MayCreateOrPerson,
        body=shapes.ExtendSerializer,
        answer=WorkflowSerializer,
        answer_says="The workflow with its new deadline.",
        problems=OPEN_ONLY,
        body_examples={
            "A day more": {"expiresAt": "2026-11-25T17:00:00Z", "reason": "Ann is back then."}
        },
        answer_examples={"Pending": examples.PENDING},
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """For approvers of the team and for the agent that asked, as far as the policy allows.

        The bound counts from the first deadline, however often it is moved; most policies allow
        none.
        """
        sent = self.read_body().validated_data
        workflow = pace.extend(
            _visible(self, workflow_id).pk,
            by=self.caller,
            expires_at=sent["expiresAt"],
            source=Source.API,
            reason=sent.get("reason", ""),
        )
        return Response(represent(workflow, self.caller))


class HandOver(Endpoint):
    """`/api/v1/workflows/{id}/hand-over`."""

    @operation(
        id="handOverWorkflow",
        summary="Hand one's say over to somebody else",
        tag=DECISIONS,
        permission=IsPerson,
        body=shapes.HandOverSerializer,
        answer=WorkflowSerializer,
        answer_says="The workflow; the other person has been asked.",
        problems=OPEN_ONLY,
        body_examples={"To a colleague": share_examples.HAND_OVER},
        answer_examples={"Pending": examples.PENDING},
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """They answer for you, under both names, in this request only.

        Not to the agent's owner, the requester, or somebody who has answered; not in a circle.
        You may still answer yourself as long as they have not.
        """
        sent = self.read_body().validated_data
        workflow = sharing.hand_over(
            _visible(self, workflow_id).pk,
            user=self.person,
            to=sent["to"],
            person=sent.get("person"),
            reason=sent.get("reason", ""),
            source=Source.API,
        )
        return Response(represent(workflow, self.caller))


class Claim(Endpoint):
    """`/api/v1/workflows/{id}/claim`."""

    @operation(
        id="claimWorkflow",
        summary="Look after a request",
        tag=DECISIONS,
        permission=IsPerson,
        body=shapes.NothingSerializer,
        answer=WorkflowSerializer,
        answer_says="The workflow, with you as `claimedBy`.",
        problems=(*OPEN_ONLY, "claimed"),
        body_examples={"Nothing": {}},
        answer_examples={"Pending": examples.PENDING},
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """Everybody sees it, and reminders go to you alone. Others may decide all the same.

        Ends when you release it or the next stage opens. Managers take over. The body may be left
        out.
        """
        self.read_body()
        row = _visible(self, workflow_id)
        workflow = sharing.claim(row.pk, user=self.person, source=Source.API)
        return Response(represent(workflow, self.caller))


class Release(Endpoint):
    """`/api/v1/workflows/{id}/release`."""

    @operation(
        id="releaseWorkflow",
        summary="Look after a request no more",
        tag=DECISIONS,
        permission=IsPerson,
        body=shapes.NothingSerializer,
        answer=WorkflowSerializer,
        answer_says="The workflow; nobody looks after it.",
        problems=OPEN_ONLY,
        body_examples={"Nothing": {}},
        answer_examples={"Pending": examples.PENDING},
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """For whoever looks after it, and for managers. The body may be left out."""
        self.read_body()
        row = _visible(self, workflow_id)
        workflow = sharing.release(row.pk, user=self.person, source=Source.API)
        return Response(represent(workflow, self.caller))


class Remarks(Endpoint):
    """`/api/v1/workflows/{id}/remarks`."""

    @operation(
        id="listRemarks",
        summary="Read what was said",
        tag=WORKFLOWS,
        permission=MayRead,
        answer=shapes.RemarkPageSerializer,
        answer_says="All of it.",
        answer_examples={"A question": {"items": [share_examples.QUESTION]}},
    )
    def get(self, request: Request, workflow_id: str) -> Response:
        """Comments, questions to the agent and its answers, oldest first."""
        rows = conversation.remarks(_visible(self, workflow_id))
        return Response({"items": [self._drawn(row) for row in rows]})

    @operation(
        id="addRemark",
        summary="Comment, ask the agent, or answer",
        tag=WORKFLOWS,
        permission=MayCreateOrPerson,
        body=shapes.NewRemarkSerializer,
        answer=shapes.RemarkSerializer,
        status=201,
        answer_says="What is on record now.",
        problems=(*OPEN_ONLY, "answered", "conflict"),
        body_examples=share_examples.NEW_REMARKS,
        answer_examples={"A question": share_examples.QUESTION},
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """Words that decide nothing.

        People comment, also afterwards, and ask the agent while the request is open; the agent
        that asked for approval answers. Wait for a question with `until=asked`, see how many wait
        in `openQuestions`. The deadline waits for no answer.
        """
        sent = self.read_body().validated_data
        row = _visible(self, workflow_id)
        said = self._said(row, sent, Remark.Kind(sent["kind"]))
        return Response(self._drawn(said), status=201)

    def _said(self, row: Workflow, sent: dict[str, Any], kind: Remark.Kind) -> Remark:
        caller, text = self.caller, sent["text"]
        if isinstance(caller, Agent):
            if kind != Remark.Kind.ANSWER:
                raise Forbidden("Agents answer questions; people comment and ask.")
            return conversation.answer(row.pk, agent=caller, question=sent["questionId"], text=text)
        if kind == Remark.Kind.ANSWER:
            raise Forbidden("Only the agent that asked for approval answers questions.")
        say = conversation.ask if kind == Remark.Kind.QUESTION else conversation.comment
        return say(row.pk, user=caller, text=text, source=Source.API)

    def _drawn(self, remark: Remark) -> dict[str, Any]:
        data: dict[str, Any] = shapes.RemarkSerializer(remark, context={"caller": self.caller}).data
        return data


class DecideBatch(Endpoint):
    """`/api/v1/decisions/batch`."""

    @operation(
        id="decideBatch",
        summary="Answer several requests of one action type",
        tag=DECISIONS,
        permission=IsPerson,
        body=shapes.BatchSerializer,
        answer=shapes.BatchAnswerSerializer,
        answer_says="A result for each; some may not have counted.",
        body_examples={"Approve two": share_examples.BATCH},
        answer_examples={"One of two": share_examples.BATCH_ANSWER},
    )
    def post(self, request: Request) -> Response:
        """For people, at most 50. Each is decided by itself, on the fingerprint you saw.

        High risk is never approved in a batch. Look at every result: `recorded` says whether that
        answer counts.
        """
        body = self.read_body()
        credential = self.request.auth
        strength = credential.kind if isinstance(credential, Credential) else ""
        results = batch.decide(
            user=self.person, source=Source.API, strength=strength, **body.arguments
        )
        return Response({"results": [_result(one) for one in results]})


def _result(result: batch.Result) -> dict[str, Any]:
    decision = result.decided.decision if result.decided else None
    if result.workflow and not decision:
        result.workflow.refresh_from_db(fields=["status"])
    return {
        "workflowId": str(result.item.workflow_id),
        "recorded": result.is_recorded,
        "code": result.code,
        "detail": result.says,
        "status": str(result.workflow.status) if result.workflow else None,
        "decisionId": str(decision.pk) if decision else None,
        "isEffective": bool(decision and decision.is_effective),
    }
