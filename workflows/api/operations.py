"""What an operation is: who may call it, what goes in and out, what can go wrong.

One declaration serves the view (permission, parameters) and the OpenAPI document, so that neither
can say something that the other does not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from hitl.accounts import throttles
from hitl.accounts.models import Agent, User
from hitl.accounts.permissions import IsKnown
from hitl.lib.errors import NotFound
from workflows.api import queries
from workflows.api.errors import PROBLEMS
from workflows.api.parsers import StreamedRequest

Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True)
class Operation:
    """`problems` are the codes beyond those that every such operation can answer with."""

    id: str
    summary: str
    tag: str
    permission: type[BasePermission] = IsKnown
    query: type[queries.Query] | None = queries.Query  # None: whatever comes is overlooked
    body: type[serializers.BaseSerializer[Any]] | None = None
    answer: type[serializers.BaseSerializer[Any]] | Mapping[str, Any] | None = None
    status: int = 200
    answer_type: str = "application/json"
    answer_says: str = ""
    problems: tuple[str, ...] = ()
    body_examples: Mapping[str, Any] = field(default_factory=dict)
    answer_examples: Mapping[str, Any] = field(default_factory=dict)
    request_headers: Mapping[str, tuple[dict[str, Any], str]] = field(default_factory=dict)
    answer_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_public(self) -> bool:
        return self.permission is AllowAny

    def problem_codes(self, path: str) -> list[str]:
        """Every code this operation can answer with at `path`, in the order of the list."""
        codes = {*self.problems, "internal"}
        if self.query is not None:
            codes.add("validation")
        if not self.is_public:
            codes |= {"unauthenticated", "forbidden", "rate-limited", "unavailable"}
        if "{" in path:
            codes.add("not-found")
        if self.body is not None:
            codes |= {"too-large", "media-type"}
        return [code for code in PROBLEMS if code in codes]


def operation(**declaration: Any) -> Callable[[Handler], Handler]:
    """Declare what a view's method is; its docstring becomes the description."""

    def declare(handler: Handler) -> Handler:
        handler.operation = Operation(**declaration)  # type: ignore[attr-defined]
        return handler

    return declare


class Endpoint(APIView):
    """A path of the API. `params` are the validated query parameters."""

    # No OPTIONS: the document tells more.
    http_method_names: tuple[str, ...] = ("get", "post", "head")
    params: dict[str, Any]

    @property
    def operation(self) -> Operation | None:
        """The declaration of the method that is being called."""
        name = (self.request.method or "").lower()
        handler = getattr(self, "get" if name == "head" else name, None)
        return getattr(handler, "operation", None)

    @property
    def caller(self) -> Agent | User:
        """Who calls: permissions have seen to it that it is one of the two."""
        return self.request.user  # type: ignore[return-value]

    @property
    def agent(self) -> Agent:
        """The calling agent, where the permission lets agents in only."""
        return self.request.user  # type: ignore[return-value]

    @property
    def person(self) -> User:
        """The calling person, where the permission lets people in only."""
        return self.request.user  # type: ignore[return-value]

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        return StreamedRequest(
            request,
            parsers=self.get_parsers(),
            authenticators=self.get_authenticators(),
            negotiator=self.get_content_negotiator(),
            parser_context=self.get_parser_context(request),
        )

    def perform_authentication(self, request: Request) -> None:
        """Also counts: a caller who is known, or an address whose credentials are wrong."""
        try:
            super().perform_authentication(request)
        except AuthenticationFailed:
            throttles.count_miss(request._request)
            raise
        throttles.count(request)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        operation = self.operation
        if operation is not None and operation.query is not None:
            self.params = queries.read(operation.query, request.query_params)

    def get_permissions(self) -> Sequence[Any]:
        operation = self.operation
        if operation is not None:
            return [operation.permission()]
        # Nothing is declared: a method that is not there is a 405 for everybody.
        is_there = hasattr(self, (self.request.method or "").lower())
        return super().get_permissions() if is_there else []

    def read_body(self) -> Any:
        """The validated input serializer. Raises what makes a 400, 413 or 415."""
        operation = self.operation
        if operation is None or operation.body is None:
            raise TypeError("this operation takes no body")
        serializer = operation.body(data=self.request.data)
        serializer.is_valid(raise_exception=True)
        return serializer


def id_in_path(text: str) -> UUID:
    """The id in a path. What is no UUID is as absent as what is another team's."""
    try:
        return queries.parse_uuid(text)
    except ValueError:
        raise NotFound("There is no such workflow.") from None
