#!/usr/bin/env python3
"""An agent that refunds an order, but asks a person first.

    export HITL_URL=http://localhost:4000 HITL_API_KEY=hitl_agt_...
    python3 examples/refund_agent.py --order A-1042 --amount 40

It asks with a form, waits for the answer as long as that takes, acts on exactly the approved data,
says that it is alive meanwhile, reports the result and prints the story. Ctrl-C withdraws the
request. It survives restarts of the server, and its own: the same --run takes up where it stopped.
It uses the client in clients/python, which needs nothing but Python.

Exit codes: 0 refunded, 1 failed, 2 wrong usage, 3 rejected, 4 nobody answered in time,
5 the outcome is unknown to the server, 130 interrupted.
"""

import argparse
import json
import logging
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "clients" / "python" / "src"))

from hitl_client import (  # found by the line above, where it is not installed
    ActionFailed,
    Client,
    Conflict,
    FingerprintMismatch,
    HitlError,
    ServerError,
    Unreachable,
    Workflow,
)

FORM = {
    "fields": [
        {"name": "orderId", "type": "string", "label": "Order", "readOnly": True},
        {"name": "amount", "type": "number", "label": "Amount", "required": True},
        {"name": "currency", "type": "select", "label": "Currency", "options": ["EUR", "USD"]},
        {"name": "note", "type": "text", "label": "Note to the customer"},
    ]
}
ENDINGS = {"COMPLETED": 0, "FAILED": 1, "REJECTED": 3, "TIMEOUT": 4, "UNKNOWN": 5, "CANCELLED": 130}


# --- The agent's work -----------------------------------------------------------------------------


def ask(client: Client, options: argparse.Namespace) -> Workflow:
    """Ask for the refund. The same run asks once, however often this is repeated."""
    data = {
        "orderId": options.order,
        "amount": options.amount,
        "currency": options.currency,
        "note": options.note,
    }
    return client.ask(
        "payments.refund",
        data,
        name=f"Refund {options.amount:g} {options.currency} for order {options.order}",
        reason=options.reason,
        ui_schema=FORM,
        expires_in=options.timeout,
        metadata={"run": options.run},
        idempotency_key=f"refund-{options.run}",
    )


def withdraw(client: Client, workflow: Workflow) -> int:
    """Nobody needs to decide any more, unless somebody just did."""
    try:
        client.cancel(workflow, reason="Ctrl-C")
    except Conflict as problem:
        say("!", f"Too late to withdraw: {problem}")
        return 1
    say("■", "Withdrawn: people see that it needs no answer any more")
    return ENDINGS["CANCELLED"]


def carry_out(client: Client, workflow: Workflow, options: argparse.Namespace) -> None:
    """Claim the action, do it, report. The claim makes sure that nobody else does it too."""
    # The same executor may repeat a claim, also after a crash; another one is refused.
    with client.execution(workflow, executor=f"refund-agent/{options.run}") as run:
        if workflow.decision == "modified":
            say("✎", f"With edits: {changes(workflow.action_data, run.data)}")
        say("▶", f"Acting as attempt {run.attempt}")
        try:
            run.result = refund(run.data, workflow.workflow_id, options)
        except KeyboardInterrupt:
            raise ActionFailed("Stopped before any money was moved.", code="interrupted") from None
        except OSError as trouble:
            raise ActionFailed(str(trouble), code="refund-failed") from trouble
    amount, currency = run.data["amount"], run.data["currency"]
    say("✔", f"Refunded {amount:g} {currency}; receipt in {run.result['file']}")


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


# --- What people see ------------------------------------------------------------------------------


def say(mark: str, words: str) -> None:
    """One line of the story, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {mark} {words}", flush=True)


class Trouble(logging.Handler):
    """What the client has to bear, as lines of the story."""

    def emit(self, record: logging.LogRecord) -> None:
        say("…", record.getMessage())


def tell_ending(workflow: Workflow) -> int:
    """How it ended, in a sentence and an exit code."""
    who = workflow.responded_by.name if workflow.responded_by else "somebody"
    sentences = {
        "COMPLETED": "Done and on record",
        "FAILED": f"It failed: {(workflow.error or {}).get('message', 'no reason given')}",
        "REJECTED": f"Rejected by {who}: {workflow.feedback}",
        "TIMEOUT": "Nobody answered in time, so nothing was done",
        "CANCELLED": "The request was withdrawn",
        "UNKNOWN": "The server lost track of the action; a person will settle what became of it",
    }
    say("■", sentences.get(workflow.status, f"The request is {workflow.status}"))
    return ENDINGS.get(workflow.status, 1)


def tell_story(client: Client, workflow: Workflow) -> None:
    """The timeline as the server recorded it."""
    print("\nWhat happened:")
    for event in client.events(workflow):
        print(f"  {event.seq:>2}. {event.type:<22} {event.actor.name} ({event.source})")
    print(f"\n{workflow.url}", flush=True)


# --- From the beginning to the end ----------------------------------------------------------------


def run(client: Client, options: argparse.Namespace) -> int:
    """Ask, wait, act, report; the exit code says how it ended."""
    workflow = ask(client, options)
    say("?", f"{workflow.name}: asked, {workflow.fingerprint[:19]}…")
    say("…", f"Waiting for a person: {workflow.url}  (Ctrl-C withdraws)")
    try:
        workflow = client.wait(workflow)
    except KeyboardInterrupt:
        code = withdraw(client, workflow)
    else:
        code = follow(client, workflow, options)
    tell_story(client, workflow)
    return code


def follow(client: Client, workflow: Workflow, options: argparse.Namespace) -> int:
    """After the decision: act if that is ours to do, then tell how it ended."""
    if workflow.status in ("APPROVED", "EXECUTING"):
        approver = workflow.responded_by.name if workflow.responded_by else "silence"
        say("✓", f"Approved by {approver}")
        if workflow.execution.by == "agent":
            try:
                carry_out(client, workflow, options)
            except ActionFailed as failure:
                if failure.code == "interrupted":
                    raise KeyboardInterrupt from None
            workflow = client.get(workflow)
        else:
            workflow = client.wait(workflow, until="settled")
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
    logging.getLogger("hitl_client").addHandler(Trouble())
    try:
        client = Client(found.url, found.key, retries=20, patience=found.patience)
        sys.exit(run(client, found))
    except ServerError as problem:
        sys.exit(f"The server refused ({problem.code or problem.status}): {problem}")
    except FingerprintMismatch:
        sys.exit("The data is not the data that was approved. Nothing was done.")
    except Unreachable as problem:
        sys.exit(f"{problem}. Is it running? Start it: make run")
    except (HitlError, ValueError) as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        say("■", "Interrupted")
        sys.exit(130)


if __name__ == "__main__":
    main()
