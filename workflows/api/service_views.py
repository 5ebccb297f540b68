"""Whether the server is there: for the seed's clients, for load balancers and for supervisors."""

from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from workflows.api.operations import Endpoint, operation
from workflows.api.renderers import PlainTextRenderer
from workflows.api.serializers import HealthSerializer


class Ping(Endpoint):
    """`/ping`."""

    authentication_classes = ()
    renderer_classes = (PlainTextRenderer,)

    @operation(
        id="ping",
        summary="Is anybody there?",
        tag="Service",
        permission=AllowAny,
        query=None,
        answer={"type": "string", "const": "pong"},
        answer_type="text/plain",
        answer_says="The server answers.",
        answer_examples={"Pong": "pong"},
    )
    def get(self, request: Request) -> Response:
        """Answers `pong`. Needs no credentials and touches no database."""
        return Response("pong")


class Health(Endpoint):
    """`/healthz`."""

    authentication_classes = ()

    @operation(
        id="health",
        summary="Is the process alive?",
        tag="Service",
        permission=AllowAny,
        query=None,
        answer=HealthSerializer,
        answer_says="The process answers.",
        answer_examples={"Alive": {"status": "ok"}},
    )
    def get(self, request: Request) -> Response:
        """For supervisors: the process takes requests. Says nothing of database or broker."""
        return Response({"status": "ok"})
