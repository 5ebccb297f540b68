"""The first start fills the server; later starts only ever add what the variables name."""

import pytest
from pytest_django import Settings

from hitl import bootstrap, samples
from hitl.accounts import keys
from hitl.accounts.authentication import find_key
from hitl.accounts.models import Agent, ApiKey, ContactPoint, Membership, Role, Team, User
from hitl.accounts.services import revoke_key
from hitl.lib.errors import InvalidInput
from workflows.models import ActionType, Status, Workflow

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_is_preset(settings: Settings) -> None:
    settings.BOOTSTRAP_EMAIL = settings.BOOTSTRAP_PASSWORD = settings.BOOTSTRAP_API_KEY = ""


# --- The first start ------------------------------------------------------------------------------


def test_it_makes_an_admin_who_may_decide() -> None:
    welcome = bootstrap.ensure()
    user = User.objects.get()
    assert user.email == welcome.login == "admin@example.com"
    assert user.is_staff
    assert user.is_superuser
    assert user.check_password(welcome.password)
    assert Membership.objects.get(user=user).role == Role.MANAGER
    assert ContactPoint.objects.get(user=user).address == user.email


def test_it_makes_an_agent_with_a_key_that_works() -> None:
    welcome = bootstrap.ensure()
    found = find_key(welcome.key)
    assert found is not None
    assert found.agent == Agent.objects.get(name="demo-agent")
    assert welcome.key.startswith(welcome.key_prefix)


def test_secrets_are_new_each_time_and_hard_to_guess() -> None:
    first = bootstrap.ensure()
    assert len(first.password) == 23
    assert bootstrap._random_password() != first.password


def test_the_inbox_is_alive_and_everything_in_it_can_be_decided() -> None:
    bootstrap.ensure()
    workflows = Workflow.objects.all()
    assert {row.status for row in workflows} == {Status.PENDING}
    assert {row.action_type for row in workflows} == {
        "payments.refund",
        "email.send",
        "deploy.production",
    }
    assert {row.risk for row in workflows} == {"medium", "high"}
    # Nobody owns the agent: the admin, so far alone, may decide.
    assert Agent.objects.get().owner is None
    forms = {row.action_type for row in workflows if row.ui_schema}
    assert forms == {"payments.refund", "email.send"}


def test_the_action_types_say_what_may_be_repeated() -> None:
    bootstrap.ensure()
    semantics = dict(ActionType.objects.values_list("name", "semantics"))
    assert semantics == {
        "payments.refund": "idempotent",
        "email.send": "at_most_once",
        "deploy.production": "at_most_once",
        "data.export": "idempotent",
    }


def test_presets_are_taken_and_not_given_back(settings: Settings) -> None:
    settings.BOOTSTRAP_EMAIL = " Boss@Example.com "
    settings.BOOTSTRAP_PASSWORD = "a-password-from-a-script"
    settings.BOOTSTRAP_API_KEY = keys.generate()
    welcome = bootstrap.ensure()
    assert (welcome.password, welcome.key) == ("", "")
    assert User.objects.get(email="boss@example.com").check_password("a-password-from-a-script")
    assert find_key(settings.BOOTSTRAP_API_KEY) is not None


@pytest.mark.parametrize("key", ["letmein", "hitl_agt_" + "A" * 36])
def test_a_key_of_another_form_is_refused(settings: Settings, key: str) -> None:
    settings.BOOTSTRAP_API_KEY = key
    with pytest.raises(InvalidInput, match="create_key --print-only"):
        bootstrap.ensure()
    assert not User.objects.exists()


def test_an_address_that_is_none_is_refused(settings: Settings) -> None:
    settings.BOOTSTRAP_EMAIL = "boss"
    with pytest.raises(InvalidInput, match="not an e-mail address"):
        bootstrap.ensure()


# --- Later starts ---------------------------------------------------------------------------------


def test_later_starts_make_and_show_nothing() -> None:
    first = bootstrap.ensure()
    later = bootstrap.ensure()
    assert (later.password, later.key) == ("", "")
    assert (later.login, later.key_prefix) == (first.login, first.key_prefix)
    counts = [model.objects.count() for model in (User, Team, Agent, ApiKey)]
    assert counts == [1, 1, 1, 1]
    assert Workflow.objects.count() == len(samples.REQUESTS)


def test_what_people_removed_stays_removed() -> None:
    bootstrap.ensure()
    ActionType.objects.all().delete()
    revoke_key(ApiKey.objects.get())
    later = bootstrap.ensure()
    assert later.key_prefix == ""
    assert not ActionType.objects.exists()


def test_a_new_address_adds_an_account(settings: Settings) -> None:
    bootstrap.ensure()
    settings.BOOTSTRAP_EMAIL = "second@example.com"
    settings.BOOTSTRAP_PASSWORD = "a-password-from-a-script"
    assert bootstrap.ensure().login == "second@example.com"
    assert User.objects.get(email="second@example.com").is_superuser
    assert User.objects.count() == 2


def test_a_new_address_without_a_password_is_refused(settings: Settings) -> None:
    bootstrap.ensure()
    settings.BOOTSTRAP_EMAIL = "second@example.com"
    with pytest.raises(InvalidInput, match="HITL_BOOTSTRAP_PASSWORD"):
        bootstrap.ensure()


def test_a_password_that_was_changed_stays_changed(settings: Settings) -> None:
    settings.BOOTSTRAP_EMAIL, settings.BOOTSTRAP_PASSWORD = "boss@example.com", "the-first-one"
    bootstrap.ensure()
    boss = User.objects.get()
    boss.set_password("changed-by-hand")
    boss.is_staff = False
    boss.save()
    bootstrap.ensure()
    boss.refresh_from_db()
    assert boss.check_password("changed-by-hand")
    assert not boss.is_staff


def test_a_new_key_is_added_and_a_revoked_one_stays_dead(settings: Settings) -> None:
    bootstrap.ensure()
    settings.BOOTSTRAP_API_KEY = keys.generate()
    bootstrap.ensure()
    bootstrap.ensure()
    assert ApiKey.objects.count() == 2
    added = find_key(settings.BOOTSTRAP_API_KEY)
    assert added is not None
    revoke_key(added)
    bootstrap.ensure()
    assert find_key(settings.BOOTSTRAP_API_KEY) is None


def test_a_server_that_people_filled_themselves_is_left_alone(team: Team) -> None:
    User.objects.create_user("somebody@example.com")
    welcome = bootstrap.ensure()
    assert (welcome.login, welcome.key_prefix) == ("", "")
    assert list(Team.objects.all()) == [team]
    assert not Workflow.objects.exists()
