"""A stolen database: no secret stands in it as it is, and nothing in it lets anybody in."""

import base64
import re
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from deliveries.models import Delivery
from events.models import WebhookSecret
from hitl.accounts import factors
from hitl.accounts.models import Agent, User
from hitl.accounts.services import issue_key
from hitl.lib.sealing import reveal, unseal
from tests import authenticator
from tests.deliveries.test_secrets import database
from tests.workflows.api.callers import WORKFLOWS, Caller, as_user, with_token
from tests.workflows.factories import ActionTypeFactory, make_workflow
from workflows.models import ActionType

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
TOTP = base64.b32encode(b"canary of the second").decode()
ACTION_SECRET = "whsec_" + base64.b64encode(b"canary of the action's signature").decode()


def add_action_type(agent: Agent) -> ActionType:
    config = {"url": "https://example.com/run", "secret": ACTION_SECRET}
    return ActionTypeFactory(team=agent.team, name="x.y", executor="http", executor_config=config)


@pytest.fixture
def secrets(agent: Agent, manager: User) -> dict[str, str]:
    """One of each, by what it is."""
    factors.add_totp(manager, TOTP, authenticator.code(TOTP))
    hook = as_user(manager).post(
        "/api/v1/webhooks",
        {"url": "https://example.com/hook", "teamId": str(agent.team_id)},
    )
    assert hook.status_code == 201, hook.content
    add_action_type(agent)
    return {
        "password": PASSWORD,
        "api key": issue_key(agent)[1],
        "totp": TOTP,
        "recovery code": factors.codes(manager)[0],
        "webhook": hook.json()["secret"].removeprefix("whsec_"),
        "action": ACTION_SECRET.removeprefix("whsec_"),
    }


def test_no_secret_stands_in_a_row(secrets: dict[str, str], agent: Agent) -> None:
    make_workflow(agent, action_type="x.y")
    rows = database()
    assert "refund-bot" in rows
    assert [name for name, secret in secrets.items() if secret in rows] == []
    assert secrets["webhook"] in unseal(WebhookSecret.objects.get().sealed)


def test_nothing_in_a_row_lets_anybody_in(secrets: dict[str, str], agent: Agent) -> None:
    """P-05: whatever a dump holds is no key, no token, no session, no link and no password."""
    make_workflow(agent)
    assert Delivery.objects.exists()
    words = sorted(set(re.findall(r"[\w./+=$:-]{16,}", database())))
    assert len(words) > 50
    for word in words:
        assert with_token(word).get(WORKFLOWS).status_code == 401, word
        assert Caller({"X-API-Key": word}).get(WORKFLOWS).status_code == 401, word
        assert not Client().login(username="mia@example.com", password=word), word
        assert Client().get(f"/l/{word.replace('/', '_')}/").status_code in (400, 404), word


@pytest.fixture
def plain(agent: Agent) -> ActionType:
    """An action type from before its secret was sealed."""
    kind = add_action_type(agent)
    config: dict[str, Any] = {**kind.executor_config, "secret": ACTION_SECRET}
    ActionType.objects.filter(pk=kind.pk).update(executor_config=config)
    kind.refresh_from_db()
    return kind


def test_rotation_seals_what_is_plain_and_what_is_old(
    plain: ActionType, settings: Settings
) -> None:
    assert reveal(plain.executor_config["secret"]) == ACTION_SECRET
    for keys in ([], ["1" * 40], ["2" * 40, "1" * 40]):
        settings.ENCRYPTION_KEYS = keys
        call_command("rotate_keys")
        plain.refresh_from_db()
        kept = plain.executor_config["secret"]
        assert ACTION_SECRET not in kept
        assert reveal(kept) == ACTION_SECRET
    settings.ENCRYPTION_KEYS = ["2" * 40]
    assert reveal(plain.executor_config["secret"]) == ACTION_SECRET
