#!/usr/bin/env python3
"""An agent that refunds an order, but asks a person first. Standard library only, HTTP only.

    export HITL_URL=http://localhost:4000 HITL_API_KEY=hitl_agt_...
    python3 examples/refund_agent.py --order A-1042 --amount 40

It asks with a form, waits for the answer as long as that takes, acts on exactly the approved data,
says that it is alive meanwhile, reports the result and prints the story. Ctrl-C withdraws the
request. It survives restarts of the server, and its own: the same --run takes up where it stopped.

Exit codes: 0 refunded, 1 failed, 2 wrong usage, 3 rejected, 4 nobody answered in time,
5 the outcome is unknown to the server, 130 interrupted.
"""

import argparse
import hashlib
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, NoReturn

WAIT_SECONDS = 30
ANSWER_SECONDS = WAIT_SECONDS + 15
FORM = {
    "fields": [
        {"name": "orderId", "type": "string", "label": "Order", "readOnly": True},
        {"name": "amount", "type": "number", "label": "Amount", "required": True},
        {"name": "currency", "type": "select", "label": "Currency", "options": ["EUR", "USD"]},
        {"name": "note", "type": "text", "label": "Note to the customer"},
    ]
}
ENDINGS = {"COMPLETED": 0, "FAILED": 1, "REJECTED": 3, "TIMEOUT": 4, "UNKNOWN": 5, "CANCELLED": 130}


# --- Talking to the server ------------------------------------------------------------------------


class Problem(Exception):
    """The server understood and refused: RFC 9457 problem details with a stable `code`."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status = status
        self.code = str(body.get("code", ""))
        lines = [str(body.get("detail") or body.get("title") or f"HTTP {status}")]
        lines += [f"{fault['pointer']}: {fault['message']}" for fault in body.get("errors", [])]
        super().__init__("\n  ".join(lines))


class Server:
    """The agent API. Calls that get no answer are repeated: each of them is safe to repeat."""

    def __init__(self, url: str, key: str, patience: float) -> None:
        self.url = url.rstrip("/")
        self.key = key
        self.patience = patience

    def get(self, path: str) -> Any:
        return json.loads(self.call("GET", path))

    def post(self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
        return json.loads(self.call("POST", path, body, headers))

    def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        """The body of the answer. Gives up after `patience` seconds without one."""
        give_up, pause = time.monotonic() + self.patience, 0.5
        while True:
            try:
                return self._once(method, path, body, headers or {})
            except Problem as problem:
                if problem.status < 500 and problem.status != 429:
                    raise
                trouble = f"The server answered {problem.status}"
            except (OSError, HTTPException, ValueError) as error:
                trouble = f"No answer ({getattr(error, 'reason', error)})"
            if time.monotonic() > give_up:
                raise SystemExit(f"{trouble} from {self.url}. Is it running? Start it: make run")
            say("…", f"{trouble}; asking again")
            time.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _once(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        url = f"{self.url}{path}"
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310
        request.add_header("Authorization", f"Bearer {self.key}")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:  # noqa: S310
                answer: bytes = response.read()
                return answer
        except urllib.error.HTTPError as error:
            raw = error.read()
            try:
                raise Problem(error.code, json.loads(raw)) from None
            except json.JSONDecodeError:
                raise Problem(error.code, {}) from None


# --- The agent's work -----------------------------------------------------------------------------


def ask(server: Server, options: argparse.Namespace) -> dict[str, Any]:
    """Ask for the refund. The same run asks once, however often this is repeated."""
    data = {
        "orderId": options.order,
        "amount": options.amount,
        "currency": options.currency,
        "note": options.note,
    }
    body = {
        "actionType": "payments.refund",
        "actionData": data,
        "name": f"Refund {options.amount:g} {options.currency} for order {options.order}",
        "reason": options.reason,
        "uiSchema": FORM,
        "timeoutSeconds": options.timeout,
        "metadata": {"run": options.run},
    }
    key = {"Idempotency-Key": f"refund-{options.run}"}
    workflow: dict[str, Any] = server.post("/api/v1/workflows", body, key)
    return workflow


def wait(server: Server, workflow: dict[str, Any]) -> dict[str, Any]:
    """Block until somebody has decided or the deadline has passed; costs one open connection."""
    path = f"/api/v1/workflows/{workflow['workflowId']}?wait={WAIT_SECONDS}"
    while workflow["status"] == "PENDING":
        workflow = server.get(path)
    return workflow


def withdraw(server: Server, workflow: dict[str, Any]) -> int:
    """Nobody needs to decide any more, unless somebody just did."""
    try:
        server.post(f"/api/v1/workflows/{workflow['workflowId']}/cancel", {"reason": "Ctrl-C"})
    except Problem as problem:
        say("!", f"Too late to withdraw: {problem}")
        return 1
    say("■", "Withdrawn: people see that it needs no answer any more")
    return ENDINGS["CANCELLED"]


def approved_data(server: Server, workflow: dict[str, Any]) -> dict[str, Any]:
    """Exactly the bytes that were approved, edits included, compared with their fingerprint."""
    raw = server.call("GET", f"/api/v1/workflows/{workflow['workflowId']}/action-data")
    if f"sha256:{hashlib.sha256(raw).hexdigest()}" != workflow["approvedFingerprint"]:
        raise SystemExit("The data is not the data that was approved. Nothing was done.")
    data: dict[str, Any] = json.loads(raw)
    return data


def carry_out(server: Server, workflow: dict[str, Any], options: argparse.Namespace) -> None:
    """Claim the action, do it, report. The claim makes sure that nobody else does it too."""
    path = f"/api/v1/workflows/{workflow['workflowId']}"
    data = approved_data(server, workflow)
    if workflow["decision"] == "modified":
        say("✎", f"With edits: {changes(workflow['actionData'], data)}")
    # The same executor may repeat a start whose answer got lost; another one is refused.
    started = server.post(f"{path}/execution/start", {"executor": f"refund-agent/{options.run}"})
    attempt = {"attempt": started["attempt"]}
    say("▶", f"Acting as attempt {started['attempt']}")
    try:
        with heartbeats(server, path, started):
            receipt = refund(data, workflow["workflowId"], options)
    except KeyboardInterrupt:
        error = {"code": "interrupted", "message": "Stopped before any money was moved."}
        server.post(f"{path}/execution/fail", attempt | {"error": error})
        raise
    except OSError as trouble:
        error = {"code": "refund-failed", "message": str(trouble)}
        server.post(f"{path}/execution/fail", attempt | {"error": error})
        return
    server.post(f"{path}/execution/complete", attempt | {"result": receipt})
    say("✔", f"Refunded {data['amount']:g} {data['currency']}; receipt in {receipt['file']}")


def changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    """What the approver changed, for a person to read."""
    names = [name for name in after if before.get(name) != after[name]]
    return ", ".join(f"{name} {before.get(name)!r} → {after[name]!r}" for name in names)


def refund(data: dict[str, Any], key: str, options: argparse.Namespace) -> dict[str, Any]:
    """Stands for the payment provider: "pays" by writing a receipt, once for each request."""
    file: Path = options.receipts / f"refund-{key}.json"
    if not file.exists():
        time.sleep(options.slow)
        options.receipts.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(file)
    return {"refundId": f"re_{key[-12:]}", "file": str(file)}


@contextmanager
def heartbeats(server: Server, path: str, started: dict[str, Any]) -> Iterator[None]:
    """Tell the server now and then that the work goes on; silence would end the attempt."""
    lease = moment(started["leaseUntil"]) - time.time()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(max(lease / 3, 0.2)):
            with suppress(Problem):
                server.post(f"{path}/execution/heartbeat", {"attempt": started["attempt"]})

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


def moment(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 time."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


# --- What people see ------------------------------------------------------------------------------


def say(mark: str, words: str) -> None:
    """One line of the story, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {mark} {words}", flush=True)


def tell_ending(workflow: dict[str, Any]) -> int:
    """How it ended, in a sentence and an exit code."""
    status = workflow["status"]
    who = (workflow["respondedBy"] or {}).get("name", "somebody")
    sentences = {
        "COMPLETED": "Done and on record",
        "FAILED": f"It failed: {(workflow['error'] or {}).get('message', 'no reason given')}",
        "REJECTED": f"Rejected by {who}: {workflow['feedback']}",
        "TIMEOUT": "Nobody answered in time, so nothing was done",
        "CANCELLED": "The request was withdrawn",
        "UNKNOWN": "The server lost track of the action; a person will settle what became of it",
    }
    say("■", sentences.get(status, f"The request is {status}"))
    return ENDINGS.get(status, 1)


def tell_story(server: Server, workflow: dict[str, Any]) -> None:
    """The timeline as the server recorded it."""
    events = server.get(f"/api/v1/workflows/{workflow['workflowId']}/events")["items"]
    print("\nWhat happened:")
    for event in events:
        who = event["actor"]["name"]
        print(f"  {event['seq']:>2}. {event['type']:<22} {who} ({event['source']})")
    print(f"\n{workflow['url']}", flush=True)


# --- From the beginning to the end ----------------------------------------------------------------


def run(server: Server, options: argparse.Namespace) -> int:
    """Ask, wait, act, report; the exit code says how it ended."""
    workflow = ask(server, options)
    say("?", f"{workflow['name']}: asked, {workflow['fingerprint'][:19]}…")
    say("…", f"Waiting for a person: {workflow['url']}  (Ctrl-C withdraws)")
    try:
        workflow = wait(server, workflow)
    except KeyboardInterrupt:
        code = withdraw(server, workflow)
    else:
        code = follow(server, workflow, options)
    tell_story(server, workflow)
    return code


def follow(server: Server, workflow: dict[str, Any], options: argparse.Namespace) -> int:
    """After the decision: act if that is ours to do, then tell how it ended."""
    path = f"/api/v1/workflows/{workflow['workflowId']}"
    by_agent = workflow["execution"]["by"] == "agent"
    if workflow["status"] in ("APPROVED", "EXECUTING"):
        say("✓", f"Approved by {(workflow['respondedBy'] or {}).get('name', 'silence')}")
        if by_agent:
            carry_out(server, workflow, options)
            workflow = server.get(path)
    while workflow["status"] in ("APPROVED", "EXECUTING") and not by_agent:
        workflow = server.get(f"{path}?wait={WAIT_SECONDS}&until=settled")
    return tell_ending(workflow)


def options() -> argparse.Namespace:
    """The command line, with the server's address and our key from the environment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--order", default="A-1042", help="order number (%(default)s)")
    parser.add_argument("--amount", type=float, default=40, help="how much (%(default)s)")
    parser.add_argument("--currency", choices=["EUR", "USD"], default="EUR")
    parser.add_argument("--note", default="Sorry for the trouble!", help="what the customer reads")
    parser.add_argument("--reason", default="The parcel arrived damaged.", help="why, for people")
    parser.add_argument("--timeout", type=int, default=3600, help="seconds people have")
    parser.add_argument("--run", default=uuid.uuid4().hex[:12], help="name of this run, to repeat")
    parser.add_argument("--receipts", type=Path, default=Path("receipts"), help="where they go")
    parser.add_argument("--slow", type=float, default=0, help="seconds the payment takes")
    parser.add_argument("--patience", type=float, default=120, help="seconds to bear no answer")
    parser.add_argument("--url", default=os.environ.get("HITL_URL", "http://localhost:4000"))
    parser.add_argument("--key", default=os.environ.get("HITL_API_KEY", ""), help="HITL_API_KEY")
    found = parser.parse_args()
    if not found.key:
        parser.error("set HITL_API_KEY to the key that the server printed at its first start")
    return found


def main() -> NoReturn:
    """Run, and turn what went wrong into a sentence."""
    found = options()
    server = Server(found.url, found.key, found.patience)
    try:
        sys.exit(run(server, found))
    except Problem as problem:
        sys.exit(f"The server refused ({problem.code or problem.status}): {problem}")
    except KeyboardInterrupt:
        say("■", "Interrupted")
        sys.exit(130)


if __name__ == "__main__":
    main()
