"""Messages about a request: whether they got through, and "send again"."""

from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from deliveries.models import Delivery
from hitl.accounts.models import Agent, User
from hitl.accounts.permissions import IsPerson, MayRead
from hitl.lib.errors import NotFound
from workflows import selectors, services
from workflows.api import delivery_serializers, examples, filters, queries
from workflows.api.operations import Endpoint, id_in_path, operation

TAG = "Deliveries"


def represent(delivery: Delivery, caller: Agent | User) -> dict[str, Any]:
    """A message as this caller sees it."""
    context = {"caller": caller}
    data: dict[str, Any] = delivery_serializers.DeliverySerializer(delivery, context=context).data
    return data


class Deliveries(Endpoint):
    """`/api/v1/workflows/{id}/deliveries`."""

    @operation(
        id="listDeliveries",
        summary="List the messages about a request",
        tag=TAG,
        permission=MayRead,
        query=queries.DeliveryListQuery,
        answer=delivery_serializers.DeliveryPageSerializer,
        answer_says="One page.",
        answer_examples={"Page": {"items": [examples.DELIVERY], "nextCursor": None}},
    )
    def get(self, request: Request, workflow_id: str) -> Response:
        """Who was written to over which channel, and what became of it, oldest first.

        A message that failed for good has status `failed` and says why in `lastError`; the next
        channel of the same person has then been tried, where there is one.
        """
        workflow = selectors.get(id_in_path(workflow_id), self.caller)
        page = filters.deliveries(workflow, self.params)
        items = [represent(row, self.caller) for row in page.items]
        return Response({"items": items, "nextCursor": page.next_cursor})


class RetryDelivery(Endpoint):
    """`/api/v1/deliveries/{id}/retry`."""

    @operation(
        id="retryDelivery",
        summary="Send a message again",
        tag=TAG,
        permission=IsPerson,
        answer=delivery_serializers.DeliverySerializer,
        answer_says="The message, pending again.",
        problems=("cannot-resend",),
        answer_examples={"Pending": examples.RESENT},
    )
    def post(self, request: Request, delivery_id: str) -> Response:
        """Try a failed or waiting message again at once: for approvers and managers of the team.

        Refused while it is being sent, after it went out, and once nobody needs to be asked.
        """
        delivery = selectors.delivery(_id(delivery_id), self.person)
        # A refusal tells where the request stands, and only the message is named in the path.
        self.kwargs["workflow_id"] = str(delivery.workflow_id)
        services.resend(delivery.pk, user=self.person)
        return Response(represent(selectors.delivery(delivery.pk, self.person), self.caller))


def _id(text: str) -> UUID:
    """The id in the path. What is no UUID is as absent as what is another team's."""
    try:
        return queries.parse_uuid(text)
    except ValueError:
        raise NotFound(selectors.NO_MESSAGE) from None
