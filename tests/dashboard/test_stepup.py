"""The second factor at login and at decisions: asked for, proved, worn out, never guessed."""

import datetime as dt
import json
import re
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.test import Client, RequestFactory

from hitl.accounts import factors, stepup
from hitl.accounts.models import User
from tests import authenticator
from tests.dashboard.browser import logged_in, text

PASSWORD = "correct horse battery"
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
NOON = dt.datetime(2027, 3, 2, 12, tzinfo=dt.UTC)


@pytest.fixture
def with_app(approver: User) -> User:
    with time_machine.travel(NOON - dt.timedelta(hours=1), tick=False):
        factors.add_totp(approver, SECRET, authenticator.code(SECRET))
    return approver


@pytest.fixture
def clock() -> Any:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def strength(client: Client, user: User) -> str:
    """How sure the gate is of the person in this browser."""
    request = RequestFactory().get("/")
    request.session, request.user = client.session, user
    return stepup.strength(request)


def log_in(user: User, **fields: str) -> tuple[Client, Any]:
    client = Client()
    values = {"username": user.email, "password": PASSWORD} | fields
    return client, client.post("/login/", values)


def show(client: Client, code: str, **fields: str) -> Any:
    return client.post("/stepup/", {"code": code, **fields})


# --- Login ----------------------------------------------------------------------------------------


def test_password_alone_is_enough_for_who_has_nothing_else(approver: User) -> None:
    client, answer = log_in(approver)
    assert answer["Location"] == "/"
    assert client.get("/").status_code == 200
    assert strength(client, approver) == "session"


def test_password_alone_opens_nothing_for_who_has_a_factor(with_app: User) -> None:
    client, answer = log_in(with_app)
    assert answer["Location"] == "/login/second-factor/"
    assert client.get("/")["Location"].startswith("/login/")
    assert client.get("/me/security/")["Location"].startswith("/login/")
    assert client.get("/stepup/")["Location"].startswith("/login/")


def test_the_code_opens_and_leads_where_one_wanted_to_go(with_app: User, clock: Any) -> None:
    client, _ = log_in(with_app, next="/history/")
    page = text(client.get("/login/second-factor/"))
    assert with_app.email in page
    answer = client.post("/login/second-factor/", {"code": authenticator.code(SECRET)})
    assert answer["Location"] == "/history/"
    assert client.get("/history/").status_code == 200
    assert strength(client, with_app) == "totp"


def test_nobody_starts_with_the_second_step(with_app: User, clock: Any) -> None:
    client = Client()
    answer = client.post("/login/second-factor/", {"code": authenticator.code(SECRET)})
    assert answer["Location"] == "/login/"
    assert client.get("/")["Location"].startswith("/login/")


def test_the_first_step_wears_out(with_app: User, clock: Any) -> None:
    client, _ = log_in(with_app)
    clock.shift(dt.timedelta(minutes=20))
    client.post("/login/second-factor/", {"code": authenticator.code(SECRET)})
    assert client.get("/")["Location"].startswith("/login/")


def test_five_wrong_codes_wait_also_in_another_browser(with_app: User, clock: Any) -> None:
    for _ in range(5):
        client, _ = log_in(with_app)
        page = text(client.post("/login/second-factor/", {"code": "000000"}))
        assert "This code is wrong" in page
    cache.clear()
    client, _ = log_in(with_app)
    right = {"code": authenticator.code(SECRET)}
    assert "Try again in 30 seconds" in text(client.post("/login/second-factor/", right))
    clock.shift(31)
    right = {"code": authenticator.code(SECRET)}
    assert client.post("/login/second-factor/", right)["Location"] == "/"


def test_wrong_passwords_wait(approver: User, clock: Any) -> None:
    for _ in range(5):
        assert log_in(approver, password="wrong")[1].status_code == 200
    client, answer = log_in(approver)
    assert answer.status_code == 429
    assert answer["Retry-After"] == "30"
    assert "Too many attempts. Try again in 30 seconds." in text(answer)
    assert client.get("/")["Location"].startswith("/login/")
    clock.shift(31)
    assert log_in(approver)[1]["Location"] == "/"
    assert log_in(approver, password="wrong")[1].status_code == 200


def test_wrong_passwords_from_elsewhere_lock_nobody_out(approver: User) -> None:
    for _ in range(8):
        fields = {"username": approver.email, "password": "wrong"}
        Client(REMOTE_ADDR="192.0.2.7").post("/login/", fields)
    assert log_in(approver)[1]["Location"] == "/"


def test_an_army_of_addresses_is_stopped(approver: User, clock: Any) -> None:
    for number in range(120):
        fields = {"username": approver.email.upper(), "password": "wrong"}
        answer = Client(REMOTE_ADDR=f"192.0.2.{number}").post("/login/", fields)
    assert answer.status_code == 429


def test_unknown_accounts_are_treated_alike(db: None) -> None:
    fields = {"username": "nobody@example.com", "password": "wrong"}
    answers = [Client().post("/login/", fields).status_code for _ in range(6)]
    assert answers == [200] * 5 + [429]


def test_it_all_works_while_redis_is_down(with_app: User, clock: Any, settings: Any) -> None:
    redis = "hitl.lib.caches.RedisCache"
    settings.CACHES = {"default": {"BACKEND": redis, "LOCATION": "redis://127.0.0.1:1/0"}}
    client, _ = log_in(with_app)
    assert "wrong" in text(client.post("/login/second-factor/", {"code": "000000"}))
    answer = client.post("/login/second-factor/", {"code": authenticator.code(SECRET)})
    assert answer["Location"] == "/"
    assert show(client, factors.codes(with_app)[0])["Location"] == "/"
    assert strength(client, with_app) == "recovery"


# --- Step-up --------------------------------------------------------------------------------------


def test_it_is_good_for_ten_minutes(with_app: User, clock: Any) -> None:
    client = logged_in(with_app)
    assert strength(client, with_app) == "session"
    answer = show(client, authenticator.code(SECRET), next="/history/?q=1")
    assert answer["Location"] == "/history/?q=1"
    assert strength(client, with_app) == "totp"
    clock.shift(600)
    assert strength(client, with_app) == "totp"
    clock.shift(1)
    assert strength(client, with_app) == "session"


def test_a_recovery_code_is_told_apart(with_app: User) -> None:
    client = logged_in(with_app)
    show(client, factors.codes(with_app)[0])
    assert strength(client, with_app) == "recovery"


def test_it_belongs_to_the_session(with_app: User, clock: Any) -> None:
    client, other = logged_in(with_app), logged_in(with_app)
    show(client, authenticator.code(SECRET))
    assert strength(other, with_app) == "session"


def test_it_belongs_to_the_person(with_app: User, colleague: User, clock: Any) -> None:
    client = logged_in(with_app)
    show(client, authenticator.code(SECRET))
    assert strength(client, colleague) == "session"


def test_a_factor_that_is_gone_proves_nothing_any_more(with_app: User, clock: Any) -> None:
    client = logged_in(with_app)
    show(client, authenticator.code(SECRET))
    factors.reset(with_app)
    assert strength(client, with_app) == "session"


def test_a_code_opens_one_session_only(with_app: User, clock: Any) -> None:
    client, other = logged_in(with_app), logged_in(with_app)
    code = authenticator.code(SECRET)
    show(client, code)
    assert "was used before" in text(show(other, code))
    assert strength(other, with_app) == "session"


def test_five_wrong_codes_wait_here_too(with_app: User, clock: Any) -> None:
    client = logged_in(with_app)
    for _ in range(5):
        show(client, "000000")
    assert "Try again in 30 seconds" in text(show(client, authenticator.code(SECRET)))
    assert strength(client, with_app) == "session"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil", ""]
)
def test_it_leads_to_no_other_site(with_app: User, clock: Any, target: str) -> None:
    answer = show(logged_in(with_app), authenticator.code(SECRET), next=target)
    assert answer["Location"] == "/"


def test_refusals_and_proofs_are_logged_without_the_code(
    with_app: User, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "hitl")
    client = logged_in(with_app)
    show(client, "123123")
    code = authenticator.code(SECRET)
    show(client, code)
    said = [record.getMessage() for record in caplog.records]
    assert f"second factor refused: a wrong code for user {with_app.pk}" in said
    assert f"second factor shown: totp by user {with_app.pk}" in said
    assert not any("123123" in line or code in line for line in said)


@pytest.mark.parametrize(
    "credential",
    [
        "", "{", "null", "[]", "1", "{}", '{"id": 1}', '{"id": "AAAA"}',
        '{"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {}}',
        '{"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": '
        '{"clientDataJSON": "e30", "authenticatorData": "AAAA", "signature": "AAAA"}}',
        '{"id": "!", "rawId": "!", "type": "x", "response": {"clientDataJSON": 1}}',
    ],
)  # fmt: skip
def test_a_rubbish_passkey_is_refused(with_app: User, credential: str) -> None:
    client = logged_in(with_app)
    client.get("/stepup/")
    answer = client.post("/stepup/", {"credential": credential})
    assert answer.status_code == 200
    assert strength(client, with_app) == "session"


# --- The first factor -----------------------------------------------------------------------------


def test_who_has_none_is_led_to_set_one_up_and_back(approver: User, clock: Any) -> None:
    client = logged_in(approver)
    page = text(client.get("/stepup/?next=/history/"))
    assert "you have none yet" in page
    answer = client.post("/stepup/", {"password": PASSWORD, "next": "/history/"})
    assert answer["Location"] == "/me/security/"
    assert "asks for a second factor" in text(client.get("/me/security/"))

    secret = secret_of(client)
    answer = client.post("/me/security/app/", {"code": authenticator.code(secret)})
    assert answer["Location"] == "/me/security/codes/"
    assert strength(client, approver) == "totp"
    assert "go on" in text(client.get("/me/security/codes/"))
    assert client.post("/me/security/go-on/")["Location"] == "/history/"
    assert client.post("/me/security/go-on/")["Location"] == "/me/security/"


def secret_of(client: Client) -> str:
    found = re.search(r'id="secret">([A-Z2-7]+)<', text(client.get("/me/security/app/")))
    assert found
    return found[1]


def test_the_session_alone_sets_nothing_up(approver: User) -> None:
    client = logged_in(approver)
    for path in ("/me/security/app/", "/me/security/passkey/", "/me/security/codes/"):
        assert client.get(path)["Location"].startswith("/stepup/?next=")
        assert client.post(path, {"code": "1"})["Location"].startswith("/stepup/?next=")
    assert not Authenticator.objects.exists()


def test_a_password_is_not_guessed_there_either(approver: User, clock: Any) -> None:
    client = logged_in(approver)
    for _ in range(5):
        assert "not your password" in text(client.post("/stepup/", {"password": "wrong"}))
    page = text(client.post("/stepup/", {"password": PASSWORD}))
    assert "Try again in 30 seconds" in page


def test_the_password_is_not_enough_once_there_is_a_factor(with_app: User, clock: Any) -> None:
    client = logged_in(with_app)
    client.post("/stepup/", {"password": PASSWORD})
    row = factors.of(with_app).totp
    assert row
    for path in (f"/me/security/{row.pk}/remove/", "/me/security/passkey/", "/me/security/codes/"):
        assert client.post(path)["Location"].startswith("/stepup/?next=")
    assert factors.of(with_app).totp


def test_a_wrong_code_sets_nothing_up_and_keeps_the_secret(approver: User, clock: Any) -> None:
    client = logged_in(approver)
    client.post("/stepup/", {"password": PASSWORD})
    secret = secret_of(client)
    page = text(client.post("/me/security/app/", {"code": "000000"}))
    assert secret in page
    assert "not the code of the moment" in page
    assert not Authenticator.objects.exists()


def test_removing_asks_first_and_tells_what_follows(with_app: User, clock: Any) -> None:
    client = logged_in(with_app)
    show(client, authenticator.code(SECRET))
    row = factors.of(with_app).totp
    assert row
    path = f"/me/security/{row.pk}/remove/"
    assert "your only second factor" in text(client.get(path))
    assert factors.has_second_factor(with_app)
    client.post(path)
    assert not factors.has_second_factor(with_app)


def test_nobody_removes_somebody_elses(with_app: User, colleague: User, clock: Any) -> None:
    client = logged_in(colleague)
    client.post("/stepup/", {"password": PASSWORD})
    row = factors.of(with_app).totp
    assert row
    assert client.post(f"/me/security/{row.pk}/remove/")["Location"] == "/me/security/"
    assert factors.has_second_factor(with_app)


def test_a_rubbish_passkey_is_not_added(approver: User) -> None:
    client = logged_in(approver)
    client.post("/stepup/", {"password": PASSWORD})
    client.get("/me/security/passkey/")
    empty = {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {}}
    answers = [{"clientDataJSON": "e30", "attestationObject": each} for each in ("", "AAAA", "oA")]
    whole = [json.dumps(empty | {"response": answer}) for answer in answers]
    for credential in ("", "{}", "[]", "1", json.dumps(empty), *whole):
        answer = client.post("/me/security/passkey/", {"credential": credential})
        assert answer.status_code == 200
    assert not Authenticator.objects.exists()


def test_agents_have_no_strength() -> None:
    assert stepup.strength(RequestFactory().get("/")) == "session"
