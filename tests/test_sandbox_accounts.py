"""The accounts at the sandbox's providers: made once, only for channels that have none."""

import json
import re
import stat
from pathlib import Path

from hitl import sandbox_accounts
from hitl.lib import local_names

BASE = "http://127.0.0.1:4000"


def test_every_channel_gets_one_of_the_right_form(tmp_path: Path) -> None:
    accounts = sandbox_accounts.load(tmp_path, BASE, {})
    assert set(accounts) == {"slack", "sms", "telegram"}
    assert accounts["slack"]["SLACK_BOT_TOKEN"].startswith("xoxb-")
    assert accounts["slack"]["SLACK_API_URL"] == f"{BASE}/sandbox/providers/slack/api/"
    assert re.fullmatch("AC[0-9a-f]{32}", accounts["sms"]["TWILIO_ACCOUNT_SID"])
    assert re.fullmatch("[0-9]+:[0-9a-f]{32}", accounts["telegram"]["TELEGRAM_BOT_TOKEN"])


def test_they_stay_the_same_and_private(tmp_path: Path) -> None:
    first = sandbox_accounts.load(tmp_path, BASE, {})
    assert sandbox_accounts.load(tmp_path, BASE, {}) == first
    kept = tmp_path / "sandbox.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    secrets = [value for name, value in json.loads(kept.read_text()).items()]
    assert len(set(secrets)) == len(secrets)


def test_two_servers_have_nothing_in_common(tmp_path: Path) -> None:
    one = sandbox_accounts.load(tmp_path / "one", BASE, {})
    other = sandbox_accounts.load(tmp_path / "other", BASE, {})
    same = {name for each in one for name, _ in one[each].items() & other[each].items()}
    assert same == {"SLACK_API_URL", "TWILIO_API_URL", "TWILIO_FROM", "TELEGRAM_API_URL"}


def test_channel_with_any_account_of_its_own_is_left_alone(tmp_path: Path) -> None:
    for name, channel in (
        ("SLACK_APP_TOKEN", "slack"),
        ("SLACK_SIGNING_SECRET", "slack"),
        ("TWILIO_FROM", "sms"),
        ("TELEGRAM_WEBHOOK_SECRET", "telegram"),
    ):
        assert channel not in sandbox_accounts.load(tmp_path, BASE, {name: "real"})


def test_server_knows_how_to_reach_itself() -> None:
    assert local_names.myself("127.0.0.1", 4000) == "http://127.0.0.1:4000"
    assert local_names.myself("0.0.0.0", 4000) == "http://127.0.0.1:4000"  # noqa: S104
    assert local_names.myself("::", 4000) == "http://[::1]:4000"
    assert local_names.myself("192.168.7.7", 80) == "http://192.168.7.7:80"
