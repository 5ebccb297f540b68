"""Webhooks on the API: who may, what is shown once, and what comes of each operation."""

import datetime as dt
from typing import Any
from uuid import uuid4

import pytest
from pytest_django import Settings
from standardwebhooks import Webhook

from events.models import WebhookEndpoint, WebhookMessage
from events.webhooks import sending
from hitl.accounts.models import Agent, Role, Team, User
from hitl.accounts.services import add_member
from tests.accounts.factories import TeamFactory
from tests.receiver import Receiver
from tests.receiver import receiver as running
from tests.workflows.api.callers import Caller, as_agent, as_user, code, places
from tests.workflows.factories import make_workflow

pytestmark = pytest.mark.django_db
HOOKS = "/api/v1/webhooks"
NEW = {"url": "https://hooks.example.com/in", "events": ["workflow.*"], "description": "Ours"}


@pytest.fixture
def mia(manager: User) -> Caller:
    """The manager, by JWT."""
    return as_user(manager)


@pytest.fixture
def hook(mia: Caller) -> dict[str, Any]:
    answer = mia.post(HOOKS, NEW)
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def path(hook: dict[str, Any], *more: str) -> str:
    return "/".join((HOOKS, hook["webhookId"], *more))


def test_the_secret_is_shown_once_and_sealed(mia: Caller, hook: dict[str, Any], team: Team) -> None:
    assert hook["secret"].startswith("whsec_")
    assert hook["teamId"] == str(team.pk)
    assert (hook["isActive"], hook["signature"], hook["format"]) == (True, "v1", "standard")
    for answer in (mia.get(HOOKS), mia.get(path(hook)), mia.get(path(hook, "messages"))):
        assert "whsec_" not in answer.content.decode()
    sealed = WebhookEndpoint.objects.get().secrets.get().sealed
    assert hook["secret"].removeprefix("whsec_") not in sealed


def test_an_ed25519_endpoint_tells_its_public_key_for_ever(mia: Caller) -> None:
    made = mia.post(HOOKS, NEW | {"signature": "v1a"}).json()
    assert made["secret"].startswith("whpk_")
    found = mia.get(path(made)).json()
    assert (found["signature"], found["publicKey"]) == ("v1a", made["secret"])


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"url": "http://hooks.example.com/"}, "/url"),
        ({"url": "https://127.0.0.1/"}, "/url"),
        ({"url": "https://metadata.google.internal/"}, "/url"),
        ({"url": 5}, "/url"),
        ({"events": ["workflow.*", "no.such"]}, "/events/1"),
        ({"events": "workflow.*"}, "/events"),
        ({"events": ["*"]}, "/events/0"),
        ({"format": "xml"}, "/format"),
        ({"signature": "md5"}, "/signature"),
        ({"description": "x" * 201}, "/description"),
        ({"secret": "whsec_mine"}, "/secret"),
        ({"teamId": "x"}, "/teamId"),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(
    mia: Caller, change: dict[str, Any], place: str
) -> None:
    answer = mia.post(HOOKS, NEW | change)
    assert code(answer) == (400, "validation")
    assert places(answer) == [place]
    assert not WebhookEndpoint.objects.exists()


def test_only_managers_may(
    ann: Caller, viewer: User, bot: Caller, stranger: User, hook: dict[str, Any]
) -> None:
    colleagues = (ann, as_user(viewer))
    for caller in (*colleagues, bot):
        assert code(caller.post(HOOKS, NEW)) == (403, "forbidden")
        assert code(caller.get(path(hook))) == (403, "forbidden")
        assert code(caller.post(path(hook, "rotate"))) == (403, "forbidden")
        assert code(caller.other("DELETE", path(hook))) == (403, "forbidden")
    assert [row.get(HOOKS).json()["items"] for row in colleagues] == [[], []]
    assert WebhookEndpoint.objects.count() == 1


def test_anothers_endpoint_looks_like_none(
    stranger: User, agent: Agent, hook: dict[str, Any], manager: User
) -> None:
    make_workflow(agent)
    sue, message = as_user(stranger), str(WebhookMessage.objects.get().pk)
    day = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
    for named in (hook, {"webhookId": str(uuid4())}, {"webhookId": "x"}):
        answers = (
            sue.get(path(named)),
            sue.other("PATCH", path(named), {"isActive": False}),
            sue.other("DELETE", path(named)),
            sue.post(path(named, "rotate")),
            sue.post(path(named, "test")),
            sue.post(path(named, "replay"), day),
            sue.get(path(named, "messages")),
            sue.get(path(named, "messages", message)),
            sue.post(path(named, "messages", message, "resend")),
        )
        for answer in answers:
            assert code(answer) == (404, "not-found")
            assert answer.json()["detail"] == "There is no such webhook endpoint."
    assert sue.get(HOOKS).json()["items"] == []
    assert code(sue.post(HOOKS, NEW | {"teamId": hook["teamId"]})) == (404, "not-found")
    assert WebhookEndpoint.objects.get().is_active


def test_a_message_of_another_endpoint_is_not_found(
    mia: Caller, agent: Agent, hook: dict[str, Any]
) -> None:
    make_workflow(agent)
    other = mia.post(HOOKS, NEW).json()
    message = str(WebhookMessage.objects.get().pk)
    assert mia.get(path(hook, "messages", message)).status_code == 200
    assert code(mia.get(path(other, "messages", message))) == (404, "not-found")


def test_whoever_manages_several_teams_names_one(mia: Caller, manager: User) -> None:
    second = TeamFactory()
    add_member(second, manager, Role.MANAGER)
    assert code(mia.post(HOOKS, NEW)) == (400, "validation")
    made = mia.post(HOOKS, NEW | {"teamId": str(second.pk)})
    assert made.json()["teamId"] == str(second.pk)


def test_an_agent_may_with_a_key_that_says_so(agent: Agent, hook: dict[str, Any]) -> None:
    bot = as_agent(agent, "webhooks")
    assert bot.post(HOOKS, NEW).status_code == 201
    assert len(bot.get(HOOKS).json()["items"]) == 2
    assert code(as_agent(agent).get(HOOKS)) == (403, "forbidden"), "no JWT has this scope"


def test_changing_switching_off_and_on(mia: Caller, hook: dict[str, Any]) -> None:
    changed = mia.other("PATCH", path(hook), {"events": [], "format": "cloudevents"}).json()
    assert (changed["events"], changed["format"], changed["url"]) == ([], "cloudevents", NEW["url"])
    off = mia.other("PATCH", path(hook), {"isActive": False}).json()
    assert (off["isActive"], off["disabledReason"]) == (False, "by_hand")
    assert code(mia.post(path(hook, "test"))) == (409, "webhook-off")
    on = mia.other("PATCH", path(hook), {"isActive": True}).json()
    assert (on["isActive"], on["disabledReason"], on["disabledAt"]) == (True, None, None)
    assert code(mia.other("PATCH", path(hook), {"isActive": "yes"})) == (400, "validation")
    assert code(mia.other("PATCH", path(hook), {"url": "https://10.0.0.1/"})) == (400, "validation")


def test_deleting_it(mia: Caller, agent: Agent, hook: dict[str, Any]) -> None:
    make_workflow(agent)
    answer = mia.other("DELETE", path(hook))
    assert (answer.status_code, answer.content) == (204, b"")
    assert code(mia.get(path(hook))) == (404, "not-found")
    assert WebhookMessage.objects.count() == 0


def test_rotating_the_secret(mia: Caller, hook: dict[str, Any]) -> None:
    rotated = mia.post(path(hook, "rotate")).json()
    assert rotated["secret"] != hook["secret"]
    assert rotated["previousSecretUntil"]
    ended = mia.post(path(hook, "rotate"), {"overlapHours": 0, "signature": "v1a"}).json()
    assert ended["secret"].startswith("whpk_")
    assert code(mia.post(path(hook, "rotate"), {"overlapHours": 169})) == (400, "validation")
    for _ in range(8):
        mia.post(path(hook, "rotate"))
    assert WebhookEndpoint.objects.get().secrets.count() <= 5


def test_the_log_tells_request_and_answer(
    mia: Caller, agent: Agent, settings: Settings, hook: dict[str, Any]
) -> None:
    with running() as receiver:
        _aim(hook, receiver, settings)
        receiver.status, receiver.answer = 500, b"<b>out of order</b>"
        workflow = make_workflow(agent)
        sending.drain(WebhookEndpoint.objects.get().pk)
        [row] = mia.get(path(hook, "messages")).json()["items"]
        assert (row["type"], row["status"], row["attempts"]) == ("workflow.created", "pending", 1)
        assert (row["workflowId"], row["seq"]) == (str(workflow.pk), 1)
        shown = mia.get(path(hook, "messages", row["messageId"])).json()
        [attempt] = shown["tries"]
        assert (attempt["statusCode"], attempt["answer"]) == (500, "<b>out of order</b>")
        assert shown["body"]["data"]["workflowId"] == str(workflow.pk)

        receiver.status = 200
        again = mia.post(path(hook, "messages", row["messageId"], "resend"))
        assert again.json()["status"] == "pending"
        sending.drain(WebhookEndpoint.objects.get().pk)
        found = mia.get(path(hook, "messages"), {"status": "delivered"}).json()["items"]
        assert [each["webhookId"] for each in found] == [row["webhookId"]]
        received = receiver.ledger[-1]
        assert received.headers["webhook-id"] == row["webhookId"]
        assert Webhook(hook["secret"]).verify(received.body, received.headers)


def _aim(hook: dict[str, Any], receiver: Receiver, settings: Settings) -> None:
    settings.OUTBOUND_ALLOW, settings.OUTBOUND_ALLOW_HTTP = [receiver.allow], True
    WebhookEndpoint.objects.filter(pk=hook["webhookId"]).update(url=receiver.url)


def test_a_test_is_a_message_like_any_other(
    mia: Caller, settings: Settings, hook: dict[str, Any]
) -> None:
    with running() as receiver:
        _aim(hook, receiver, settings)
        answer = mia.post(path(hook, "test"))
        assert answer.status_code == 202
        sending.drain(WebhookEndpoint.objects.get().pk)
        [received] = receiver.ledger
        content = Webhook(hook["secret"]).verify(received.body, received.headers)
        assert content["type"] == "webhook.test"
        shown = mia.get(path(hook, "messages", answer.json()["messageId"])).json()
        assert (shown["status"], shown["workflowId"], shown["seq"]) == ("delivered", None, None)


def test_replaying_a_range(mia: Caller, agent: Agent, hook: dict[str, Any]) -> None:
    mia.other("PATCH", path(hook), {"isActive": False})
    make_workflow(agent)
    mia.other("PATCH", path(hook), {"isActive": True})
    now = dt.datetime.now(dt.UTC)
    hour = dt.timedelta(hours=1)
    span = {"since": (now - hour).isoformat(), "until": (now + hour).isoformat()}
    answer = mia.post(path(hook, "replay"), span)
    assert (answer.status_code, answer.json()) == (202, {"added": 1, "requeued": 0})
    assert mia.post(path(hook, "replay"), span).json() == {"added": 0, "requeued": 0}
    backwards = {"since": span["until"], "until": span["since"]}
    assert places(mia.post(path(hook, "replay"), backwards)) == ["/until"]


def test_pages_of_the_log(mia: Caller, agent: Agent, hook: dict[str, Any]) -> None:
    for _ in range(5):
        make_workflow(agent)
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = mia.get(path(hook, "messages"), params).json()
        seen += [row["messageId"] for row in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 5
    only = mia.get(path(hook, "messages"), {"workflowId": str(uuid4())}).json()
    assert only["items"] == []
    assert code(mia.get(path(hook, "messages"), {"status": "lost"})) == (400, "validation")
