"""A server that speaks the agent API from the examples of its document, and fails on demand.

It keeps just enough state to tell whether something happened once, twice or never.
"""

import hashlib
import json
import re
import time
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

from tests.standins.server import Call, Said, StandIn
from workflows.api import examples, receipt_examples

DATA: dict[str, Any] = {"amount": 120, "orderId": "A-1009"}
ROUTE = re.compile(r"/api/v1/workflows/(?P<id>[^/]+)(?P<rest>/.*)?")


def canonical(data: Any) -> bytes:
    """Good enough for the data of these tests."""
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def problem(status: int, code: str, detail: str = "No.", **more: Any) -> Said:
    """A refusal as the server writes it; `headers` are the answer's."""
    headers = more.pop("headers", {})
    content = {"type": f"urn:hitl:problem:{code}", "title": code, "status": status, "code": code}
    return Said(status, content | {"detail": detail, "requestId": "b19"} | more, headers)


class Imitation(StandIn):
    """`state` is laid over every workflow; `approved` is what may be carried out."""

    def __init__(self) -> None:
        super().__init__()
        self.created: dict[str, dict[str, Any]] = {}
        self.state: dict[str, Any] = {}
        self.approved: Any = DATA
        self.tampered: bytes | None = None
        self.lease = 300.0
        self.reports: list[tuple[str, Any]] = []
        self.consumed_by = ""
        self.feed: list[str] = []  # types of events; a cursor is the number of those seen
        self.hold = False  # answer a long poll only after its time

    def approve(self, data: Any = None) -> None:
        """From now on every request is approved, with these data."""
        self.approved = self.approved if data is None else data
        fingerprint = digest(canonical(self.approved))
        self.state |= {"status": "APPROVED", "decision": "approved"}
        self.state |= {"approvedFingerprint": fingerprint, "respondedBy": {"name": "Ann"}}

    def requests(self, method: str, ending: str = "") -> list[Call]:
        """The calls that arrived, by method and end of the path."""
        return [
            each for each in self.ledger if each.method == method and each.path.endswith(ending)
        ]

    def handle(self, call: Call) -> Said:
        if call.path == "/api/v1/workflows":
            return self._create(call)
        if call.path.startswith("/api/v1/receipts/"):
            return self._receipt(call.path.rpartition("/")[2], json.loads(call.body))
        if call.path == "/api/v1/events":
            return self._feed(parse_qs(call.query))
        found = ROUTE.fullmatch(call.path)
        if found is None:
            return problem(404, "not-found")
        rest = found["rest"] or ""
        body = json.loads(call.body) if call.body else {}
        if call.method == "POST" and rest.startswith("/execution/"):
            return self._report(rest.removeprefix("/execution/"), body)
        return self._look(rest, call, body)

    def _create(self, call: Call) -> Said:
        key = call.headers.get("idempotency-key", "")
        sent = json.loads(call.body)
        new = examples.PENDING | {"workflowId": str(uuid4()), "actionData": sent["actionData"]}
        with self.lock:
            first = self.created.setdefault(key, new)
        return Said(201, first)

    def _workflow(self) -> dict[str, Any]:
        newest = list(self.created.values())[-1] if self.created else examples.PENDING
        return newest | self.state

    def _look(self, rest: str, call: Call, body: dict[str, Any]) -> Said:
        match rest:
            case "":
                waits = re.search(r"wait=(\d+)", call.query)
                if self.hold and waits and self.state.get("status", "PENDING") == "PENDING":
                    self.stall(float(waits[1]))
                return Said(200, self._workflow())
            case "/cancel":
                self.state["status"] = "CANCELLED"
                return Said(200, self._workflow())
            case "/action-data":
                return Said(200, raw=self.tampered or canonical(self.approved))
            case "/events":
                return Said(200, {"items": [examples.EVENT], "nextAfter": None})
        return problem(404, "not-found")

    def _receipt(self, what: str, body: dict[str, Any]) -> Said:
        used = receipt_examples.USED | {"consumedBy": self.consumed_by}
        if what == "verify":
            return Said(200, used)
        if self.consumed_by:
            return problem(
                409, "receipt-consumed", f"This approval was used by {self.consumed_by}."
            )
        self.consumed_by = body["consumer"]
        return Said(200, receipt_examples.CONSUMED | {"consumedBy": self.consumed_by})

    def _feed(self, query: dict[str, list[str]]) -> Said:
        after = query.get("after", ["0"])[0]
        start = len(self.feed) if after == "latest" else int(after)
        page = [
            examples.EVENT | {"type": kind, "cursor": str(number + 1), "workflowId": "w"}
            for number, kind in enumerate(self.feed)
        ][start : start + 2]
        items = [each | {"teamId": "t"} for each in page]
        return Said(200, {"items": items, "next": str(start + len(items))})

    def _report(self, what: str, body: dict[str, Any]) -> Said:
        self.reports.append((what, body))
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.lease))
        lease = {"attempt": 1, "leaseUntil": until}
        if what == "heartbeat":
            return Said(200, lease)
        if what == "start":
            self.state["status"] = "EXECUTING"
            fingerprint = self.state.get("approvedFingerprint")
            more = {"fingerprint": fingerprint, "data": self.approved, "workflow": self._workflow()}
            return Said(200, lease | more)
        self.state["status"] = {"complete": "COMPLETED", "fail": "FAILED"}[what]
        return Said(200, self._workflow())
