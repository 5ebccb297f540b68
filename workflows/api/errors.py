"""Every error of the API as an RFC 9457 problem document with a stable `code`.

`PROBLEMS` is the one list of codes. Clients key on `code` (or `type`), never on the sentences.
"""

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from rest_framework import exceptions
from rest_framework.settings import api_settings

from hitl.lib import pointer
from hitl.lib.errors import Conflict, FieldError, HitlError
from workflows.models import Workflow

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:hitl:problem:{}"
MAX_ERRORS = 20
MAX_TEXT = 1000
INSTANCE_LIMIT = 300
RETRY_SECONDS = 2


@dataclass(frozen=True)
class Kind:
    """One sort of problem: the same status and title at every occurrence."""

    status: int
    title: str
    example: str


PROBLEMS: dict[str, Kind] = {
    "validation": Kind(400, "The input is not valid", "At /timeoutSeconds: Send a whole number."),
    "unauthenticated": Kind(
        401,
        "Credentials are missing or not accepted",
        "This API key is unknown, expired or revoked.",
    ),
    "forbidden": Kind(403, "You may not do this", "Only a person may do this."),
    "not-found": Kind(404, "There is no such thing", "There is no such workflow."),
    "method-not-allowed": Kind(
        405, "The method does not apply here", "This path answers to GET, HEAD."
    ),
    "already-decided": Kind(
        409,
        "The request has already been decided",
        "Already approved by Ann in dashboard at 2026-11-23 16:52 UTC.",
    ),
    "asked-again": Kind(
        409,
        "This request was asked again",
        "This belongs to an earlier round of the request, which is asked again in round 2.",
    ),
    "expired": Kind(
        409, "The deadline has passed", "The deadline was 2026-11-23 16:52:00 UTC; nobody can."
    ),
    "digest-mismatch": Kind(
        409,
        "The data has changed since it was shown",
        "The fingerprint you sent is not the one of the stored data: load the request again.",
    ),
    "stage-moved": Kind(
        409,
        "The request has moved on",
        "It is now up to the CFO: look at the request again before you answer.",
    ),
    "step-up-needed": Kind(
        403,
        "Prove that it is you",
        "The policy asks for a second factor at this risk: open the request in the dashboard.",
    ),
    "claimed": Kind(
        409,
        "Somebody else looks after the request",
        "Ann looks after it. You may decide all the same, or ask them or a manager to release it.",
    ),
    "answered": Kind(
        409, "The question has been answered", "The agent has answered this question already."
    ),
    "request-in-progress": Kind(
        409,
        "The same request is still being worked on",
        "A request with this Idempotency-Key is being worked on: send it again in a moment.",
    ),
    "illegal-transition": Kind(
        409,
        "The request cannot go from here to there",
        "A request that is PENDING cannot become COMPLETED.",
    ),
    "execution-conflict": Kind(
        409, "The execution cannot be reported now", "Attempt 1 is not running."
    ),
    "not-approved": Kind(
        409, "There is no approval to act on", "The request is PENDING; nothing may run."
    ),
    "receipt-invalid": Kind(
        409, "The receipt is not valid", "The receipt has expired: ask for a fresh one."
    ),
    "receipt-consumed": Kind(
        409,
        "The receipt has been used",
        "This approval was used by billing/7 at 2026-11-23 17:01:12 UTC. Do not act again.",
    ),
    "reconciling": Kind(
        409,
        "The server was restored from a backup",
        "The server was restored from a backup: do not act, and tell an operator what you know.",
    ),
    "export-too-large": Kind(
        409,
        "The log is too large for this export",
        "Let an operator export it: manage.py export_log --workflow.",
    ),
    "cannot-resend": Kind(
        409, "The message cannot be sent again", "This message is being sent at this moment."
    ),
    "webhook-off": Kind(
        409, "The webhook endpoint is switched off", "Switch the endpoint on first."
    ),
    "conflict": Kind(409, "The state does not allow this", "The state does not allow this."),
    "too-large": Kind(
        413, "The request is too large", "The document has 300000 bytes; the limit is 262144."
    ),
    "media-type": Kind(415, "The body is not JSON", "Send the body as application/json in UTF-8."),
    "misdirected": Kind(
        421,
        "This server cannot hold a connection open",
        "Sockets and streams are answered by another role: have the proxy send this path there.",
    ),
    "key-reused": Kind(
        422,
        "The Idempotency-Key was used for something else",
        "This key belongs to a request with another body: use a fresh key.",
    ),
    "rate-limited": Kind(429, "Too many requests", "Try again in 12 seconds."),
    "internal": Kind(
        500, "Something broke on our side", "The failure is in the server's log under requestId."
    ),
    "unavailable": Kind(
        503,
        "The service cannot answer just now",
        "The database does not answer: send the request again, with the same Idempotency-Key.",
    ),
}

_BY_STATUS = {400: "validation", 401: "unauthenticated", 403: "forbidden", 404: "not-found",
              405: "method-not-allowed", 413: "too-large", 415: "media-type", 429: "rate-limited",
              503: "unavailable"}  # fmt: skip


@dataclass
class Problem:
    """One occurrence, ready to be written."""

    code: str
    detail: str
    errors: list[FieldError] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    workflow_status: str = ""
    status: int = 0  # 0: as the list has it
    title: str = ""  # for codes that are not on the list: those of other surfaces

    def document(self, *, path: str, request_id: str) -> dict[str, Any]:
        """The members of RFC 9457 and our extensions; `instance` is left out where too long."""
        kind = PROBLEMS.get(self.code) or Kind(self.status, self.title, "")
        content: dict[str, Any] = {
            "type": TYPE.format(self.code),
            "title": kind.title,
            "status": self.status or kind.status,
            "detail": self.detail[:MAX_TEXT],
        }
        if len(path) <= INSTANCE_LIMIT:
            content["instance"] = path
        content |= {"code": self.code, "requestId": request_id}
        if self.errors:
            content["errors"] = [
                {"pointer": error.pointer, "message": error.message[:MAX_TEXT], "code": error.code}
                for error in self.errors[:MAX_ERRORS]
            ]
        if self.workflow_status:
            content["workflowStatus"] = self.workflow_status
        return content

    def response(self, request: HttpRequest) -> HttpResponse:
        """The answer to `request`."""
        content = self.document(
            path=request.get_full_path().partition("?")[0], request_id=request_id(request)
        )
        return HttpResponse(
            json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace"),
            status=content["status"],
            content_type=MEDIA_TYPE,
            headers=self.headers,
        )


def request_id(request: HttpRequest) -> str:
    """What ties an answer to the lines in the log."""
    found: str | None = getattr(request, "request_id", None)
    if found is None:
        found = request.request_id = uuid4().hex  # type: ignore[attr-defined]
    return found


def for_status(status: int) -> Problem:
    """A problem that says no more than its HTTP status does."""
    code = _BY_STATUS.get(status, "internal" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "")
    if code in ("internal", ""):
        return Problem(code or "validation", HTTPStatus(status).description, status=status)
    return Problem(code, PROBLEMS[code].title + ".")


def exception_handler(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """What Django REST framework calls for whatever a view raises."""
    request: HttpRequest = context["request"]._request
    problem = from_exception(error)
    if problem.code == "internal":
        logger.error("request failed", exc_info=error, extra={"request_id": request_id(request)})
        got_request_exception.send(sender=None, request=request)
    if isinstance(error, Conflict):
        problem.workflow_status = _workflow_status(context["kwargs"].get("workflow_id", ""))
    return problem.response(request)


def _workflow_status(row_id: str) -> str:
    """Where the request stands now; a conflict is only told to somebody who may see it."""
    if not row_id:
        return ""
    return Workflow.objects.filter(pk=row_id).values_list("status", flat=True).first() or ""


def from_exception(error: Exception) -> Problem:
    """The problem that says what this exception means to a client; nothing internal leaks."""
    match error:
        case HitlError():
            return Problem(
                error.code,
                error.detail,
                error.errors,
                _retry(error.retry_after),
                status=error.status,
                title=error.title,
            )
        case exceptions.ValidationError():
            return from_fields(list(field_errors(error.detail)))
        case exceptions.APIException():
            return _from_framework(error)
        case Http404():
            return Problem("not-found", "There is nothing at this path.")
        case PermissionDenied():
            return Problem("forbidden", PROBLEMS["forbidden"].title + ".")
        case RequestDataTooBig():
            return Problem("too-large", PROBLEMS["too-large"].title + ".")
        case SuspiciousOperation() | UnreadablePostError():
            return Problem("validation", "The request is malformed or was cut short.")
        case OperationalError() | InterfaceError():
            return unavailable()
    return Problem("internal", PROBLEMS["internal"].example)


def _retry(seconds: float | None) -> dict[str, str]:
    return {"Retry-After": str(math.ceil(seconds))} if seconds else {}


def _from_framework(error: exceptions.APIException) -> Problem:
    match error:
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            headers = {"WWW-Authenticate": getattr(error, "auth_header", 'Bearer realm="hitl"')}
            return Problem("unauthenticated", str(error.detail), headers=headers)
        case exceptions.UnsupportedMediaType():
            detail = "Send the body as application/json in UTF-8, without Content-Encoding."
            return Problem("media-type", detail)
        case exceptions.Throttled():
            seconds = max(1, round(getattr(error, "wait", None) or 1))
            detail = f"Try again in {seconds} seconds."
            return Problem("rate-limited", detail, headers={"Retry-After": str(seconds)})
    code = _BY_STATUS.get(error.status_code, "internal")
    return Problem(code, str(error.detail))


def unavailable() -> Problem:
    """The database does not answer. Nothing is promised: the client asks again."""
    detail = PROBLEMS["unavailable"].example
    return Problem("unavailable", detail, headers={"Retry-After": str(RETRY_SECONDS)})


def from_fields(errors: list[FieldError]) -> Problem:
    """A validation problem whose sentence is the first of its errors."""
    first = errors[0]
    detail = f"At {first.pointer}: {first.message}" if first.pointer else first.message
    return Problem("validation", detail, errors)


def field_errors(detail: Any, root: str = "") -> Iterator[FieldError]:
    """Flatten what a serializer says into pointers; keys are the client's and may be hostile."""
    if isinstance(detail, Mapping):
        for key, inner in detail.items():
            is_whole = key == api_settings.NON_FIELD_ERRORS_KEY
            place = root if is_whole else pointer.join(root, pointer.printable(str(key)))
            yield from field_errors(inner, place)
    elif isinstance(detail, Iterable) and not isinstance(detail, str):
        for index, inner in enumerate(detail):
            place = pointer.join(root, index) if isinstance(inner, Mapping) and inner else root
            yield from field_errors(inner, place)
    else:
        yield FieldError(root, str(detail), getattr(detail, "code", None) or "invalid")
