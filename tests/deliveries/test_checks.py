"""System checks name half-configured channels."""

import subprocess
import sys

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from deliveries import checks
from deliveries.channels import CHANNELS
from deliveries.channels.base import Channel
from hitl.lib import signing_keys
from tests.embedded import clean_environment

WHOLE = {
    "SANDBOX": False,
    "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
    "EMAIL_URL": "smtp+tls://hitl:secret@mail.example.com:587",
    "DEFAULT_FROM_EMAIL": "hitl <approvals@example.com>",
    "PUBLIC_URL": "https://approvals.example.com",
}


def ids() -> set[str]:
    return {str(each.id) for check in checks.CHECKS for each in check()}


@pytest.fixture
def whole(settings: Settings) -> Settings:
    for name, value in WHOLE.items():
        setattr(settings, name, value)
    return settings


def test_whole_configuration_is_silent(whole: Settings) -> None:
    assert ids() == set()


def test_sandbox_needs_no_account(settings: Settings) -> None:
    settings.SANDBOX = settings.EMBEDDED = True
    settings.EMAIL_URL = ""
    assert ids() == set()


def test_sandbox_beside_a_database_is_an_error(whole: Settings) -> None:
    whole.SANDBOX, whole.EMBEDDED = True, False
    assert "deliveries.E002" in ids()


def test_mail_that_goes_nowhere(whole: Settings) -> None:
    whole.EMAIL_URL = ""
    whole.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    assert ids() == {"deliveries.W002"}


@pytest.mark.parametrize("sender", ["hitl <hitl@localhost>", "hitl", "hitl@127.0.0.1"])
def test_sender_that_servers_refuse(whole: Settings, sender: str) -> None:
    whole.DEFAULT_FROM_EMAIL = sender
    assert ids() == {"deliveries.W003"}


def test_links_that_lead_to_the_readers_own_machine(whole: Settings) -> None:
    whole.PUBLIC_URL = "http://localhost:4000"
    assert ids() == {"deliveries.W004"}


def test_mail_server_on_this_machine_is_for_trying_out(whole: Settings) -> None:
    whole.EMAIL_URL, whole.PUBLIC_URL = "smtp://localhost:1025", "http://localhost:4000"
    assert ids() == set()


class Pager(Channel):
    name, label, contact_kind = "pager", "Pager", "phone"
    settings = ("PAGER_ACCOUNT", "PAGER_TOKEN")


def test_channel_configured_by_halves_names_what_is_missing(
    whole: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CHANNELS, "pager", Pager)
    whole.PAGER_ACCOUNT, whole.PAGER_TOKEN = "AC1", ""
    whole.EMBEDDED = True
    [warning] = checks.channels_are_whole()
    assert warning.id == "deliveries.W001"
    assert "PAGER_TOKEN" in str(warning.hint)
    assert "PAGER_ACCOUNT" not in str(warning.hint)
    assert "AC1" not in str(warning)


def test_django_runs_them(whole: Settings) -> None:
    whole.DEFAULT_FROM_EMAIL = "hitl@localhost"
    assert "deliveries.W003" in {each.id for each in run_checks()}


def test_slack_may_come_back_by_either_way(whole: Settings) -> None:
    whole.EMBEDDED = False
    whole.SLACK_BOT_TOKEN = "xoxb-1"
    assert ids() == {"deliveries.E001"}
    for empty in (" ", ",", " , "):
        whole.SLACK_SIGNING_SECRET = empty
        assert ids() == {"deliveries.E001"}
    whole.SLACK_SIGNING_SECRET = ""
    for way in ("SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN"):
        setattr(whole, way, "x")
        assert ids() == set()
        setattr(whole, way, "")


PRODUCTION = {
    "DATABASE_URL": "postgres://nobody@127.0.0.1:9/none", "REDIS_URL": "redis://127.0.0.1:9/0",
    "SECRET_KEY": "s" * 50, "JWT_SECRET": "j" * 50, "ALLOWED_HOSTS": "approvals.example.com",
    "PUBLIC_URL": "https://approvals.example.com", "EMAIL_URL": "smtp+tls://mail.example.com:587",
    "SIGNING_KEYS": signing_keys.generate(),
}  # fmt: skip


@pytest.mark.parametrize(
    ("half", "missing"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-1", "DEBUG": "on"}, "SLACK_SIGNING_SECRET"),
        ({"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_FROM": "+15551234567"}, "TWILIO_AUTH_TOKEN"),
    ],
)
def test_production_does_not_start_without_what_signs_the_answers(
    half: dict[str, str], missing: str
) -> None:
    said = refused(half)
    assert "deliveries.E001" in said
    assert missing in said


@pytest.mark.parametrize("keys", ["", "hitl_sk_", f"hitl_pk_{'s' * 42}A", "s" * 43])
def test_production_does_not_start_without_a_signing_key(keys: str) -> None:
    said = refused({"SIGNING_KEYS": keys, "DEBUG": "on"})
    assert "workflows.E001" in said
    assert "manage.py signing_key" in said
    assert "s" * 20 not in said


def refused(changes: dict[str, str]) -> str:
    """What a server says that does not start."""
    done = subprocess.run(
        [sys.executable, "manage.py", "serve", "--port", "0"],
        env=clean_environment() | PRODUCTION | changes,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return done.stderr


# --- A mail provider ------------------------------------------------------------------------------


@pytest.fixture
def postmark(whole: Settings) -> Settings:
    whole.EMAIL_URL, whole.EMAIL_PROVIDER = "", "postmark"
    whole.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
    whole.ANYMAIL = {"POSTMARK_SERVER_TOKEN": "token", "WEBHOOK_SECRET": ["user:password"]}
    whole.REPLY_ADDRESS = "approvals@in.example.com"
    return whole


def test_whole_provider_is_silent(postmark: Settings) -> None:
    assert ids() == set()


def test_provider_without_its_key_names_it(postmark: Settings) -> None:
    postmark.ANYMAIL = {"WEBHOOK_SECRET": ["user:password"]}
    postmark.EMBEDDED = True
    [warning] = checks.channels_are_whole()
    assert warning.id == "deliveries.W001"
    assert "ANYMAIL_POSTMARK_SERVER_TOKEN" in str(warning.hint)


def test_provider_that_signs_needs_the_key_of_its_signature(postmark: Settings) -> None:
    postmark.EMAIL_PROVIDER = "mailersend"
    postmark.EMAIL_BACKEND = "anymail.backends.mailersend.EmailBackend"
    postmark.ANYMAIL = {"MAILERSEND_API_TOKEN": "token", "WEBHOOK_SECRET": ["user:password"]}
    postmark.EMBEDDED = True
    [warning] = checks.channels_are_whole()
    assert warning.id == "deliveries.W001"
    assert "ANYMAIL_MAILERSEND_SIGNING_SECRET" in str(warning.hint)


def test_two_ways_to_send(postmark: Settings) -> None:
    postmark.EMAIL_URL = "smtp://mail.example.com"
    assert ids() == {"deliveries.W005"}


@pytest.mark.parametrize("secret", ["password", "user:", ":password", ""])
def test_secret_that_is_no_login(postmark: Settings, secret: str) -> None:
    postmark.REPLY_ADDRESS = ""
    postmark.ANYMAIL = postmark.ANYMAIL | {"WEBHOOK_SECRET": [secret]}
    assert ids() == {"deliveries.W006"}


@pytest.mark.parametrize(
    "address",
    ["approvals", "@in.example.com", "a@localhost", f"{'a' * 32}@in.example.com", "a+b@c.de"],
)
def test_address_that_takes_no_token(postmark: Settings, address: str) -> None:
    postmark.REPLY_ADDRESS = address
    assert ids() == {"deliveries.E003"}


def test_answers_that_nobody_would_post(postmark: Settings) -> None:
    postmark.ANYMAIL = {"POSTMARK_SERVER_TOKEN": "token"}
    assert ids() == {"deliveries.W007"}


def test_sender_is_judged_for_providers_too(postmark: Settings) -> None:
    postmark.DEFAULT_FROM_EMAIL = "hitl@localhost"
    assert ids() == {"deliveries.W003"}
