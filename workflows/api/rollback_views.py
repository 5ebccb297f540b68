"""The API of a request's states, and of going back to one."""

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from events.types import Source
from hitl.accounts.authentication import Credential
from hitl.accounts.permissions import IsPerson, MayRead
from hitl.lib.errors import NotFound
from workflows import history, rollback, selectors
from workflows.api import queries, rollback_examples
from workflows.api import rollback_serializers as shapes
from workflows.api.operations import Endpoint, id_in_path, operation
from workflows.api.views import DECISIONS, WORKFLOWS, represent


class States(Endpoint):
    """`/api/v1/workflows/{id}/snapshots`."""

    @operation(
        id="listSnapshots",
        summary="List the states of a request",
        tag=WORKFLOWS,
        permission=MayRead,
        query=queries.EventListQuery,
        answer=shapes.StatePageSerializer,
        answer_says="States in order.",
        answer_examples={
            "Rejected": {
                "items": [rollback_examples.CREATED_STATE, rollback_examples.REJECTED_STATE],
                "nextAfter": None,
            }
        },
    )
    def get(self, request: Request, workflow_id: str) -> Response:
        """Every state the request has been in: one after each event, numbered like it."""
        workflow = selectors.get(id_in_path(workflow_id), self.caller)
        limit = self.params["limit"]
        rows = list(history.states(workflow.pk, after=self.params["after"])[: limit + 1])
        items = [shapes.StateSerializer(row).data for row in rows[:limit]]
        more = rows[limit - 1].seq if len(rows) > limit else None
        return Response({"items": items, "nextAfter": more})


class OneState(Endpoint):
    """`/api/v1/workflows/{id}/snapshots/{seq}`."""

    @operation(
        id="getSnapshot",
        summary="Get one state",
        tag=WORKFLOWS,
        permission=MayRead,
        answer=shapes.WholeStateSerializer,
        answer_says="The state, complete.",
        answer_examples={"The first": rollback_examples.WHOLE_STATE},
    )
    def get(self, request: Request, workflow_id: str, seq: str) -> Response:
        """The complete state of the request as it was after one event."""
        workflow = selectors.get(id_in_path(workflow_id), self.caller)
        found = history.state(workflow.pk, _seq_in_path(seq))
        return Response(shapes.WholeStateSerializer(found).data)


class StateDiff(Endpoint):
    """`/api/v1/workflows/{id}/snapshots/diff`."""

    @operation(
        id="diffSnapshots",
        summary="Compare two states",
        tag=WORKFLOWS,
        permission=MayRead,
        query=queries.StateDiffQuery,
        answer=shapes.StateDifferenceSerializer,
        answer_says="What lies between them.",
        answer_examples={"To a rejection": rollback_examples.DIFFERENCE},
    )
    def get(self, request: Request, workflow_id: str) -> Response:
        """What turns the state of `from` into that of `to`, in either direction.

        `operations` for machines (RFC 6902), `changes` in plain words for people.
        """
        workflow = selectors.get(id_in_path(workflow_id), self.caller)
        found = history.difference(workflow.pk, self.params["from"], self.params["to"])
        return Response(shapes.StateDifferenceSerializer(found).data)


class RollBack(Endpoint):
    """`/api/v1/workflows/{id}/rollback`."""

    @operation(
        id="rollBackWorkflow",
        summary="Go back to an earlier state",
        tag=DECISIONS,
        permission=IsPerson,
        body=shapes.RollBackSerializer,
        answer=shapes.RolledBackSerializer,
        answer_says="What came of it.",
        problems=("illegal-transition", "step-up-needed"),
        body_examples=rollback_examples.ROLLBACKS,
        answer_examples={"Asked again": rollback_examples.ROLLED_BACK},
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """A new event that restores an earlier state in a new round; nothing is edited.

        APPROVED (not started), REJECTED, TIMEOUT or FAILED back to PENDING asks people again: what
        was answered before counts no more. FAILED back to APPROVED runs again under the same
        approval, for managers only. COMPLETED asks for approval of the compensation that the action
        type declares. Anything else is a 409 that says what is possible.
        """
        sent = self.read_body().validated_data
        row = selectors.get(id_in_path(workflow_id), self.caller)
        credential = self.request.auth
        rolled = rollback.roll_back(
            row.pk,
            user=self.person,
            to_seq=sent["toSeq"],
            reason=sent["reason"],
            source=Source.API,
            round=sent.get("round"),
            acknowledged=sent.get("acknowledgeUnknownEffects", False),
            strength=credential.kind if isinstance(credential, Credential) else "",
        )
        return Response(self._drawn(rolled))

    def _drawn(self, rolled: rollback.RolledBack) -> dict[str, Any]:
        asked = rolled.compensation
        return {
            "outcome": str(rolled.way),
            "workflow": represent(rolled.workflow, self.caller),
            "compensation": represent(asked, self.caller) if asked else None,
        }


def _seq_in_path(text: str) -> int:
    """The number in a path; what is none is as absent as one that no event has."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise NotFound("There is no such state.")
    return min(int(text), queries.LAST_SEQ)
