"""How often one may ask: each credential, each person, and an address whose credentials fail."""

from typing import Any

import pytest
from django.test import AsyncRequestFactory, Client
from pytest_django import Settings

from hitl.accounts import throttles
from hitl.accounts.models import Agent, User
from hitl.accounts.services import issue_key
from hitl.lib import limits, peers
from hitl.lib.limits import Rate
from tests.dashboard.browser import logged_in
from tests.workflows.api.callers import WORKFLOWS, Caller, as_agent, as_user, code, with_token
from workflows.api.views import Workflows
from workflows.models import Workflow

pytestmark = pytest.mark.django_db
REFUSED = (429, "rate-limited")


@pytest.fixture(autouse=True)
def _tight(settings: Settings) -> None:
    settings.RATE_LIMIT_API = Rate(3, 60)
    settings.RATE_LIMIT_MISSES = Rate(2, 60)


def codes(caller: Caller, times: int) -> list[int]:
    return [caller.get(WORKFLOWS).status_code for _ in range(times)]


def assert_says_when(answer: Any) -> None:
    assert code(answer) == REFUSED
    assert answer["Content-Type"] == "application/problem+json"
    assert 1 <= int(answer["Retry-After"]) <= 60
    assert f"try again in {answer['Retry-After']} seconds" in answer.json()["detail"]


def test_a_credential_may_ask_so_often(agent: Agent) -> None:
    bot = as_agent(agent, "read")
    assert codes(bot, 5) == [200] * 3 + [429] * 2
    answer = bot.get(WORKFLOWS)
    assert_says_when(answer)
    assert "more than 3 a minute" in answer.json()["detail"]


def test_what_is_refused_is_not_done(agent: Agent) -> None:
    bot = as_agent(agent)
    for number in range(5):
        answer = bot.post(WORKFLOWS, {"actionType": "a.b", "actionData": {"n": number}})
    assert code(answer) == REFUSED
    assert Workflow.objects.count() == 3


def test_each_credential_counts_for_itself(agent: Agent, stranger: User) -> None:
    first, second = (with_token(issue_key(agent)[1]) for _ in range(2))
    assert codes(first, 4)[-1] == 429
    assert codes(second, 3) == [200] * 3
    assert codes(as_user(stranger), 3) == [200] * 3


def test_a_person_counts_once_however_they_come_in(approver: User) -> None:
    page = Caller(client=logged_in(approver))
    assert codes(as_user(approver), 2) + codes(page, 2) == [200, 200, 200, 429]


def test_what_a_credential_may_not_do_counts_too(agent: Agent) -> None:
    bot = as_agent(agent, "read")
    answers = [bot.post(WORKFLOWS, {}).status_code for _ in range(4)]
    assert answers == [403] * 3 + [429]


def test_wrong_credentials_are_counted_by_address(agent: Agent) -> None:
    wrong = with_token("hitl_agt_wrong")
    assert codes(wrong, 2) == [401] * 2
    assert_says_when(wrong.get(WORKFLOWS))
    # The holder of a right one, behind the same address, is not locked out.
    assert codes(as_agent(agent, "read"), 1) == [200]
    elsewhere = Caller(wrong.headers, Client(REMOTE_ADDR="198.51.100.7"))
    assert codes(elsewhere, 1) == [401]


def test_an_address_is_no_other_for_what_a_header_says(settings: Settings) -> None:
    wrong = with_token("hitl_agt_wrong")
    spoofed = [
        wrong.get(WORKFLOWS, X_Forwarded_For=f"198.51.100.{number}").status_code
        for number in range(4)
    ]
    assert spoofed == [401, 401, 429, 429]
    settings.TRUSTED_PROXIES = peers.parse_networks(["127.0.0.1"])
    assert wrong.get(WORKFLOWS, X_Forwarded_For="198.51.100.77").status_code == 401


def test_nothing_is_limited_where_it_is_off(agent: Agent, settings: Settings) -> None:
    settings.RATE_LIMIT_API = settings.RATE_LIMIT_MISSES = None
    assert codes(as_agent(agent, "read"), 6) == [200] * 6
    assert codes(with_token("hitl_agt_wrong"), 6) == [401] * 6


def test_the_api_goes_on_without_its_cache(agent: Agent, settings: Settings) -> None:
    """Redis at an address where nobody listens: requests are answered, and counted all the same."""
    place = {"BACKEND": "hitl.lib.caches.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": place}
    try:
        assert codes(as_agent(agent, "read"), 4) == [200] * 3 + [429]
    finally:
        limits.forget_outage()


def test_pings_are_never_limited() -> None:
    client = Client()
    assert {client.get(path).status_code for path in ("/ping", "/healthz") * 10} == {200}


def test_an_agent_that_waits_is_counted_once(agent: Agent) -> None:
    """What the server asks again for one who waits is marked where no client can write."""
    bot = as_agent(agent, "read")
    codes(bot, 3)
    statuses = []
    for marks in ((throttles.AGAIN,), ()):
        request = AsyncRequestFactory().get(WORKFLOWS, headers=bot.headers)
        request.scope = {**request.scope, **dict.fromkeys(marks, True)}
        statuses.append(Workflows.as_view()(request).status_code)
    assert statuses == [200, 429]
    assert bot.get(WORKFLOWS, **{throttles.AGAIN: "True"}).status_code == 429
