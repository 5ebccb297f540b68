"""After the crash: fresh processes, the broker's second delivery, and sweeps until all is calm."""

import base64
import json
from typing import Any

import redis
from django.conf import settings
from django.db import connection

from events.webhooks import sending
from events.webhooks.wakeups import DRAIN
from hitl.celery import app
from scripts.crash.operations import Facts, Message

ROUNDS = 12
# Time passes: claims of the dead run out, and pauses between tries are over.
LATER = (
    "UPDATE workflows_executionattempt SET lease_until = lease_until - interval '2 hours'"
    " WHERE status = 'open' AND executor = 'hitl'",
    "UPDATE workflows_workflow SET execution_due_at = now() - interval '1 second'"
    " WHERE execution_due_at > now()",
    "UPDATE deliveries_delivery SET claimed_at = claimed_at - interval '2 hours',"
    " next_retry_at = least(next_retry_at, now()) WHERE status = 'pending'",
    "UPDATE events_webhookmessage SET claimed_at = claimed_at - interval '2 hours',"
    " next_attempt_at = least(next_attempt_at, now()) WHERE status = 'pending'",
    "UPDATE events_webhookendpoint SET rests_until = NULL",
)
BUSY = (
    "SELECT (SELECT count(*) FROM workflows_executionattempt WHERE status = 'open'"
    " AND executor = 'hitl')"
    " + (SELECT count(*) FROM workflows_workflow WHERE execution_due_at IS NOT NULL)"
    " + (SELECT count(*) FROM workflows_workflow WHERE status = 'PENDING' AND expires_at < now())"
    " + (SELECT count(*) FROM workflows_workflow WHERE status = 'PENDING' AND next_step_at < now())"
    " + (SELECT count(*) FROM deliveries_delivery WHERE status = 'pending')"
    " + (SELECT count(*) FROM events_webhookmessage WHERE status = 'pending')"
)


def until_calm(messages: list[Message]) -> Facts:
    """Start the roles anew and let them work; how many rounds it took, None where it never ends."""
    for name, arguments in messages:
        app.send_task(name, arguments)
    for number in range(1, ROUNDS + 1):
        _work()
        if not _busy():
            return {"rounds": number}
        _later()
        for each in ("deliveries", "executions", "steps", "timeouts"):
            room = "deliveries" if each == "deliveries" else "workflows"
            app.send_task(f"{room}.tasks.sweep_{each}")
        app.send_task("events.tasks.sweep_webhooks")
    return {"rounds": None}


def _work() -> None:
    """A worker: whatever stands in the queues, until they are empty."""
    client: Any = redis.Redis.from_url(settings.REDIS_URL)
    names = list(app.amqp.queues)
    while taken := next(filter(None, map(client.lpop, names)), None):
        envelope = json.loads(taken)
        arguments = json.loads(base64.b64decode(envelope["body"]))[0]
        _perform(envelope["headers"]["task"], arguments)
    client.close()


def _perform(name: str, arguments: list[Any]) -> None:
    if name == DRAIN:  # in life in a thread beside the tasks
        sending.drain(arguments[0])
    else:
        app.tasks[name](*arguments)


def _later() -> None:
    with connection.cursor() as cursor:
        for each in LATER:
            cursor.execute(each)


def _busy() -> int:
    with connection.cursor() as cursor:
        cursor.execute(BUSY)
        return int(cursor.fetchone()[0])
