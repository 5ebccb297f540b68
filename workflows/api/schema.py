"""The OpenAPI document, drawn from the declarations of the operations, problems included."""

from itertools import groupby
from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema as SpectacularSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from hitl.accounts.authentication import COOKIE
from hitl.accounts.permissions import IsPerson, MayCreate, MayExecute
from workflows.api import errors, serializers
from workflows.api.fields import Strict
from workflows.api.operations import Operation
from workflows.api.queries import LAST_SEQ

UUID_SCHEMA = {"type": "string", "format": "uuid"}
SEQ_SCHEMA = {"type": "integer", "minimum": 1, "maximum": LAST_SEQ}
RETRY_LATER = (429, 503)
AGENTS = ("apiKey", "apiKeyHeader", "jwt", "jwtCookie")
PATH_IDS = ("workflow_id", "delivery_id", "webhook_id", "message_id", "policy_id")
PEOPLE = ("jwt", "jwtCookie", "session")
_WHO = {MayCreate: AGENTS, MayExecute: AGENTS, IsPerson: PEOPLE}


class AutoSchema(SpectacularSchema):
    """Reads `Operation` instead of guessing."""

    @property
    def _operation(self) -> Operation | None:
        return getattr(getattr(self.view, self.method.lower(), None), "operation", None)

    def is_excluded(self) -> bool:
        return self._operation is None

    def get_operation_id(self) -> str:
        return self._known.id

    def get_summary(self) -> str:
        return self._known.summary

    def get_tags(self) -> list[str]:
        return [self._known.tag]

    def get_auth(self) -> list[dict[str, Any]]:
        who = _WHO.get(self._known.permission)
        return [each for each in super().get_auth() if who is None or next(iter(each), "") in who]

    def get_override_parameters(self) -> list[Any]:
        known = self._known
        parameters: list[Any] = [known.query] if known.query and known.query().fields else []
        for name in PATH_IDS:
            if f"{{{name}}}" in self.path:
                parameters.append(OpenApiParameter(name, UUID_SCHEMA, "path"))
        if "{seq}" in self.path:
            parameters.append(OpenApiParameter("seq", SEQ_SCHEMA, "path"))
        for name, (form, says) in known.request_headers.items():
            parameters.append(OpenApiParameter(name, form, "header", description=says))
        for name, says in known.answer_headers.items():
            parameters.append(
                OpenApiParameter(name, str, "header", description=says, response=[known.status])
            )
        refused = {errors.PROBLEMS[code].status for code in known.problem_codes(self.path)}
        if later := sorted(refused & set(RETRY_LATER)):
            says = "Seconds after which to try again."
            parameters.append(
                OpenApiParameter("Retry-After", int, "header", description=says, response=later)
            )
        return parameters

    def get_request_serializer(self) -> Any:
        return self._known.body

    def get_response_serializers(self) -> Any:
        known = self._known
        answers: dict[Any, Any] = {
            (known.status, known.answer_type): OpenApiResponse(
                known.answer, known.answer_says, _examples(known.answer_examples)
            )
        }
        kinds = [(errors.PROBLEMS[code], code) for code in known.problem_codes(self.path)]
        for status, group in groupby(kinds, key=lambda pair: pair[0].status):
            codes = [code for _, code in group]
            answers[(status, errors.MEDIA_TYPE)] = OpenApiResponse(
                serializers.ProblemSerializer,
                " or ".join(f"`{code}`" for code in codes),
                _examples({code: self._problem(code) for code in codes}),
            )
        return answers

    def get_examples(self) -> list[OpenApiExample]:
        return [
            OpenApiExample(name, value, request_only=True)
            for name, value in self._known.body_examples.items()
        ]

    def _postprocess_serializer_schema(
        self, schema: dict[str, Any], serializer: Any, direction: str
    ) -> dict[str, Any]:
        """Say that what is not listed is refused, and what excludes what."""
        parent: Any = super()  # untyped
        schema = parent._postprocess_serializer_schema(schema, serializer, direction)
        if isinstance(serializer, Strict):
            schema["additionalProperties"] = False
            pairs = [{"required": list(pair)} for pair in serializer.ALTERNATIVES]
            if pairs:
                schema["not"] = {"anyOf": pairs}
        return schema

    @property
    def _known(self) -> Operation:
        operation = self._operation
        if operation is None:
            raise TypeError(f"{self.method} {self.path} declares no operation")
        return operation

    def _problem(self, code: str) -> dict[str, Any]:
        kind = errors.PROBLEMS[code]
        problem = errors.Problem(code, kind.example)
        return problem.document(path=self.path, request_id="b1946ac92492d2347c6235b4d2611184")


GUIDE = """\
A person between an AI agent and the thing it wants to do.

An agent asks (`POST /api/v1/workflows`), waits (`GET …/{{workflowId}}?wait=30`), and once somebody
has approved claims the action (`…/execution/start`), carries out exactly the `data` it is given,
and reports (`…/execution/complete` or `fail`).

**Credentials.** Agents: `Authorization: Bearer hitl_agt_…` or `X-API-Key`. People: a JWT (HS256) in
`Authorization: Bearer` or the cookie `accessToken`, or the dashboard's session; cookies need a CSRF
token on unsafe methods. A key has scopes: `create` (ask, withdraw), `read`, `execute` (report).

**Bodies** are JSON in UTF-8, at most {limit} bytes, nested at most 32 levels, read strictly:
duplicate keys, NaN, whole numbers beyond ±(2^53 - 1) and fields that are not listed are refused.

**Repeating** a creation is safe with an `Idempotency-Key`: the first answer is kept for {hours}
hours, and as long as the request is open. Decisions, cancellations and reports may be repeated as
they are.

**Limits.** One credential may ask 6000 times a minute, unless the operator says otherwise. Beyond
it, and for an address that sends wrong credentials without end, the answer is 429 (`rate-limited`):
nothing was done; wait for as many seconds as `Retry-After` says.

**Lists** come in pages; follow `nextCursor`. They are never counted.

**Errors** are problem documents (RFC 9457) of type `application/problem+json`. Key on `code`:

| code | status | title |
| --- | --- | --- |
{problems}

What you may not see does not exist for you: another team's workflow is a 404. An error with status
409 tells in `workflowStatus` where the request stands.
"""

TAGS = {
    "Workflows": "Ask for approvals and follow them.",
    "Decisions": "For people.",
    "Execution": "Carry out what was approved.",
    "Receipts": "Proof of an approval for whoever is to act on it (docs/receipts.md).",
    "Deliveries": "Messages about a request, and whether they got through.",
    "Events": "What happened: follow one request, or all of a team's.",
    "Webhooks": "Where we post what happens, signed after Standard Webhooks (docs/webhooks.md).",
    "Policies": "Who must answer, how many, by when: for managers of a team.",
    "Rules": "What is decided without a person, and what needs which policy: for managers.",
    "Statistics": "How long people take, and what they answer (docs/statistics.md).",
    "Action types": "What a team has declared about kinds of actions.",
    "Service": "Is the server there?",
}


def describe(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Hook of the generator: what holds for every operation, and what the tags mean."""
    problems = "\n".join(
        f"| `{code}` | {kind.status} | {kind.title} |" for code, kind in errors.PROBLEMS.items()
    )
    result["info"]["description"] = GUIDE.format(
        limit=settings.MAX_BODY_BYTES,
        hours=settings.IDEMPOTENCY_KEY_HOURS,
        problems=problems,
        rate="6000 times a minute",
    )
    result["tags"] = [{"name": name, "description": says} for name, says in TAGS.items()]
    return result


def _examples(values: Any) -> list[OpenApiExample]:
    return [OpenApiExample(name, value) for name, value in values.items()]


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """An agent's key, in either of two headers."""

    target_class = "hitl.accounts.authentication.ApiKeyAuthentication"
    name = ["apiKey", "apiKeyHeader"]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {"type": "http", "scheme": "bearer", "description": "An agent's key: `hitl_agt_…`."},
            {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        ]


class JwtScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """A signed token that names an agent or a person."""

    target_class = "hitl.accounts.authentication.JwtAuthentication"
    name = ["jwt", "jwtCookie"]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        says = (
            "HS256 with `JWT_SECRET`; `sub` is `agent:<id>` or `user:<id>`, and `exp` is required."
        )
        return [
            {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": says},
            {
                "type": "apiKey",
                "in": "cookie",
                "name": COOKIE,
                "description": "The same in a cookie; then unsafe methods need a CSRF token.",
            },
        ]


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """A person who is logged in."""

    target_class = "hitl.accounts.authentication.SessionAuthentication"
    name = "session"
    priority = 1

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": settings.SESSION_COOKIE_NAME,
            "description": "The dashboard's session; unsafe methods need a CSRF token.",
        }
