"""Receipts over the API: fetch one, verify one, use one up; and the keys that verify them."""

from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from hitl.accounts.models import User
from hitl.accounts.permissions import MayExecute, MayRead
from hitl.lib import signing_keys
from workflows import receipts
from workflows.api import receipt_examples as examples
from workflows.api import receipt_serializers as shapes
from workflows.api.operations import Endpoint, id_in_path, operation

RECEIPTS = "Receipts"
# A key that is replaced is published long before and after it signs (docs/receipts.md).
CACHE_SECONDS = 300


class MayReadOrExecute(MayExecute):
    """A person, or an agent whose key may read or execute: an executor needs no more than that."""

    message = "This API key lacks the scopes `read` and `execute`; one of them is needed."

    def has_permission(self, request: Request, view: object) -> bool:
        if isinstance(request.user, User):
            return True
        return super().has_permission(request, view) or MayRead().has_permission(request, view)


class Issue(Endpoint):
    """`/api/v1/workflows/{id}/receipt`."""

    @operation(
        id="issueReceipt",
        summary="Get a receipt of the approval",
        tag=RECEIPTS,
        permission=MayExecute,
        body=shapes.NewReceiptSerializer,
        answer=shapes.ReceiptSerializer,
        status=201,
        answer_says="The receipt, which is not shown again.",
        problems=(
            "not-approved",
            "receipt-consumed",
            "execution-conflict",
            "reconciling",
            "conflict",
        ),
        body_examples={"For one executor": {"audience": "billing.example.com", "ttlSeconds": 120}},
        answer_examples={"Issued": examples.ISSUED},
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        """Signed proof of who approved what, for whoever acts: only for the agent that asked.

        While the request is APPROVED or EXECUTING, and as long as no receipt of this approval has
        been used. A fresh one replaces the one before. Not for actions that the server carries out
        itself. The body may be left out.
        """
        sent = self.read_body().validated_data
        made = receipts.issue(
            id_in_path(workflow_id),
            agent=self.agent,
            audience=sent.get("audience", ""),
            seconds=sent["ttlSeconds"],
        )
        return Response(shapes.issued(made), status=201)


class Verify(Endpoint):
    """`/api/v1/receipts/verify`."""

    @operation(
        id="verifyReceipt",
        summary="Look whether a receipt is valid",
        tag=RECEIPTS,
        permission=MayReadOrExecute,
        body=shapes.PresentedSerializer,
        answer=shapes.CheckedSerializer,
        answer_says="Whether somebody may act on it now.",
        body_examples={"With what the executor knows": examples.PRESENTED},
        answer_examples={"Valid": examples.VALID, "Used": examples.USED},
    )
    def post(self, request: Request) -> Response:
        """Signature, time, audience, data, and whether the approval is still in force and unused.

        For anybody of the same team; what belongs to another team is `unknown`. It changes
        nothing: before acting, `consume`.
        """
        shown = self.read_body().presented
        return Response(shapes.checked(receipts.verify(shown, caller=self.caller)))


class Consume(Endpoint):
    """`/api/v1/receipts/consume`."""

    @operation(
        id="consumeReceipt",
        summary="Use a receipt up before acting",
        tag=RECEIPTS,
        permission=MayExecute,
        body=shapes.ConsumeSerializer,
        answer=shapes.ConsumedSerializer,
        answer_says="It is yours: act now, once.",
        problems=("receipt-invalid", "receipt-consumed"),
        body_examples={"By an executor": examples.PRESENTED | {"consumer": "billing/7"}},
        answer_examples={"Used": examples.CONSUMED},
    )
    def post(self, request: Request) -> Response:
        """The same checks as `verify`, and the receipt is used in the same moment.

        For any agent of the same team with the scope `execute`. Of any number of calls exactly one
        succeeds; whoever gets anything but 200 must not act. Where an answer got lost, `verify`
        tells in `consumedBy` whose call it was.
        """
        body = self.read_body()
        consumer = body.validated_data.get("consumer", "")
        found = receipts.consume(body.presented, agent=self.agent, consumer=consumer)
        return Response(shapes.consumed(found))


class Jwks(Endpoint):
    """`/.well-known/jwks.json`."""

    authentication_classes = ()

    @operation(
        id="getSigningKeys",
        summary="The keys that verify our signatures",
        tag=RECEIPTS,
        permission=AllowAny,
        query=None,
        answer=shapes.JwksSerializer,
        answer_says="Every key that verifies; the one that signs stands first.",
        answer_examples={"One key": examples.JWKS},
        answer_headers={"Cache-Control": "How long the set may be kept."},
        problems=("rate-limited", "unavailable"),
    )
    def get(self, request: Request) -> Response:
        """Public and cacheable. Look a key up by `kid`, and take it for `EdDSA` only."""
        headers = {"Cache-Control": f"public, max-age={CACHE_SECONDS}"}
        return Response(signing_keys.jwks(), headers=headers)
