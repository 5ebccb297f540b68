"""The operator's commands: data on stdout, words on stderr, errors that say what to do."""

import datetime as dt
import os
from typing import Any

import jwt
import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from hitl import banner
from hitl.accounts import keys
from hitl.accounts.authentication import find_key, find_principal
from hitl.accounts.models import Agent, ApiKey, Team, User
from hitl.bootstrap import Welcome
from hitl.command_line import export_options
from hitl.lib import local_names, signing_keys
from tests.accounts.factories import AgentFactory

Capture = pytest.CaptureFixture[str]

# --- create_key -----------------------------------------------------------------------------------


def test_a_key_is_printed_alone_and_works(agent: Agent, capsys: Capture) -> None:
    call_command("create_key", "refund-bot")
    shown = capsys.readouterr()
    key = find_key(shown.out.strip())
    assert key is not None
    assert key.agent == agent
    assert set(key.scopes) == {"create", "read", "execute"}
    assert shown.out.strip() not in shown.err


def test_a_key_can_be_narrow_and_short_lived(agent: Agent, capsys: Capture) -> None:
    call_command("create_key", "refund-bot", "--scope", "read", "--expires-days", "2")
    key = find_key(capsys.readouterr().out.strip())
    assert key is not None
    assert key.scopes == ["read"]
    assert key.expires_at is not None
    assert key.expires_at - key.created_at > dt.timedelta(days=1, hours=23)


def test_an_agent_is_made_only_when_asked_for(team: Team, capsys: Capture) -> None:
    with pytest.raises(CommandError, match="There is no agent 'new-bot'; known: none yet"):
        call_command("create_key", "new-bot")
    call_command("create_key", "new-bot", "--new")
    assert find_key(capsys.readouterr().out.strip()) is not None
    assert Agent.objects.get(name="new-bot").team == team


def test_where_two_teams_have_one_the_team_is_asked_for(
    agent: Agent, stranger: User, capsys: Capture
) -> None:
    elsewhere = Team.objects.get(slug="elsewhere")
    twin = AgentFactory(team=elsewhere, name="refund-bot")
    with pytest.raises(CommandError, match="--team; known: elsewhere, payments"):
        call_command("create_key", "refund-bot")
    call_command("create_key", "refund-bot", "--team", "elsewhere")
    key = find_key(capsys.readouterr().out.strip())
    assert key is not None
    assert key.agent == twin


def test_a_key_for_the_environment_is_known_to_nobody(db: None, capsys: Capture) -> None:
    call_command("create_key", "--print-only")
    assert keys.is_well_formed(capsys.readouterr().out.strip())
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("days", [0, -1, 100_000])
def test_a_lifetime_that_makes_no_sense_is_refused(agent: Agent, days: int) -> None:
    with pytest.raises(CommandError, match="1 to 3650"):
        call_command("create_key", "refund-bot", "--expires-days", str(days))


# --- create_token ---------------------------------------------------------------------------------


def test_a_token_names_the_person(approver: User, capsys: Capture) -> None:
    call_command("create_token", "--user", "ANN@example.com", "--minutes", "5")
    token = capsys.readouterr().out.strip()
    assert find_principal(token)[0] == approver
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 300


def test_a_token_names_the_agent(agent: Agent, capsys: Capture) -> None:
    call_command("create_token", "--agent", "refund-bot")
    assert find_principal(capsys.readouterr().out.strip())[0] == agent


def test_nobody_gets_a_token_without_an_account(approver: User) -> None:
    approver.is_active = False
    approver.save()
    for email in ("ann@example.com", "nobody@example.com"):
        with pytest.raises(CommandError, match="Nobody with an active account"):
            call_command("create_token", "--user", email)


@pytest.mark.parametrize("minutes", [0, 24 * 60 + 1])
def test_tokens_do_not_live_long(approver: User, minutes: int) -> None:
    with pytest.raises(CommandError, match="cannot be revoked"):
        call_command("create_token", "--user", "ann@example.com", "--minutes", str(minutes))


# --- signing_key ----------------------------------------------------------------------------------


def test_a_new_signing_key_stands_first_and_the_old_one_still_verifies(
    settings: Settings, capsys: Capture
) -> None:
    kid, signature = signing_keys.sign(b"receipt")
    call_command("signing_key")
    settings.SIGNING_KEYS = _line(capsys)
    assert signing_keys.current().kid != kid
    assert signing_keys.verify(kid, signature, b"receipt")
    assert all(entry.startswith("hitl_pk_") for entry in settings.SIGNING_KEYS[1:])


def test_the_next_signing_key_can_be_published_before_it_signs(
    settings: Settings, capsys: Capture
) -> None:
    kid = signing_keys.current().kid
    call_command("signing_key", "--next")
    settings.SIGNING_KEYS = _line(capsys)
    assert signing_keys.current().kid == kid
    assert len(signing_keys.jwks()["keys"]) == 2


def test_the_first_signing_key_needs_no_other(settings: Settings, capsys: Capture) -> None:
    settings.SIGNING_KEYS = []
    call_command("signing_key")
    settings.SIGNING_KEYS = _line(capsys)
    assert signing_keys.check() == ""


def _line(capsys: Capture) -> list[str]:
    name, _, value = capsys.readouterr().out.strip().partition("=")
    assert name == "SIGNING_KEYS"
    return value.split(",")


# --- demo, up and the roles -----------------------------------------------------------------------


def test_the_demo_says_when_no_server_answers(agent: Agent, settings: Settings) -> None:
    settings.PUBLIC_URL = "http://127.0.0.1:9"
    with pytest.raises(CommandError, match="make run"):
        call_command("demo", "--agent", "refund-bot")


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_an_embedded_server_has_no_roles(settings: Settings, role: str) -> None:
    settings.EMBEDDED = True
    with pytest.raises(CommandError, match=r"manage\.py up"):
        call_command(role)


def test_up_is_for_embedded_servers(settings: Settings) -> None:
    settings.EMBEDDED = False
    with pytest.raises(CommandError, match=r"manage\.py serve"):
        call_command("up", skip_checks=True)


# --- Options that settings must know --------------------------------------------------------------


def test_options_become_variables_and_data_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HITL_DATA", "HOST", "PORT"):
        monkeypatch.setenv(name, "from outside")
    rest = export_options(["--port", "4001", "--data=/tmp/x", "--host", "::1", "--reload"])
    assert {name: os.environ[name] for name in ("HITL_DATA", "HOST", "PORT")} == {
        "HITL_DATA": "/tmp/x",  # noqa: S108
        "HOST": "::1",
        "PORT": "4001",
    }
    assert rest == ["--port", "4001", "--host", "::1", "--reload"]


def test_what_is_not_named_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "from outside")
    assert export_options(["--database", "other"]) == ["--database", "other"]
    assert os.environ["PORT"] == "from outside"


def test_a_port_that_is_no_number_is_a_usage_error(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        export_options(["--port", "http"])
    assert ended.value.code == 2
    assert "invalid int value" in capsys.readouterr().err


def test_names_of_this_machine_are_known_only_when_it_is_open() -> None:
    assert local_names.names("127.0.0.1") == local_names.LOOPBACK
    assert local_names.names("192.168.7.7") == [*local_names.LOOPBACK, "192.168.7.7"]
    assert local_names.names("fd00::7")[-1] == "[fd00::7]"
    assert len(local_names.names("0.0.0.0")) > len(local_names.LOOPBACK)  # noqa: S104


# --- The box --------------------------------------------------------------------------------------


def _lines(welcome: Welcome, monkeypatch: pytest.MonkeyPatch, capsys: Capture, tty: bool) -> Any:
    monkeypatch.setattr("sys.stdout.isatty", lambda: tty)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm-256color")
    banner.show(welcome)
    return capsys.readouterr().out


def test_the_box_is_plain_where_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    welcome = Welcome(login="a@example.com", password="p-1", key="k-1", key_prefix="k")
    text = _lines(welcome, monkeypatch, capsys, tty=False)
    assert text.isascii() or "…" in text
    assert "\x1b" not in text
    assert text.count("shown only this once") == 2
    assert "HITL_API_KEY=k-1" in text


def test_the_box_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = _lines(Welcome(login="a@example.com"), monkeypatch, capsys, tty=True)
    assert "╭" in text
    assert "\x1b[" in text


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = _lines(Welcome(login="a@example.com"), monkeypatch, capsys, tty=True)
    assert "╭" in text
    assert "\x1b[3" not in text
    assert "\x1b[9" not in text


def test_a_server_without_accounts_says_how_to_make_one(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    text = _lines(Welcome(login=""), monkeypatch, capsys, tty=False)
    assert "manage.py createsuperuser" in text
    assert "manage.py create_key demo-agent" in text
