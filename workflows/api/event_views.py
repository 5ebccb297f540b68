"""What happened, for agents and people: one request's timeline, and the feed of a team."""

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from events import feed
from events import selectors as events
from events.feed import START, Position
from events.models import Event
from events.tails import Wanted
from hitl.accounts import standing
from hitl.accounts.authentication import Credential
from hitl.accounts.permissions import MayRead
from hitl.lib.errors import FieldError, InvalidInput
from workflows import selectors
from workflows.api import event_serializers, examples, queries, streaming
from workflows.api.event_serializers import FeedEventSerializer
from workflows.api.longpoll import RETRY_SECONDS
from workflows.api.operations import Endpoint, id_in_path, operation
from workflows.api.renderers import encode
from workflows.api.streaming import Order

EVENTS = "Events"
STREAM_TYPE = "text/event-stream"


class Timeline(Endpoint):
    """`/api/v1/workflows/{id}/events`."""

    @operation(
        id="listEvents",
        summary="Read the timeline",
        tag=EVENTS,
        permission=MayRead,
        query=queries.EventListQuery,
        answer=event_serializers.EventPageSerializer,
        answer_says="Events in order.",
        answer_examples={"First event": {"items": [examples.EVENT], "nextAfter": None}},
    )
    def get(self, request: Request, workflow_id: str) -> Response:
        """What happened, in order, each event with the complete state after it.

        Events are never changed or removed; their numbers have no gaps, and each carries the hash
        of the one before.
        """
        workflow = selectors.get(id_in_path(workflow_id), self.caller)
        limit = self.params["limit"]
        rows = list(events.timeline(workflow.pk, after=self.params["after"])[: limit + 1])
        items = [event_serializers.EventSerializer(row).data for row in rows[:limit]]
        more = rows[limit - 1].seq if len(rows) > limit else None
        return Response({"items": items, "nextAfter": more})


class Following(Endpoint):
    """What the ways to follow the feed have in common."""

    @property
    def wanted(self) -> Wanted:
        """The filters of the query."""
        types = self.params.get("type")
        return Wanted(None if types is None else frozenset(types), self.params.get("workflowId"))

    def leave_order(self, request: Request, after: Position | None, **more: int) -> bool:
        """Leave the waiting to who can do it without a thread; False where nobody can."""
        credential: Credential = request.auth  # type: ignore[assignment]  # each of our classes' is
        listener = standing.listener(self.caller, credential, selectors.teams_of(self.caller))
        return streaming.leave(request._request, Order(listener, after, self.wanted, **more))

    def look(self, after: Position | None, limit: int) -> tuple[list[Event], Position]:
        """The next events behind a place (None: behind all), and where to go on."""
        teams = selectors.teams_of(self.caller)
        # Taken before the rows are read: whatever is behind it has been looked at.
        newest = feed.newest(teams)
        if after is None:
            return [], newest
        wanted = self.wanted
        rows = feed.read(
            after, limit=limit, teams=teams, types=wanted.types, workflow_id=wanted.workflow_id
        )
        end = Position.of(rows[-1]) if rows else after
        return rows, end if len(rows) == limit else max(end, newest)


class Feed(Following):
    """`/api/v1/events`."""

    @operation(
        id="readFeed",
        summary="Read what happened since",
        tag=EVENTS,
        permission=MayRead,
        query=queries.FeedQuery,
        answer=event_serializers.FeedPageSerializer,
        answer_says="Events in the feed's order, and the cursor behind them.",
        answer_examples={"One event": examples.FEED_PAGE},
    )
    def get(self, request: Request) -> Response:
        """The events of all of your team's requests, each request's in order.

        Keep `next` and send it as `after` the next time, as soon as you like: a follower that does
        so misses nothing and sees nothing twice, whatever fails in between. An empty page means
        that there is nothing new; with `wait`, the answer comes with the first event. Begin with
        `after=latest` for news only.
        """
        wait, limit = self.params["wait"], self.params["limit"]
        rows, end = self.look(self.params.get("after", START), limit)
        items = [FeedEventSerializer(row).data for row in rows]
        answer = Response({"items": items, "next": str(end)})
        if wait and not rows and not self.leave_order(request, end, limit=limit, seconds=wait):
            answer["Retry-After"] = str(RETRY_SECONDS)
        return answer


class Stream(Following):
    """`/api/v1/events/stream`."""

    @operation(
        id="streamFeed",
        summary="Follow what happens",
        tag=EVENTS,
        permission=MayRead,
        query=queries.StreamQuery,
        request_headers={
            "Last-Event-ID": (
                {"type": "string"},
                "The last `id` that arrived: go on behind it, whatever `after` says. Sent by "
                "EventSource when it comes back.",
            )
        },
        answer={"type": "string"},
        answer_type="text/event-stream",
        answer_says="Server-Sent Events that do not end.",
        answer_examples={"One event": examples.FEED_STREAM},
        problems=("rate-limited",),
    )
    def get(self, request: Request) -> HttpResponse:
        """The feed as Server-Sent Events: `id` is the cursor, `event` the type, `data` the event.

        The connection stays open, with a word every 15 seconds. When it breaks, come back with the
        last `id` in `Last-Event-ID` (EventSource does so by itself): nothing is missed, nothing
        comes twice. A block without `data` moves the cursor only. It ends when the credential is
        not good any more; each credential may hold a limited number of them.
        """
        after = self._after(request)
        answer = HttpResponse(content_type=STREAM_TYPE, headers={"X-Accel-Buffering": "no"})
        if not self.leave_order(request, after):
            rows, end = self.look(after, queries.MAX_PAGE)
            answer.write(f"retry: {streaming.RETRY_MILLISECONDS}\n\n")
            for row in rows:
                text = encode(FeedEventSerializer(row).data)
                answer.write(streaming.block(str(Position.of(row)), row.type, text))
            answer.write(streaming.place(end))
        return answer

    def _after(self, request: Request) -> Position | None:
        """Where the client stands. Raises InvalidInput for what is no place."""
        sent = request.headers.get("Last-Event-ID", "")
        if not sent:
            after: Position | None = self.params.get("after", START)
            return after
        try:
            return Position.parse(sent)
        except ValueError:
            message = "This is no cursor of the feed. Send the last `id` as it came."
            raise InvalidInput(
                f"In Last-Event-ID: {message}", [FieldError("Last-Event-ID", message)]
            ) from None
