"""Every operation of the API that this client calls: path, parameters, fields, and what comes back.

A test holds this table against the server's OpenAPI document; nothing is sent that is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from hitl_client import models
from hitl_client.json_values import dumps


@dataclass(frozen=True)
class Request:
    """One HTTP request, ready to be sent; `path` begins with a slash, `seconds` bound it."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] | None = None
    seconds: float = 0


@dataclass(frozen=True)
class Operation:
    """`answer` is the model of the body; None: the bytes are wanted as they are."""

    id: str
    method: str
    path: str
    answer: type[models.Model] | None
    query: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()

    def request(
        self,
        *ids: str,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Request:
        """The request; of `query`, `body` and `headers` what is None is left out."""
        parameters = _only(self.query, query)
        path = self.path
        for each in ids:
            start, end = path.index("{"), path.index("}")
            path = path[:start] + quote(each, safe="") + path[end + 1 :]
        if parameters:
            path += "?" + urlencode(parameters, doseq=True)
        content = dumps(_only(self.fields, body)) if self.method == "POST" else None
        return Request(self.method, path, content, _only(self.headers, headers))


def _only(names: tuple[str, ...], values: Mapping[str, Any] | None) -> dict[str, Any]:
    given = {name: value for name, value in (values or {}).items() if value is not None}
    unknown = set(given) - set(names)
    if unknown:
        raise ValueError(f"not in the API: {', '.join(sorted(unknown))}")
    return given


_ONE = "/api/v1/workflows/{workflowId}"

CREATE = Operation(
    "createWorkflow",
    "POST",
    "/api/v1/workflows",
    models.Workflow,
    fields=(
        "actionType", "actionData", "name", "reason", "uiSchema", "approverEmail", "approvers",
        "timeoutSeconds", "expiresAt", "timeoutAction", "policy", "requester", "metadata",
    ),
    headers=("Idempotency-Key",),
)  # fmt: skip
GET = Operation("getWorkflow", "GET", _ONE, models.Workflow, query=("wait", "until"))
CANCEL = Operation("cancelWorkflow", "POST", f"{_ONE}/cancel", models.Workflow, fields=("reason",))
EVENTS = Operation(
    "listEvents", "GET", f"{_ONE}/events", models.EventPage, query=("after", "limit")
)
REMARKS = Operation("listRemarks", "GET", f"{_ONE}/remarks", models.RemarkPage)
ANSWER = Operation(
    "addRemark", "POST", f"{_ONE}/remarks", models.Remark, fields=("kind", "text", "questionId")
)
APPROVED_DATA = Operation("getApprovedData", "GET", f"{_ONE}/action-data", None)
START = Operation(
    "startExecution", "POST", f"{_ONE}/execution/start", models.Started, fields=("executor",)
)
HEARTBEAT = Operation(
    "heartbeatExecution", "POST", f"{_ONE}/execution/heartbeat", models.Lease, fields=("attempt",)
)
COMPLETE = Operation(
    "completeExecution",
    "POST",
    f"{_ONE}/execution/complete",
    models.Workflow,
    fields=("attempt", "result"),
)
FAIL = Operation(
    "failExecution",
    "POST",
    f"{_ONE}/execution/fail",
    models.Workflow,
    fields=("attempt", "error"),
)

ISSUE_RECEIPT = Operation(
    "issueReceipt", "POST", f"{_ONE}/receipt", models.Receipt, fields=("audience", "ttlSeconds")
)
VERIFY_RECEIPT = Operation(
    "verifyReceipt",
    "POST",
    "/api/v1/receipts/verify",
    models.CheckedReceipt,
    fields=("receipt", "audience", "fingerprint"),
)
CONSUME_RECEIPT = Operation(
    "consumeReceipt",
    "POST",
    "/api/v1/receipts/consume",
    models.ConsumedReceipt,
    fields=("receipt", "audience", "fingerprint", "consumer"),
)
FEED = Operation(
    "readFeed",
    "GET",
    "/api/v1/events",
    models.FeedPage,
    query=("after", "limit", "type", "workflowId", "wait"),
)

ALL = (
    CREATE, GET, CANCEL, EVENTS, REMARKS, ANSWER, APPROVED_DATA, START, HEARTBEAT, COMPLETE, FAIL,
    ISSUE_RECEIPT, VERIFY_RECEIPT, CONSUME_RECEIPT, FEED,
)  # fmt: skip
