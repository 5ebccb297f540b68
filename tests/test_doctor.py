"""The doctor tells what is wrong, why it matters and what to do, and its exit code agrees."""

import datetime as dt
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from pytest_django import Settings

from deliveries.channels import CHANNELS
from deliveries.channels.slack import api as slack_api
from deliveries.models import Delivery
from events.proof import anchors, checkpoints
from events.restores import noticing
from hitl import doctor
from hitl.accounts.models import Agent, User
from hitl.doctor import FAIL, OFF, OK, WARN, Finding, channels, obligations, proof, store
from tests.deliveries.smtp import MailServer, mail_server, point_at, silent_server
from tests.events.proof.tampering import superuser
from tests.receiver import free_port
from tests.standins.server import Said
from tests.standins.slack.server import SlackServer, slack_server
from tests.standins.telegram import BOT_NAME, SECRET, Telegram
from tests.standins.telegram import TOKEN as BOT_TOKEN
from tests.standins.twilio import ACCOUNT, ANN, CALLBACK, NUMBER, PUBLIC, SERVICE, TOKEN, Twilio
from tests.workflows.factories import make_executing, make_overdue, make_workflow
from workflows.models import ExecutionAttempt, Workflow

pytestmark = pytest.mark.django_db

# Everything that switches a channel on; each test fills what it is about.
ACCOUNTS = (
    "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN", "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN", "TWILIO_FROM", "TELEGRAM_BOT_TOKEN", "TELEGRAM_WEBHOOK_SECRET",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_configured(settings: Settings) -> None:
    settings.SANDBOX, settings.SANDBOX_ACCOUNTS = False, {}
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    for name in ACCOUNTS:
        setattr(settings, name, "")


@pytest.fixture
def smtp(settings: Settings) -> Iterator[MailServer]:
    with mail_server(settings) as server:
        yield server


@pytest.fixture
def slack(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackServer]:
    monkeypatch.setattr(slack_api, "TIMEOUT", 1)
    with slack_server(settings) as server:
        yield server


@pytest.fixture
def twilio(settings: Settings) -> Iterator[Twilio]:
    with Twilio().running() as server:
        settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN = ACCOUNT, TOKEN
        settings.TWILIO_FROM, settings.TWILIO_API_URL = NUMBER, server.url
        settings.PUBLIC_URL = PUBLIC
        yield server


@pytest.fixture
def telegram(settings: Settings) -> Iterator[Telegram]:
    with Telegram().running() as server:
        settings.TELEGRAM_BOT_TOKEN, settings.TELEGRAM_WEBHOOK_SECRET = BOT_TOKEN, SECRET
        settings.TELEGRAM_API_URL, settings.PUBLIC_URL = server.url, PUBLIC
        yield server


def of(topic: str, found: list[Finding]) -> list[tuple[str, str]]:
    return [(each.level, each.says) for each in found if each.topic == topic]


def channel(name: str) -> list[tuple[str, str]]:
    return of(name, channels.look())


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    out = io.StringIO()
    try:
        call_command("doctor", *arguments, stdout=out, no_color=True)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    return 0, out.getvalue()


# --- The command ----------------------------------------------------------------------------------


def test_healthy_server_ends_with_0(smtp: MailServer, settings: Settings) -> None:
    settings.EMBEDDED, settings.REDIS_URL = True, ""
    code, said = run()
    assert code == 0, said
    for topic in ("settings", "database", "broker", "migrations", "clock", "obligations", "email"):
        assert f"ok    {topic}" in said
    assert "off   slack" in said
    assert smtp.accepted == []


def test_one_failure_ends_with_1_and_says_what_to_do(settings: Settings) -> None:
    settings.TWILIO_FROM = NUMBER
    code, said = run()
    assert code == 1
    lines = said.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("fail  sms"))
    assert "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN not set" in lines[at]
    assert "Why: The channel stays off." in lines[at + 1]
    assert "Do:  Set it too, or empty the others." in lines[at + 2]


def test_programs_get_json(settings: Settings) -> None:
    settings.TWILIO_FROM = NUMBER
    code, said = run("--json")
    told = json.loads(said)
    assert (code, told["ok"]) == (1, False)
    assert {"topic", "level", "says", "why", "remedy"} == set(told["findings"][0])


def test_no_secret_is_told(
    smtp: MailServer, slack: SlackServer, twilio: Twilio, telegram: Telegram
) -> None:
    slack.does = twilio.does = telegram.does = "rubbish"
    said = run()[1] + run("--json")[1]
    for secret in (TOKEN, BOT_TOKEN, SECRET, slack.workspace.token, slack.workspace.app_token):
        assert secret not in said


# --- Settings, database, migrations, clock --------------------------------------------------------


def test_failing_system_check_is_a_failure(settings: Settings) -> None:
    settings.SANDBOX, settings.EMBEDDED = True, False
    found = of("settings", doctor.examine())
    assert (FAIL, "SANDBOX is on beside a DATABASE_URL.") in found


def test_debug_is_noted(settings: Settings) -> None:
    settings.DEBUG = True
    assert (WARN, "DEBUG is on.") in of("settings", doctor.examine())


def test_database_that_is_down_hides_what_stands_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise DatabaseError("connection refused\nIs the server running?")

    monkeypatch.setattr(BaseDatabaseWrapper, "cursor", down)
    found = doctor.examine()
    assert of("database", found) == [(FAIL, "The database does not answer: connection refused")]
    assert of("migrations", found) == of("obligations", found) == []
    assert of("email", found)


def test_missing_database_is_not_made_by_looking(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("an embedded server's database is a file")
    settings.DATA_DIR = tmp_path
    monkeypatch.setitem(connection.settings_dict, "NAME", tmp_path / "hitl.sqlite3")
    [(level, says)] = of("database", store.look())
    assert level == FAIL
    assert "There is no database" in says
    assert list(tmp_path.iterdir()) == []


def test_migrations_that_wait_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = [(f"accounts.000{n}_more", False) for n in range(1, 6)]
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: plan)
    found = doctor.examine()
    [(level, says)] = of("migrations", found)
    assert level == FAIL
    assert says.startswith("5 not applied: accounts.0001_more")
    assert of("obligations", found) == []


@pytest.mark.parametrize(
    ("seconds", "level"), [(0, OK), (4, OK), (-6, WARN), (6, WARN), (61, FAIL), (-61, FAIL)]
)
def test_clocks_may_be_a_little_apart(seconds: int, level: str) -> None:
    here = timezone.now()
    found = store.compare(here + dt.timedelta(seconds=seconds), here, "the database")
    assert found.level == level
    assert ("behind" in found.says) == (seconds > 5)


def test_cache_that_is_down_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object, **__: object) -> None:
        raise ConnectionError("Error 111 connecting to redis:6379.")

    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(cache, "set", down)
    found = store.look()
    [(level, says)] = of("cache", found)
    assert (level, says) == (FAIL, "Redis does not answer: Error 111 connecting to redis:6379.")


def test_queue_without_a_worker_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = "redis://played-by-memory/0"
    monkeypatch.setattr(store, "WORKER_SECONDS", 0.1)
    found = store.look()
    assert of("broker", found) == [(OK, "The queue takes messages.")]
    assert of("workers", found) == [(FAIL, "No worker answered.")]


# --- What is overdue ------------------------------------------------------------------------------


@pytest.fixture
def agent(settings: Settings, agent: Agent) -> Agent:
    """An agent whose requests are mailed."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    return agent


def test_what_is_due_for_long_is_told(agent: Agent, approver: User) -> None:
    long_ago = timezone.now() - dt.timedelta(minutes=3)
    make_overdue(agent)
    workflow = make_executing(agent, approver)
    Delivery.objects.update(next_retry_at=long_ago, status="pending")
    Delivery.objects.filter(workflow=workflow).update(update_due_at=long_ago)
    ExecutionAttempt.objects.update(lease_until=long_ago)
    Workflow.objects.filter(pk=workflow.pk).update(execution_due_at=long_ago)

    found = obligations.look()

    assert {each.level for each in found} == {FAIL}
    said = " ".join(each.says for each in found)
    for what in ("to be sent", "to tell the outcome", "past their deadline", "not begun"):
        assert what in said
    assert "fell silent" in said
    assert "due for 3 minutes" in said


def test_what_is_being_done_or_just_due_is_not_overdue(agent: Agent) -> None:
    make_workflow(agent)
    now = timezone.now()
    long_ago = now - dt.timedelta(minutes=3)
    Delivery.objects.update(next_retry_at=long_ago, claimed_at=now)
    assert [each.level for each in obligations.look()] == [OK]
    Delivery.objects.update(next_retry_at=now - dt.timedelta(seconds=30), claimed_at=None)
    assert [each.level for each in obligations.look()] == [OK]


def test_after_a_restore_what_is_due_waits_for_people(agent: Agent) -> None:
    make_overdue(agent)
    noticing.begin("The disk died.")
    [found] = obligations.look()
    assert found.level == WARN
    assert "1 requests wait to be confirmed" in found.says
    assert "The disk died." in found.why


def test_messages_that_were_given_up_lately_are_noted(agent: Agent) -> None:
    make_workflow(agent)
    failed = {"status": "failed", "next_retry_at": None, "last_error": "No such mailbox."}
    Delivery.objects.update(**failed, updated_at=timezone.now())
    found = obligations.look()
    assert [each.level for each in found] == [OK, WARN]
    assert "No such mailbox." in found[1].why
    Delivery.objects.update(updated_at=timezone.now() - dt.timedelta(days=2))
    assert [each.level for each in obligations.look()] == [OK]


# --- Channels -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)  # the feed sees nothing of a transaction that is open
def test_log_that_nobody_seals_is_told(agent: Agent, settings: Settings, tmp_path: Path) -> None:
    workflow = make_workflow(agent)
    settings.CHECKPOINT_FILE = str(tmp_path / "checkpoints.jsonl")
    [fine] = proof.look()
    assert (fine.level, "Nothing" in fine.says) == (OK, True), "what is new may wait"
    long_ago = timezone.now() - dt.timedelta(minutes=11)
    with superuser() as cursor:
        cursor.execute("UPDATE events_event SET timestamp = %s", [long_ago])
    [late] = proof.look()
    assert (late.level, "no checkpoint" in late.says) == (FAIL, True)
    made = checkpoints.make(including=workflow.pk)
    assert made is not None
    anchors.extend(Path(settings.CHECKPOINT_FILE))
    [sealed] = [each for each in proof.look() if each.level == OK]
    assert sealed.says == "Checkpoint 1 seals the log."


def test_file_of_other_checkpoints_is_told(
    agent: Agent, settings: Settings, tmp_path: Path
) -> None:
    workflow = make_workflow(agent)
    path = tmp_path / "checkpoints.jsonl"
    settings.CHECKPOINT_FILE = str(path)
    assert checkpoints.make(including=workflow.pk)
    anchors.extend(path)
    path.write_text(path.read_text().replace('"hash": "', '"hash": "0'))
    [other] = [each for each in proof.look() if each.level == FAIL]
    assert "another one" in other.says


def test_log_without_a_key_or_a_file_is_told(settings: Settings) -> None:
    settings.CHECKPOINT_FILE = ""
    assert [each.level for each in proof.look()] == [OK, WARN]
    settings.SIGNING_KEYS = []
    [missing] = proof.look()
    assert (missing.level, "SIGNING_KEYS" in missing.remedy) == (FAIL, True)


def test_channels_that_are_off_say_how_to_switch_them_on() -> None:
    found = channels.look()
    for name in CHANNELS:
        assert of(name, found) == [(OFF, "Off.")]
    assert of("channels", found) == [(WARN, "No channel is on.")]
    assert any("TELEGRAM_BOT_TOKEN" in each.remedy for each in found)


def test_sandbox_is_told_and_not_called(settings: Settings) -> None:
    settings.SANDBOX = True
    settings.SANDBOX_ACCOUNTS = {"slack": {}}
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.SLACK_BOT_TOKEN, settings.SLACK_SIGNING_SECRET = "x", "y"
    settings.SLACK_API_URL = f"http://127.0.0.1:{free_port()}/api/"
    for name in ("email", "slack"):
        [(level, says)] = channel(name)
        assert level == OK
        assert "sandbox" in says


@pytest.mark.parametrize(
    ("filled", "missing"),
    [
        ({"SLACK_BOT_TOKEN": "x"}, "SLACK_SIGNING_SECRET or SLACK_APP_TOKEN"),
        ({"SLACK_APP_TOKEN": "x"}, "SLACK_BOT_TOKEN"),
        ({"TWILIO_AUTH_TOKEN": "x", "TWILIO_FROM": "y"}, "TWILIO_ACCOUNT_SID"),
        ({"TELEGRAM_BOT_TOKEN": "x"}, "TELEGRAM_WEBHOOK_SECRET"),
    ],
)
def test_half_a_configuration_names_the_other_half(
    settings: Settings, filled: dict[str, str], missing: str
) -> None:
    for name, value in filled.items():
        setattr(settings, name, value)
    [found] = [each for each in channels.look() if each.level == FAIL]
    assert found.says == f"Configured by halves: {missing} not set."


def test_mail_server_is_greeted_and_sent_nothing(smtp: MailServer) -> None:
    [(level, says)] = channel("email")
    assert level == OK
    assert f"127.0.0.1:{smtp.port} lets us in" in says
    assert "approvals@hitl.example.com" in says
    assert smtp.accepted == []


def test_mail_server_that_refuses_our_sender(smtp: MailServer) -> None:
    smtp.does = "refuse-sender"
    [(level, says)] = channel("email")
    assert level == FAIL
    assert "refuses the sender" in says


def test_mail_server_that_is_silent_or_gone(settings: Settings) -> None:
    with silent_server() as port:
        point_at(settings, port)
        assert channel("email")[0][0] == FAIL
    point_at(settings, free_port())
    [(level, says)] = channel("email")
    assert (level, "cannot be reached" in says) == (FAIL, True)


def test_slack_tells_who_we_are(slack: SlackServer) -> None:
    assert channel("slack") == [(OK, "We are hitl in the workspace T0HITL.")]


def test_permissions_that_slack_has_not_given_are_named(slack: SlackServer) -> None:
    slack.workspace.scopes.remove("im:write")
    slack.workspace.scopes.remove("chat:write")
    [_, (level, says)] = channel("slack")
    assert (level, says) == (FAIL, "The app lacks the permissions chat:write, im:write.")


def test_socket_mode_needs_its_own_token(slack: SlackServer, settings: Settings) -> None:
    settings.SLACK_SIGNING_SECRET = ""
    settings.SLACK_APP_TOKEN = "xapp-wrong"
    [_, (level, says)] = channel("slack")
    assert level == FAIL
    assert "Clicks cannot reach us through Socket Mode" in says


@pytest.mark.parametrize("does", ["hang", "refuse", "rubbish"])
def test_slack_that_does_not_answer(slack: SlackServer, does: str) -> None:
    slack.does = does
    [(level, _)] = channel("slack")
    assert level == FAIL


def test_slack_that_does_not_know_us(slack: SlackServer, settings: Settings) -> None:
    settings.SLACK_BOT_TOKEN = "xoxb-wrong"
    [(level, says)] = channel("slack")
    assert (level, "SLACK_BOT_TOKEN" in says) == (FAIL, True)


def test_provider_with_another_clock_is_told(
    slack: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = timezone.now() + dt.timedelta(minutes=4)
    monkeypatch.setattr("hitl.doctor.channels.timezone.now", lambda: later)
    [clock] = [each for each in channels.look() if each.topic == "clock"]
    assert clock.level == FAIL
    assert "ahead of Slack" in clock.says


def test_twilio_knows_the_account_and_the_number(twilio: Twilio) -> None:
    assert channel("sms") == [(OK, "Twilio knows the account Payments.")]
    assert {call.method for call in twilio.ledger} == {"GET"}
    assert twilio.messages == []


def test_messaging_service_is_taken_at_its_word(twilio: Twilio, settings: Settings) -> None:
    settings.TWILIO_FROM = SERVICE
    assert channel("sms") == [(OK, "Twilio knows the account Payments.")]


def test_what_is_wrong_at_twilio_is_told(twilio: Twilio) -> None:
    twilio.account |= {"status": "suspended", "type": "Trial"}
    twilio.numbers = {NUMBER: "https://demo.twilio.com/welcome/sms/reply"}
    found = channel("sms")
    assert [level for level, _ in found] == [OK, FAIL, WARN, FAIL]
    assert "suspended" in found[1][1]
    assert "Replies by SMS do not reach us" in found[3][1]
    twilio.numbers = {}
    assert channel("sms")[-1] == (FAIL, "TWILIO_FROM is not a number of this account.")


def test_twilio_that_does_not_know_us(twilio: Twilio, settings: Settings) -> None:
    settings.TWILIO_AUTH_TOKEN = "wrong"
    [(level, says)] = channel("sms")
    assert (level, "does not accept our login" in says) == (FAIL, True)


@pytest.mark.parametrize("does", ["refuse", "rubbish", Said(503, raw=b"unwell"), Said(200, [1])])
def test_twilio_that_answers_nothing_of_use(twilio: Twilio, does: Any) -> None:
    twilio.does = does
    [(level, _)] = channel("sms")
    assert level == FAIL


def test_telegram_without_a_webhook_hears_no_answers(telegram: Telegram) -> None:
    found = channel("telegram")
    assert found[0] == (OK, f"We are the bot @{BOT_NAME}.")
    assert found[1][0] == FAIL
    assert "its webhook is not set" in found[1][1]


def test_command_sets_the_webhook_and_the_doctor_is_content(telegram: Telegram) -> None:
    call_command("telegram_webhook", stderr=io.StringIO())
    assert telegram.webhook["url"] == f"{PUBLIC}/webhooks/telegram/callback"
    assert telegram.webhook["secret_token"] == SECRET
    assert [level for level, _ in channel("telegram")] == [OK]

    call_command("telegram_webhook", "--remove", stderr=io.StringIO())
    assert telegram.webhook["url"] == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"url": "https://elsewhere.example/hook"}, "leads elsewhere"),
        ({"allowed_updates": ["message"]}, "every kind of update"),
        ({"pending_update_count": 3, "last_error_message": "Timed out"}, "lately: Timed out"),
    ],
)
def test_what_is_wrong_with_the_webhook_is_told(
    telegram: Telegram, changes: dict[str, Any], says: str
) -> None:
    call_command("telegram_webhook", stderr=io.StringIO())
    telegram.webhook |= changes
    [_, (level, said)] = channel("telegram")
    assert (level, says in said) == (FAIL, True)


def test_telegram_posts_to_https_only(telegram: Telegram, settings: Settings) -> None:
    settings.PUBLIC_URL = "http://localhost:4000"
    assert "https://" in channel("telegram")[1][1]
    with pytest.raises(CommandError, match="https://"):
        call_command("telegram_webhook")
    settings.TELEGRAM_BOT_TOKEN = ""
    with pytest.raises(CommandError, match="first"):
        call_command("telegram_webhook")


# --- A real test message --------------------------------------------------------------------------


def test_test_message_finds_its_channel_by_the_address(
    slack: SlackServer, twilio: Twilio, telegram: Telegram, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    told = [
        channels.send_test(address)
        for address in ("ann@example.com", "T0HITL:U0ANN", "+44 7700 900123", "telegram:5550001")
    ]
    assert [(each.topic, each.level) for each in told] == [
        ("email", OK), ("slack", OK), ("sms", OK), ("telegram", OK),
    ]  # fmt: skip
    assert mail.outbox[-1].to == ["ann@example.com"]
    assert "This is a test" in slack.workspace.last.seen
    assert twilio.messages[-1]["To"] == ANN
    assert "This is a test" in telegram.messages()[-1]["text"]


def test_test_message_that_is_refused_fails_the_examination(
    twilio: Twilio, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    twilio.refused[ANN] = 21610
    code, said = run("--send-test", ANN)
    assert code == 1
    assert f"The test to {ANN} failed: The receiver has opted out" in said


@pytest.mark.parametrize("address", ["+447700900123", "sms:x", "nobody"])
def test_address_that_no_channel_takes_is_refused(address: str) -> None:
    with pytest.raises(CommandError):
        call_command("doctor", "--send-test", address, stdout=io.StringIO())


def test_callback_path_is_the_one_twilio_is_told() -> None:
    assert CALLBACK == "/webhooks/sms/callback"
