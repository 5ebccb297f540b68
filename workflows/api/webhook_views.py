"""Webhook endpoints and their log: for managers, and for agents whose key has the scope."""

import datetime as dt
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from events.models import WebhookEndpoint, WebhookMessage
from events.webhooks import endpoints, replays, selectors
from hitl.accounts.models import User
from hitl.accounts.permissions import MayManageWebhooks
from hitl.lib import canonical
from hitl.lib.db import database_now
from hitl.lib.errors import NotFound
from workflows.api import filters, queries, webhook_examples, webhook_serializers
from workflows.api.operations import Endpoint, operation

TAG = "Webhooks"
_ANSWER: dict[str, Any] = {
    "tag": TAG,
    "permission": MayManageWebhooks,
    "answer": webhook_serializers.WebhookSerializer,
    "answer_examples": {"Endpoint": webhook_examples.WEBHOOK},
}


def represent(endpoint: WebhookEndpoint, secret: str = "") -> dict[str, Any]:
    """The endpoint as its managers see it, with a secret where one was just made."""
    rows = WebhookEndpoint.objects.filter(pk=endpoint.pk)
    loaded = selectors.with_secrets(rows, database_now()).get()
    data: dict[str, Any] = webhook_serializers.WebhookSerializer(loaded).data
    return data | ({"secret": secret} if secret else {})


class WebhookView(Endpoint):
    """A path below one endpoint."""

    http_method_names = ("get", "post", "patch", "delete", "head")

    def endpoint(self, webhook_id: str) -> WebhookEndpoint:
        """The endpoint in the path, if the caller looks after it."""
        return selectors.get(_id(webhook_id, endpoints.NO_ENDPOINT), self.caller)


class Webhooks(WebhookView):
    """`/api/v1/webhooks`."""

    @operation(
        id="listWebhooks",
        summary="List webhook endpoints",
        tag=TAG,
        permission=MayManageWebhooks,
        query=webhook_serializers.WebhookListQuery,
        answer=webhook_serializers.WebhookPageSerializer,
        answer_says="One page.",
        answer_examples={"Page": {"items": [webhook_examples.WEBHOOK], "nextCursor": None}},
    )
    def get(self, request: Request) -> Response:
        """The endpoints of the teams you manage, newest first."""
        rows = selectors.with_secrets(selectors.managed_by(self.caller), database_now())
        page = filters.newest_first(rows, self.params)
        items = [webhook_serializers.WebhookSerializer(row).data for row in page.items]
        return Response({"items": items, "nextCursor": page.next_cursor})

    @operation(
        id="createWebhook",
        summary="Add a webhook endpoint",
        tag=TAG,
        permission=MayManageWebhooks,
        body=webhook_serializers.NewWebhookSerializer,
        answer=webhook_serializers.IssuedWebhookSerializer,
        status=201,
        answer_says="The endpoint, with its secret: it is not shown again.",
        problems=("not-found",),
        body_examples=webhook_examples.NEW,
        answer_examples={"Added": webhook_examples.ISSUED},
    )
    def post(self, request: Request) -> Response:
        """From now on, events of the team are posted there, signed after Standard Webhooks.

        At least once, in no promised order: look at `seq`, and remember `webhook-id`s. Tries go on
        for three days; then the message is parked and can be replayed.
        """
        body = self.read_body()
        sent = body.changes
        team_id = selectors.home(self.caller, sent.pop("teamId", None))
        person = self.caller if isinstance(self.caller, User) else None
        issued = endpoints.create(team_id=team_id, created_by=person, **sent)
        return Response(represent(issued.endpoint, issued.secret), status=201)


class OneWebhook(WebhookView):
    """`/api/v1/webhooks/{id}`."""

    @operation(
        id="getWebhook",
        summary="Get a webhook endpoint",
        answer_says="The endpoint, without its secret.",
        **_ANSWER,
    )
    def get(self, request: Request, webhook_id: str) -> Response:
        """How it is set and how it does."""
        return Response(represent(self.endpoint(webhook_id)))

    @operation(
        id="changeWebhook",
        summary="Change a webhook endpoint, switch it on or off",
        body=webhook_serializers.ChangeWebhookSerializer,
        answer_says="The endpoint as it is now.",
        body_examples={"Switch on again": {"isActive": True}},
        **_ANSWER,
    )
    def patch(self, request: Request, webhook_id: str) -> Response:
        """Change what is named. Messages that wait keep the body they have."""
        endpoint = self.endpoint(webhook_id)
        return Response(represent(endpoints.change(endpoint.pk, self.read_body().changes)))

    @operation(
        id="deleteWebhook",
        summary="Delete a webhook endpoint",
        tag=TAG,
        permission=MayManageWebhooks,
        status=204,
        answer_says="It is gone, with its log.",
    )
    def delete(self, request: Request, webhook_id: str) -> Response:
        """Nothing more is posted there."""
        endpoints.remove(self.endpoint(webhook_id).pk)
        return Response(status=204)


class RotateWebhook(WebhookView):
    """`/api/v1/webhooks/{id}/rotate`."""

    @operation(
        id="rotateWebhookSecret",
        summary="Replace the secret",
        tag=TAG,
        permission=MayManageWebhooks,
        body=webhook_serializers.RotateSerializer,
        answer=webhook_serializers.IssuedWebhookSerializer,
        answer_says="The endpoint, with its new secret: it is not shown again.",
        body_examples={"It has leaked": {"overlapHours": 0}},
        answer_examples={"Rotated": webhook_examples.ISSUED},
    )
    def post(self, request: Request, webhook_id: str) -> Response:
        """Make a new secret; for a while the old one signs beside it. The body may be left out."""
        endpoint, sent = self.endpoint(webhook_id), self.read_body().validated_data
        issued = endpoints.rotate(
            endpoint.pk,
            overlap=dt.timedelta(hours=sent["overlapHours"]),
            signature=sent.get("signature", ""),
        )
        return Response(represent(issued.endpoint, issued.secret))


class TestWebhook(WebhookView):
    """`/api/v1/webhooks/{id}/test`."""

    @operation(
        id="testWebhook",
        summary="Send a test",
        tag=TAG,
        permission=MayManageWebhooks,
        answer=webhook_serializers.WebhookMessageSerializer,
        status=202,
        answer_says="The message, on its way: look at it in a second.",
        problems=("webhook-off",),
        answer_examples={"Waiting": webhook_examples.TEST},
    )
    def post(self, request: Request, webhook_id: str) -> Response:
        """Post a `webhook.test`, signed like everything else."""
        message = endpoints.send_test(self.endpoint(webhook_id).pk)
        return Response(webhook_serializers.WebhookMessageSerializer(message).data, status=202)


class WebhookMessages(WebhookView):
    """`/api/v1/webhooks/{id}/messages`."""

    @operation(
        id="listWebhookMessages",
        summary="Read the log of an endpoint",
        tag=TAG,
        permission=MayManageWebhooks,
        query=webhook_serializers.WebhookMessageListQuery,
        answer=webhook_serializers.WebhookMessagePageSerializer,
        answer_says="One page.",
        answer_examples={"Page": {"items": [webhook_examples.MESSAGE], "nextCursor": None}},
    )
    def get(self, request: Request, webhook_id: str) -> Response:
        """Its messages, newest first, and what became of them."""
        page = filters.webhook_messages(self.endpoint(webhook_id), self.params)
        items = [webhook_serializers.WebhookMessageSerializer(row).data for row in page.items]
        return Response({"items": items, "nextCursor": page.next_cursor})


class WebhookMessageView(WebhookView):
    """A path below one message."""

    def message(self, webhook_id: str, message_id: str) -> WebhookMessage:
        """The message in the path."""
        endpoint = self.endpoint(webhook_id)
        return selectors.message(endpoint, _id(message_id, replays.NO_MESSAGE))


class OneWebhookMessage(WebhookMessageView):
    """`/api/v1/webhooks/{id}/messages/{id}`."""

    @operation(
        id="getWebhookMessage",
        summary="Look at a message, its tries and their answers",
        tag=TAG,
        permission=MayManageWebhooks,
        answer=webhook_serializers.WebhookMessageDetailSerializer,
        answer_says="The message with its body and every try.",
        answer_examples={"Delivered": webhook_examples.MESSAGE_DETAIL},
    )
    def get(self, request: Request, webhook_id: str, message_id: str) -> Response:
        """What was sent, and what came back."""
        message = self.message(webhook_id, message_id)
        data = dict(webhook_serializers.WebhookMessageDetailSerializer(message).data)
        return Response(data | {"body": canonical.loads(message.body)})


class ResendWebhookMessage(WebhookMessageView):
    """`/api/v1/webhooks/{id}/messages/{id}/resend`."""

    @operation(
        id="resendWebhookMessage",
        summary="Send a message again",
        tag=TAG,
        permission=MayManageWebhooks,
        answer=webhook_serializers.WebhookMessageSerializer,
        answer_says="The message, pending again.",
        problems=("webhook-off", "cannot-resend"),
        answer_examples={"Pending": webhook_examples.TEST},
    )
    def post(self, request: Request, webhook_id: str, message_id: str) -> Response:
        """Whatever became of it: the same body under the same `webhook-id`, with all its tries."""
        message = self.message(webhook_id, message_id)
        replays.resend(message.endpoint_id, message.pk)
        again = self.message(webhook_id, message_id)
        return Response(webhook_serializers.WebhookMessageSerializer(again).data)


class ReplayWebhook(WebhookView):
    """`/api/v1/webhooks/{id}/replay`."""

    @operation(
        id="replayWebhook",
        summary="Send the events of a time range",
        tag=TAG,
        permission=MayManageWebhooks,
        body=webhook_serializers.ReplaySerializer,
        answer=webhook_serializers.ReplayedSerializer,
        status=202,
        answer_says="How many messages are on their way.",
        problems=("webhook-off",),
        body_examples={"A day": {"since": "2026-11-23T00:00:00Z", "until": "2026-11-24T00:00:00Z"}},
        answer_examples={"On their way": {"added": 12, "requeued": 3}},
    )
    def post(self, request: Request, webhook_id: str) -> Response:
        """Everything that has not arrived, also from when the endpoint was off or not there yet.

        At most 10,000 events at once. Messages keep the `webhook-id` they had or would have had.
        """
        endpoint, sent = self.endpoint(webhook_id), self.read_body().validated_data
        done = replays.replay(
            endpoint.pk,
            since=sent["since"],
            until=sent["until"],
            delivered=sent["includeDelivered"],
        )
        return Response({"added": done.added, "requeued": done.requeued}, status=202)


def _id(text: str, absent: str) -> UUID:
    """The id in the path. What is no UUID is as absent as what is another team's."""
    try:
        return queries.parse_uuid(text)
    except ValueError:
        raise NotFound(absent) from None
