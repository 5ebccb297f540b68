"""The admin as a whole: who gets in, what every page answers; then people, agents and keys."""

import re

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from hitl.accounts import factors
from hitl.accounts.authentication import find_key
from hitl.accounts.models import Agent, ApiKey, Membership, Team, User
from hitl.accounts.services import issue_key
from tests.accounts.factories import AgentFactory, UserFactory

MODELS = sorted(
    (model._meta.label_lower for model in admin.site._registry), key=lambda label: label.split(".")
)


@pytest.fixture
def operator(db: None) -> Client:
    """Somebody who may do everything in the admin."""
    return _browser_of(User.objects.create_superuser("root@example.com", name="Root"))


@pytest.fixture
def helper(db: None) -> Client:
    """Staff with rights on people only."""
    user = UserFactory(email="helper@example.com", is_staff=True)
    rights = Permission.objects.filter(codename__in=("view_user", "change_user", "delete_user"))
    user.user_permissions.set(rights)
    return _browser_of(user)


def _browser_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _page(label: str, what: str, *args: object) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_{what}", args=args)


# --- The door -------------------------------------------------------------------------------------


def test_strangers_are_sent_to_the_one_login(client: Client, db: None) -> None:
    answer = client.get("/admin/workflows/workflow/")
    assert answer.status_code == 302
    assert answer["Location"] == "/admin/login/?next=/admin/workflows/workflow/"
    login = client.get(answer["Location"])
    assert login["Location"] == "/login/?next=/admin/workflows/workflow/"


def test_people_who_are_no_staff_are_refused_and_not_sent_in_circles(approver: User) -> None:
    answer = _browser_of(approver).get("/admin/", follow=True)
    assert answer.status_code == 403


def test_the_admin_has_a_content_policy_of_its_own(operator: Client) -> None:
    policy = operator.get("/admin/")["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert "script-src 'self' 'unsafe-inline'" not in policy


def test_no_other_page_has_it(client: Client, db: None) -> None:
    assert "unsafe" not in client.get("/login/")["Content-Security-Policy"]


def test_every_record_can_be_found() -> None:
    ours = ("accounts", "events", "deliveries", "workflows")
    models = {
        model._meta.label_lower for app in ours for model in apps.get_app_config(app).get_models()
    }
    # Digests, of what opens links and of who guessed: there is nothing in them to be read.
    secret = {"deliveries.deliverytoken", "deliveries.replycode", "accounts.tries"}
    # Bookkeeping: parts of what is shown as checkpoints, and numbers counted from records.
    derived = {
        "events.checkpointhead", "events.checkpointchain", "events.feedepoch",
        "events.databasehome",
        "workflows.requestcount", "workflows.approvercount",
        "workflows.countedday", "workflows.countmark",
    }  # fmt: skip
    assert models - secret - derived <= set(MODELS)


def test_second_factors_are_not_shown() -> None:
    assert not [label for label in MODELS if label.startswith(("mfa.", "account."))]


def test_second_factors_are_taken_away_for_who_lost_them(
    operator: Client, helper: Client, approver: User
) -> None:
    root = User.objects.get(email="root@example.com")
    for user in (approver, root):
        factors.add_totp(user, "ABCDEFGHIJKLMNOP", "")
    pressed = {"action": "reset_second_factors", "_selected_action": [approver.pk]}
    helper.post(_page("accounts.user", "changelist"), pressed)
    assert not factors.has_second_factor(approver)
    pressed["_selected_action"] = [root.pk]
    assert helper.post(_page("accounts.user", "changelist"), pressed).status_code == 403
    assert factors.has_second_factor(root)


@pytest.mark.parametrize("label", MODELS)
def test_every_list_can_be_searched(operator: Client, label: str) -> None:
    assert operator.get(_page(label, "changelist")).status_code == 200
    for term in ("a", "01a20974-f5ef-7038-ba8b-260beea29571"):
        assert operator.get(_page(label, "changelist"), {"q": term}).status_code == 200


def test_the_start_page_counts_what_needs_care(operator: Client) -> None:
    page = operator.get("/admin/").content.decode()
    assert "Outcome unknown" in page
    assert "/admin/deliveries/delivery/?status__exact=failed" in page


# --- People ---------------------------------------------------------------------------------------


def test_a_new_person_is_known_by_the_address_in_lower_case(operator: Client) -> None:
    form = {
        "email": "Ada.Marsh@Example.com",
        "name": "Ada",
        "usable_password": "true",
        "password1": "correct horse battery",
        "password2": "correct horse battery",
        "memberships-TOTAL_FORMS": 0,
        "memberships-INITIAL_FORMS": 0,
        "contact_points-TOTAL_FORMS": 0,
        "contact_points-INITIAL_FORMS": 0,
    }
    operator.post(_page("accounts.user", "add"), form)
    ada = User.objects.get(email="ada.marsh@example.com")
    assert ada.check_password("correct horse battery")
    assert not ada.is_staff


def test_a_person_is_put_into_a_team(operator: Client, team: Team) -> None:
    newcomer = UserFactory()
    form = {"team": team.pk, "user": newcomer.pk, "role": "approver"}
    operator.post(_page("accounts.membership", "add"), form)
    assert Membership.objects.get(user=newcomer).role == "approver"


def test_helpers_cannot_touch_a_superuser(helper: Client) -> None:
    root = User.objects.create_superuser("root@example.com")
    page = _page("accounts.user", "change", root.pk)
    assert helper.post(page, {"email": "stolen@example.com"}).status_code == 403
    assert (
        helper.post(_page("accounts.user", "delete", root.pk), {"post": "yes"}).status_code == 403
    )


def test_helpers_cannot_make_themselves_superusers(helper: Client) -> None:
    me = User.objects.get(email="helper@example.com")
    form = {
        "email": me.email,
        "name": "Helper",
        "is_active": "on",
        "is_staff": "on",
        "is_superuser": "on",
    }
    assert helper.post(_page("accounts.user", "change", me.pk), form).status_code == 302
    me.refresh_from_db()
    assert me.name == "Helper"
    assert not me.is_superuser


# --- Keys -----------------------------------------------------------------------------------------


def test_a_key_is_issued_on_the_agents_page_and_shown_once(operator: Client, agent: Agent) -> None:
    page = _page("accounts.agent", "issue_key", agent.pk)
    answer = operator.post(page, {"name": "laptop", "scopes": ["read"], "days": "30"})
    secret = re.findall(r"hitl_agt_\w+", answer.content.decode())[0]
    key = find_key(secret)
    assert key is not None
    assert (key.agent, key.name, key.scopes) == (agent, "laptop", ["read"])
    assert key.expires_at is not None
    assert key.created_by == User.objects.get(email="root@example.com")
    assert answer["Cache-Control"] == "no-store"
    for seen in (
        _page("accounts.agent", "change", agent.pk),
        _page("accounts.apikey", "changelist"),
    ):
        text = operator.get(seen).content.decode()
        assert key.prefix in text
        assert secret not in text
        assert key.digest not in text


def test_looking_at_the_page_issues_nothing(operator: Client, agent: Agent) -> None:
    assert operator.get(_page("accounts.agent", "issue_key", agent.pk)).status_code == 200
    assert not ApiKey.objects.exists()


def test_a_key_without_scopes_is_not_issued(operator: Client, agent: Agent) -> None:
    answer = operator.post(_page("accounts.agent", "issue_key", agent.pk), {"name": "x"})
    assert "This field is required" in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_staff_without_the_right_issue_and_revoke_nothing(helper: Client, agent: Agent) -> None:
    key, _ = issue_key(agent)
    form = {"scopes": ["read"]}
    assert helper.post(_page("accounts.agent", "issue_key", agent.pk), form).status_code == 403
    assert helper.post(_page("accounts.apikey", "revoke", key.pk)).status_code == 403
    assert ApiKey.objects.get().revoked_at is None


def test_revoking_asks_first_and_then_works_at_once(operator: Client, agent: Agent) -> None:
    key, secret = issue_key(agent)
    page = _page("accounts.apikey", "revoke", key.pk)
    assert "for ever" in operator.get(page).content.decode()
    assert find_key(secret) is not None
    operator.post(page)
    assert find_key(secret) is None


def test_a_digest_is_shown_nowhere(operator: Client, agent: Agent) -> None:
    key, _ = issue_key(agent)
    page = operator.get(_page("accounts.apikey", "change", key.pk)).content.decode()
    assert key.prefix in page
    assert key.digest not in page


@pytest.mark.parametrize("button", ["accounts.agent_issue_key", "accounts.apikey_revoke"])
def test_an_id_that_nobody_has_is_no_error(operator: Client, button: str) -> None:
    name = f"admin:{button.replace('.', '_')}"
    url = reverse(name, args=["01a20974-f5ef-7038-ba8b-260beea29571"])
    assert operator.get(url).status_code == 302


def test_a_pasted_id_finds_its_row(operator: Client, team: Team) -> None:
    wanted, other = AgentFactory(team=team, name="wanted"), AgentFactory(team=team, name="other")
    page = operator.get(_page("accounts.agent", "changelist"), {"q": f" {wanted.pk} "})
    assert [row.pk for row in page.context["cl"].result_list] == [wanted.pk]
    assert other.pk != wanted.pk
