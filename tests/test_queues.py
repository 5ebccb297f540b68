"""Which task waits in which queue, and that the routes forget none."""

import os
from fnmatch import fnmatch
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.core.management import CommandError

from deliveries import wakeups
from hitl.management.commands.worker import Command

QUEUES = {
    "deliveries": {"deliveries.tasks.send_delivery", "deliveries.tasks.update_delivery"},
    "webhooks": {"events.tasks.drain_webhooks"},
    "actions": {"workflows.tasks.execute_workflow"},
}


def _tasks() -> set[str]:
    current_app.autodiscover_tasks(force=True)
    return {name for name in current_app.tasks if not name.startswith("celery.")}


def _queue(task: str) -> str:
    return str(current_app.amqp.router.route({}, task)["queue"].name)


def test_every_task_has_a_route() -> None:
    """The default queue catches nothing by accident."""
    tasks, routes = _tasks(), settings.CELERY_TASK_ROUTES
    assert len(tasks) > 10
    unrouted = {task for task in tasks if not any(fnmatch(task, each) for each in routes)}
    assert unrouted == set()


def test_what_may_hang_waits_apart_from_the_sweeps() -> None:
    for name, tasks in QUEUES.items():
        assert {task for task in _tasks() if _queue(task) == name} == tasks
    assert {_queue(task) for task in _tasks()} == set(settings.QUEUES)


def test_whatever_beat_rings_is_a_task_among_the_sweeps() -> None:
    rung = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert rung <= _tasks()
    assert {_queue(task) for task in rung} == {"sweeps"}


def test_routes_and_queues_fit() -> None:
    named = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    assert named == set(settings.QUEUES) == set(settings.CELERY_TASK_QUEUES)
    for name in settings.QUEUES:
        queue = current_app.amqp.queues[name]
        assert (queue.name, queue.exchange.name, queue.routing_key) == (name, name, name)


def test_the_backlog_that_is_counted_is_that_of_deliveries() -> None:
    current_app.control.purge()
    for _ in range(3):
        current_app.send_task("workflows.tasks.sweep_timeouts")
    assert wakeups.waiting() == 0
    current_app.send_task(wakeups.SEND, ["0"])
    assert wakeups.waiting() == 1
    current_app.control.purge()


# --- manage.py worker -----------------------------------------------------------------------------


def _options(queues: str = ",".join(settings.QUEUES), **more: Any) -> list[str]:
    return Command().options({"queues": queues, "concurrency": None, "name": None} | more)


def test_a_worker_takes_all_queues_or_those_named() -> None:
    assert f"--queues={','.join(settings.QUEUES)}" in _options()
    assert _options("sweeps, actions,sweeps", concurrency=3)[1:] == [
        "--queues=sweeps,actions",
        "--concurrency=3",
    ]


def test_workers_on_one_machine_have_names_of_their_own() -> None:
    assert _options()[0] == f"--hostname=worker{os.getpid()}@%h"
    assert _options(name="mails")[0] == "--hostname=mails@%h"


@pytest.mark.parametrize(
    ("names", "says"), [("sweeps,mails", "There is no queue 'mails'"), (" ,", "names none")]
)
def test_a_queue_that_does_not_exist_is_refused(names: str, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        _options(names)
