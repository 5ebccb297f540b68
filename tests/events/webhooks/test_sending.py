"""Messages on their way to a receiver that does everything receivers do."""

import base64
import datetime as dt
import json
import threading
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pytest_django import Settings
from standardwebhooks import Webhook, WebhookVerificationError

from events.models import WebhookAttempt, WebhookEndpoint, WebhookMessage
from events.webhooks import endpoints, replays, schedule, sending
from events.webhooks.lanes import LANES
from hitl.accounts.models import Agent, Team, User
from hitl.lib.db import database_now
from hitl.lib.errors import InvalidInput
from tests.events.webhooks.hooks import Hook, make_hook, types
from tests.receiver import Receiver, free_port
from tests.receiver import receiver as running
from tests.workflows.factories import decide, make_workflow

pytestmark = pytest.mark.django_db
Status = WebhookMessage.Status


@pytest.fixture
def message(hook: Hook, agent: Agent) -> WebhookMessage:
    """`workflow.created`, waiting."""
    make_workflow(agent)
    [found] = hook.messages()
    return found


def again(message: WebhookMessage) -> WebhookMessage:
    return WebhookMessage.objects.get(pk=message.pk)


def attempts(message: WebhookMessage) -> list[WebhookAttempt]:
    return list(WebhookAttempt.objects.filter(message=message).order_by("number"))


# --- What arrives ---------------------------------------------------------------------------------


def test_the_official_library_verifies_what_arrives(
    hook: Hook, message: WebhookMessage, receiver: Receiver
) -> None:
    assert hook.drain() == 1
    [received] = receiver.ledger
    content = hook.verify(received)
    assert content["type"] == "workflow.created"
    assert received.body == message.body.encode()
    assert received.headers["webhook-id"] == message.webhook_id
    assert "." not in message.webhook_id
    assert received.headers["content-type"] == "application/json"
    found = again(message)
    assert (found.status, found.attempts, found.next_attempt_at) == (Status.DELIVERED, 1, None)
    assert found.delivered_at is not None
    assert found.claimed_at is None
    [attempt] = attempts(message)
    assert (attempt.status_code, attempt.answer, attempt.error) == (200, '{"ok":true}', "")
    assert attempt.finished_at is not None


@pytest.mark.parametrize("what", ["body", "webhook-id", "webhook-timestamp", "webhook-signature"])
def test_any_change_on_the_way_is_found_out(
    hook: Hook, message: WebhookMessage, receiver: Receiver, what: str
) -> None:
    hook.drain()
    [received] = receiver.ledger
    body, headers = received.body, dict(received.headers)
    if what == "body":
        body = body.replace(b"PENDING", b"PENDINg")
    elif what == "webhook-timestamp":
        headers[what] = str(int(headers[what]) + 1)
    else:
        headers[what] = headers[what][:-5] + ("AAAA=" if headers[what][-5:] != "AAAA=" else "BBBB=")
    with pytest.raises(WebhookVerificationError):
        Webhook(hook.secret).verify(body, headers)


def test_nothing_is_sent_twice_without_need(
    hook: Hook, message: WebhookMessage, receiver: Receiver
) -> None:
    assert [hook.drain() for _ in range(3)] == [1, 0, 0]
    assert len(receiver.ledger) == 1


def test_ed25519_signs_for_whoever_has_the_public_key(
    team: Team, agent: Agent, receiver: Receiver
) -> None:
    hook = make_hook(team, receiver.url, signature="v1a")
    assert hook.secret.startswith("whpk_")
    make_workflow(agent)
    hook.drain()
    [received] = receiver.ledger
    version, _, signature = received.headers["webhook-signature"].partition(",")
    assert version == "v1a"
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(hook.secret.removeprefix("whpk_")))
    content = f"{received.headers['webhook-id']}.{received.headers['webhook-timestamp']}.".encode()
    key.verify(base64.b64decode(signature), content + received.body)


def test_the_old_secret_signs_too_until_its_time(
    hook: Hook, agent: Agent, receiver: Receiver
) -> None:
    old = hook.secret
    new = endpoints.rotate(hook.endpoint.pk, overlap=dt.timedelta(hours=1)).secret
    make_workflow(agent)
    hook.drain()
    hook.endpoint.secrets.exclude(expires_at=None).update(
        expires_at=database_now() - dt.timedelta(seconds=1)
    )
    make_workflow(agent)
    hook.drain()
    both, only_new = receiver.ledger
    assert Webhook(old).verify(both.body, both.headers)
    assert Webhook(new).verify(both.body, both.headers)
    assert Webhook(new).verify(only_new.body, only_new.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(only_new.body, only_new.headers)


def test_rotation_may_change_the_kind_of_signature(
    hook: Hook, agent: Agent, receiver: Receiver
) -> None:
    issued = endpoints.rotate(hook.endpoint.pk, signature="v1a")
    assert issued.secret.startswith("whpk_")
    make_workflow(agent)
    hook.drain()
    [received] = receiver.ledger
    versions = [each[:3] for each in received.headers["webhook-signature"].split(" ")]
    assert sorted(versions) == ["v1,", "v1a"]
    assert hook.verify(received)


def test_without_overlap_the_old_secret_ends_at_once(
    hook: Hook, agent: Agent, receiver: Receiver
) -> None:
    endpoints.rotate(hook.endpoint.pk, overlap=dt.timedelta(0))
    make_workflow(agent)
    hook.drain()
    with pytest.raises(WebhookVerificationError):
        hook.verify(receiver.ledger[0])


# --- What goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 400, 401, 404, 409, 500, 503])
def test_any_other_answer_is_a_failure_and_comes_back(
    hook: Hook, message: WebhookMessage, receiver: Receiver, status: int
) -> None:
    receiver.status = status
    receiver.headers = {"Location": f"{receiver.url}/elsewhere"}
    hook.drain()
    found = again(message)
    assert (found.status, found.attempts, found.claimed_at) == (Status.PENDING, 1, None)
    assert str(status) in found.last_error
    assert [each.path for each in receiver.ledger] == ["/act"], "the redirect was followed"
    assert hook.now.first_failure_at is not None

    receiver.status = 204
    hook.time_passes()
    assert hook.drain() == 1
    first, second = receiver.ledger
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert hook.verify(second)
    assert again(message).status == Status.DELIVERED
    assert (hook.now.first_failure_at is None, hook.now.failures) == (True, 0)
    assert [each.status_code for each in attempts(message)] == [status, 204]


def test_410_switches_it_off_at_once_and_parks_what_waits(
    hook: Hook, message: WebhookMessage, agent: Agent, receiver: Receiver
) -> None:
    make_workflow(agent)
    receiver.status = 410
    assert hook.drain() == 1
    endpoint = hook.now
    assert (endpoint.is_active, endpoint.disabled_reason) == (False, "gone")
    assert endpoint.notice_due_at is not None
    assert sorted(each.status for each in hook.messages()) == ["cancelled", "failed"]
    make_workflow(agent)
    assert len(hook.messages()) == 2, "an endpoint that is off gets no messages"
    hook.time_passes()
    assert hook.drain() == 0


@pytest.mark.parametrize(("asked", "seconds"), [("120", 120), ("9999999", 6 * 3600), ("-5", 0)])
def test_retry_after_lengthens_the_wait_within_bounds(
    hook: Hook, message: WebhookMessage, receiver: Receiver, asked: str, seconds: int
) -> None:
    receiver.status, receiver.headers = 429, {"Retry-After": asked}
    before = database_now()
    hook.drain()
    wait = (again(message).next_attempt_at or before) - before
    assert max(seconds, 4) <= wait.total_seconds() <= max(seconds, 6) + 5
    if seconds:
        assert (hook.now.rests_until or before) > before, "others are not sent there meanwhile"


def test_the_whole_schedule_then_it_is_given_up(
    hook: Hook, message: WebhookMessage, receiver: Receiver
) -> None:
    receiver.status = 500
    for planned in schedule.WAITS:
        before = database_now()
        hook.time_passes()
        assert hook.drain() == 1
        wait = ((again(message).next_attempt_at or before) - before).total_seconds()
        assert planned * 0.8 - 1 <= wait <= planned * 1.2 + 5
    hook.time_passes()
    hook.drain()
    found = again(message)
    assert (found.status, found.attempts, found.next_attempt_at) == (Status.FAILED, 10, None)
    hook.time_passes()
    assert hook.drain() == 0
    assert len({each.headers["webhook-id"] for each in receiver.ledger}) == 1
    assert sum(schedule.WAITS) == 75 * 3600 + 35 * 60 + 5


def test_three_days_of_nothing_but_failures_switch_it_off(
    hook: Hook, message: WebhookMessage, receiver: Receiver, settings: Settings
) -> None:
    receiver.status = 500
    hook.drain()
    begun = database_now() - dt.timedelta(hours=settings.WEBHOOK_DISABLE_HOURS)
    WebhookEndpoint.objects.update(first_failure_at=begun + dt.timedelta(minutes=5))
    hook.time_passes()
    hook.drain()
    assert hook.now.is_active
    WebhookEndpoint.objects.update(first_failure_at=begun)
    hook.time_passes()
    hook.drain()
    assert (hook.now.is_active, hook.now.disabled_reason) == (False, "failing")
    assert again(message).status == Status.CANCELLED


def test_one_success_between_keeps_it_on(
    hook: Hook, message: WebhookMessage, agent: Agent, receiver: Receiver, settings: Settings
) -> None:
    receiver.plan = [500, 200, 500]
    hook.drain()
    long_ago = database_now() - dt.timedelta(hours=settings.WEBHOOK_DISABLE_HOURS + 1)
    WebhookEndpoint.objects.update(first_failure_at=long_ago)
    hook.time_passes()
    hook.drain()
    make_workflow(agent)
    hook.drain()
    assert hook.now.is_active


@pytest.mark.parametrize("behaviour", ["hang", "drop"])
def test_no_answer_is_a_failure(
    hook: Hook, message: WebhookMessage, receiver: Receiver, settings: Settings, behaviour: str
) -> None:
    settings.WEBHOOK_TIMEOUT_SECONDS = 0.5
    receiver.behaviour = behaviour
    hook.drain()
    found = again(message)
    assert (found.status, found.attempts) == (Status.PENDING, 1)
    [attempt] = attempts(message)
    assert (attempt.status_code, attempt.answer) == (None, "")
    assert attempt.error
    receiver.behaviour = "answer"
    hook.time_passes()
    hook.drain()
    assert again(message).status == Status.DELIVERED
    assert len({each.headers["webhook-id"] for each in receiver.ledger}) == 1


def test_nobody_listens(team: Team, agent: Agent, settings: Settings) -> None:
    port = free_port()
    settings.OUTBOUND_ALLOW, settings.OUTBOUND_ALLOW_HTTP = [f"127.0.0.1:{port}"], True
    hook = make_hook(team, f"http://127.0.0.1:{port}/")
    make_workflow(agent)
    hook.drain()
    [message] = hook.messages()
    assert (message.status, message.last_error) == (
        Status.PENDING,
        "The endpoint could not be reached.",
    )


def test_an_endpoint_that_says_nothing_rests_and_is_then_probed(
    hook: Hook, agent: Agent, receiver: Receiver, settings: Settings
) -> None:
    settings.WEBHOOK_TIMEOUT_SECONDS = 0.2
    for _ in range(6):
        make_workflow(agent)
    receiver.behaviour = "hang"
    assert hook.drain() == schedule.SILENCES, "then it is left alone"
    assert (hook.now.rests_until or database_now()) > database_now()
    assert hook.drain() == 0
    WebhookEndpoint.objects.update(rests_until=None)
    assert hook.drain() == 1, "one probe"
    receiver.behaviour = "answer"
    hook.time_passes()
    assert hook.drain() == 6, "and all is well again"
    assert hook.now.failures == 0


def test_a_long_answer_is_read_and_kept_in_part(
    hook: Hook, message: WebhookMessage, receiver: Receiver
) -> None:
    receiver.answer = b"\x00\xff" + b"x" * 1_000_000
    hook.drain()
    [attempt] = attempts(message)
    assert len(attempt.answer) == sending.ANSWER_KEPT
    assert attempt.answer.startswith("\ufffd\ufffdx")
    assert again(message).status == Status.DELIVERED


def test_an_unreadable_secret_fails_and_says_so(
    hook: Hook, message: WebhookMessage, receiver: Receiver
) -> None:
    hook.endpoint.secrets.update(sealed="gAAAAABunreadable")
    hook.drain()
    assert "cannot be opened" in again(message).last_error
    assert receiver.ledger == []


# --- Where it may go ------------------------------------------------------------------------------


def moving(*answers: str) -> Any:
    """A resolver whose answer changes each time, as getaddrinfo gives it."""
    left = list(answers)

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", (left.pop(0) if len(left) > 1 else left[0], port))]

    return getaddrinfo


def test_a_name_that_moves_to_a_private_address_is_not_called(
    team: Team, agent: Agent, receiver: Receiver, settings: Settings, monkeypatch: Any
) -> None:
    """Judged by the address at the moment of the call, not by the one at registration."""
    settings.OUTBOUND_ALLOW = []
    hook = make_hook(team, "https://hooks.example.com/x")
    WebhookEndpoint.objects.update(url="http://hooks.example.com/x")
    monkeypatch.setattr("socket.getaddrinfo", moving("127.0.0.1"))
    make_workflow(agent)
    hook.drain()
    [message] = hook.messages()
    assert (message.status, message.last_error) == (
        Status.PENDING,
        "The endpoint could not be reached.",
    )
    assert receiver.ledger == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x", "https://127.0.0.1/x", "https://169.254.169.254/latest",
        "https://[::1]/", "https://10.0.0.1/", "https://localhost/", "https://2130706433/",
        "https://metadata.google.internal/", "ftp://example.com/", "https://a:b@example.com/",
        "https://example.com:22/", "https://[::ffff:127.0.0.1]/",
    ],
)  # fmt: skip
def test_a_forbidden_address_is_refused_and_never_called(
    team: Team, agent: Agent, receiver: Receiver, settings: Settings, url: str
) -> None:
    settings.OUTBOUND_ALLOW, settings.OUTBOUND_ALLOW_HTTP = [], False
    with pytest.raises(InvalidInput):
        make_hook(team, url)
    hook = make_hook(team, "https://hooks.example.com/")
    WebhookEndpoint.objects.update(url=url)  # as if somebody had written it by SQL
    make_workflow(agent)
    hook.drain()
    [message] = hook.messages()
    assert message.last_error == "The endpoint could not be reached."


# --- Workers --------------------------------------------------------------------------------------


def test_a_late_answer_of_a_lost_worker_counts(
    hook: Hook, message: WebhookMessage, receiver: Receiver
) -> None:
    first = sending.claim(hook.endpoint.pk)
    assert first is not None
    assert hook.drain() == 0, "it is in somebody's hands"
    hook.time_passes()
    second = sending.claim(hook.endpoint.pk)
    assert second is not None
    assert (second.number, second.message.pk) == (2, message.pk)
    sending.settle(first, sending.Result(status=200))
    assert again(message).status == Status.DELIVERED
    sending.settle(second, sending.Result(status=500, error="The endpoint answered 500."))
    assert again(message).status == Status.DELIVERED, "a success is not taken back"
    assert hook.now.failures == 0
    assert [each.status_code for each in attempts(message)] == [200, 500]


def test_a_failure_of_a_lost_worker_changes_nothing(hook: Hook, message: WebhookMessage) -> None:
    first = sending.claim(hook.endpoint.pk)
    hook.time_passes()
    second = sending.claim(hook.endpoint.pk)
    assert first is not None
    assert second is not None
    sending.settle(first, sending.Result(error="No answer."))
    found = again(message)
    assert (found.claimed_at, found.last_error) == (second.message.claimed_at, "")


def test_a_message_that_kills_workers_is_given_up(hook: Hook, message: WebhookMessage) -> None:
    for _ in range(schedule.MAX_TRIES):
        assert sending.claim(hook.endpoint.pk) is not None
        hook.time_passes()
    assert sending.claim(hook.endpoint.pk) is None
    assert again(message).status == Status.FAILED


def test_deleting_it_while_it_is_sent_breaks_nothing(hook: Hook, message: WebhookMessage) -> None:
    claimed = sending.claim(hook.endpoint.pk)
    assert claimed is not None
    endpoints.remove(hook.endpoint.pk)
    sending.settle(claimed, sending.Result(error="No answer."))
    sending.settle(claimed, sending.Result(status=200))
    assert WebhookMessage.objects.count() == 0


def test_switching_off_while_it_is_sent_keeps_the_outcome(
    hook: Hook, message: WebhookMessage
) -> None:
    claimed = sending.claim(hook.endpoint.pk)
    assert claimed is not None
    endpoints.change(hook.endpoint.pk, {"is_active": False})
    assert again(message).status == Status.CANCELLED
    sending.settle(claimed, sending.Result(error="No answer."))
    assert (again(message).status, again(message).claimed_at) == (Status.CANCELLED, None)
    sending.settle(claimed, sending.Result(status=200))
    assert again(message).status == Status.DELIVERED


def test_few_are_in_flight_at_a_time_and_one_while_it_fails(
    hook: Hook, agent: Agent, settings: Settings
) -> None:
    for _ in range(6):
        make_workflow(agent)
    claimed = [sending.claim(hook.endpoint.pk) for _ in range(6)]
    assert sum(each is not None for each in claimed) == settings.WEBHOOK_IN_FLIGHT
    WebhookMessage.objects.update(claimed_at=None)
    WebhookEndpoint.objects.update(failures=1)
    claimed = [sending.claim(hook.endpoint.pk) for _ in range(3)]
    assert sum(each is not None for each in claimed) == 1


# --- Again ----------------------------------------------------------------------------------------


def test_sent_again_it_has_the_same_id_and_body_and_all_its_tries(
    hook: Hook, message: WebhookMessage, receiver: Receiver
) -> None:
    hook.drain()
    replays.resend(hook.endpoint.pk, message.pk)
    receiver.status = 500
    hook.drain()
    found = again(message)
    assert (found.status, found.attempts, found.tries) == (Status.PENDING, 2, 1)
    receiver.status = 200
    hook.time_passes()
    hook.drain()
    assert len({(each.headers["webhook-id"], each.body) for each in receiver.ledger}) == 1
    assert [each.number for each in attempts(message)] == [1, 2, 3]


def test_what_is_being_sent_is_not_sent_again(hook: Hook, message: WebhookMessage) -> None:
    sending.claim(hook.endpoint.pk)
    with pytest.raises(replays.BeingSent):
        replays.resend(hook.endpoint.pk, message.pk)


def test_a_replay_brings_what_was_missed(
    hook: Hook, agent: Agent, approver: User, receiver: Receiver
) -> None:
    """Delivered, parked, never written: all of them, once, with the ids they had."""
    start = database_now() - dt.timedelta(minutes=1)
    make_workflow(agent)
    hook.drain()
    receiver.status = 410
    workflow = make_workflow(agent)
    hook.drain()
    decide(workflow, approver)  # while it is off
    receiver.status = 200
    endpoints.change(hook.endpoint.pk, {"is_active": True})
    until = database_now() + dt.timedelta(minutes=1)
    done = replays.replay(hook.endpoint.pk, since=start, until=until)
    assert (done.added, done.requeued) == (1, 1)
    assert hook.drain() == 2
    assert {each.status for each in hook.messages()} == {Status.DELIVERED}
    assert types(hook) == ["workflow.created", "workflow.created", "human.responded"]

    ids = {each.headers["webhook-id"] for each in receiver.ledger}
    WebhookMessage.objects.all().delete()  # as if the log had been emptied
    done = replays.replay(hook.endpoint.pk, since=start, until=until)
    assert (done.added, done.requeued) == (3, 0)
    hook.drain()
    assert {each.headers["webhook-id"] for each in receiver.ledger} == ids


def test_a_replay_may_bring_everything_once_more(
    hook: Hook, message: WebhookMessage, receiver: Receiver
) -> None:
    hook.drain()
    now = database_now()
    day = dt.timedelta(days=1)
    assert replays.replay(hook.endpoint.pk, since=now - day, until=now + day).requeued == 0
    done = replays.replay(hook.endpoint.pk, since=now - day, until=now + day, delivered=True)
    assert done.requeued == 1
    hook.drain()
    assert len(receiver.ledger) == 2


# --- One slow endpoint delays no other ------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_hangs_keeps_nobody_waiting(
    team: Team, agent: Agent, receiver: Receiver, settings: Settings
) -> None:
    settings.WEBHOOK_TIMEOUT_SECONDS = 10
    with running() as slow:
        settings.OUTBOUND_ALLOW = [receiver.allow, slow.allow]
        slow.behaviour = "late"
        hanging, quick = make_hook(team, slow.url), make_hook(team, receiver.url)
        for _ in range(10):
            make_workflow(agent)
        assert LANES.open(hanging.endpoint.pk)
        for _ in range(8):
            LANES.open(hanging.endpoint.pk)
        assert LANES.open(quick.endpoint.pk)
        until(lambda: len(receiver.ledger) == 10)
        assert len(slow.ledger) <= settings.WEBHOOK_IN_FLIGHT
        slow.release.set()
        until(lambda: len(hanging.messages(status="delivered")) == 10)
        until(lambda: not [t for t in threading.enumerate() if t.name.startswith("webhooks ")])
    assert len(slow.ledger) == 10
    assert json.loads(slow.ledger[0].body)["type"] == "workflow.created"


def until(claim: Any) -> None:
    """Wait for it, but not for ever."""
    waiting = threading.Event()
    for _ in range(600):
        if claim():
            return
        waiting.wait(0.05)
    pytest.fail("it did not happen in 30 seconds")
