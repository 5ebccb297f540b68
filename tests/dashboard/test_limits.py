"""How often one address may open what needs no login."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from dashboard.limits import PUBLIC
from hitl.accounts.models import User
from hitl.lib import peers
from hitl.lib.limits import Rate
from tests.dashboard.browser import logged_in, text
from tests.dashboard.test_pages_in_general import assert_guarded

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _tight(settings: Settings) -> None:
    settings.RATE_LIMIT_PUBLIC = Rate(3, 60)
    settings.RATE_LIMIT_LOGIN = Rate(2, 60)
    settings.RATE_LIMIT_MISSES = Rate(2, 60)


def last_of(times: int, path: str, client: Client | None = None, **meta: Any) -> Any:
    client = client or Client()
    for _ in range(times):
        answer = client.get(path, **meta)
    return answer


WITH_TOKEN = ("/l/", "/respond/", "/mail/off/")
PATHS = [f"{each}x/" if each in WITH_TOKEN else each for each in PUBLIC if "known" not in each]


@pytest.mark.parametrize("path", PATHS)
def test_public_pages_are_limited(path: str, settings: Settings) -> None:
    settings.RATE_LIMIT_MISSES = None
    assert last_of(3, path).status_code != 429
    answer = last_of(4, path)
    assert answer.status_code == 429
    assert 1 <= int(answer["Retry-After"]) <= 60


def test_the_page_says_when_to_come_back() -> None:
    answer = last_of(4, "/login/")
    assert "One moment, please" in text(answer)
    assert f"Try again in {answer['Retry-After']} seconds" in text(answer)
    assert_guarded(answer)


def test_the_keys_are_refused_with_a_problem() -> None:
    assert last_of(3, "/.well-known/jwks.json").status_code == 200
    answer = last_of(1, "/.well-known/jwks.json")
    assert answer.status_code == 429
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "rate-limited"
    assert answer["Retry-After"] in answer.json()["detail"]
    assert answer["X-Request-Id"] == answer.json()["requestId"]


def test_other_addresses_go_on() -> None:
    assert last_of(4, "/login/").status_code == 429
    assert last_of(1, "/login/", REMOTE_ADDR="198.51.100.7").status_code == 200


def test_an_address_cannot_be_made_up(settings: Settings) -> None:
    for number in range(4):
        answer = Client().get("/login/", headers={"X-Forwarded-For": f"198.51.100.{number}"})
    assert answer.status_code == 429
    settings.TRUSTED_PROXIES = peers.parse_networks(["127.0.0.0/8"])
    answer = Client().get("/login/", headers={"X-Forwarded-For": "198.51.100.1"})
    assert answer.status_code == 200


def test_people_at_work_are_not_limited(approver: User) -> None:
    assert last_of(10, "/", logged_in(approver)).status_code == 200
    assert last_of(10, "/").status_code == 302


def test_trying_one_password_on_many_accounts_is_stopped(approver: User) -> None:
    """Each account has seen one wrong password; the address has sent them all."""
    for number in range(3):
        fields = {"username": f"person{number}@example.com", "password": "Winter2026!"}
        answer = Client().post("/login/", fields)
    assert answer.status_code == 429
    right = {"username": approver.email, "password": "correct horse battery"}
    assert Client().post("/login/", right).status_code == 429
    assert Client(REMOTE_ADDR="198.51.100.7").post("/login/", right).status_code == 302


def test_the_admin_has_no_door_of_its_own(approver: User) -> None:
    """Its login leads to ours, so that ours counts; a post to it is no try."""
    fields = {"username": approver.email, "password": "correct horse battery"}
    client = Client()
    answer = client.post("/admin/login/?next=/admin/", fields)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/?next=")
    assert "_auth_user_id" not in client.session
    client.post("/admin/login/", fields)
    assert client.post("/admin/login/", fields).status_code == 429


def test_posts_without_a_signature_are_counted(settings: Settings) -> None:
    settings.SLACK_BOT_TOKEN, settings.SLACK_SIGNING_SECRET = "xoxb-1", "secret"
    client = Client()
    path = "/webhooks/slack/callback"
    answers = [client.post(path, {"payload": "{}"}) for _ in range(4)]
    assert [each.status_code for each in answers] == [401, 401, 429, 429]
    assert 1 <= int(answers[-1]["Retry-After"]) <= 60
    elsewhere = client.post(path, {"payload": "{}"}, REMOTE_ADDR="198.51.100.7")
    assert elsewhere.status_code == 401


def test_links_that_are_guessed_say_when_to_come_back(settings: Settings) -> None:
    settings.RATE_LIMIT_PUBLIC = None
    assert last_of(2, "/l/guess/").status_code == 404
    answer = last_of(1, "/l/guess/")
    assert answer.status_code == 429
    assert 1 <= int(answer["Retry-After"]) <= 60
