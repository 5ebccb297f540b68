"""Links in mails: they open a page, the page's POST decides, and nobody else's does."""

import datetime as dt
import io
import logging
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import time_machine
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils.module_loading import import_string
from pytest_django import Settings

from deliveries import services as deliveries
from deliveries.models import Delivery, DeliveryToken
from events.models import Event
from events.types import EventType
from hitl.accounts import factors
from hitl.accounts.models import Agent, Membership, Role, Team, User
from hitl.accounts.services import add_member
from hitl.lib import limits
from hitl.lib.limits import Rate
from tests import authenticator
from tests.hostile import CORPUS
from tests.workflows.factories import REFUND, ActionTypeFactory, ask_again, decide, make_workflow
from tests.workflows.policy_samples import demand_second_factor
from workflows import services
from workflows.json_schema import normalise
from workflows.models import Decision, Risk, Status, Verdict, View, Workflow

pytestmark = pytest.mark.django_db

SCANNERS = (
    "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2) SafeLinks",
    "Barracuda Sentinel (EE)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15",
)


@pytest.fixture
def workflow(agent: Agent) -> Workflow:
    return make_workflow(agent)


@pytest.fixture
def link(workflow: Workflow, approver: User) -> str:
    """The path of the personal link in the approver's mail."""
    return send_mail(workflow)


def send_mail(workflow: Workflow) -> str:
    delivery = Delivery.objects.filter(workflow=workflow, recipient="ann@example.com").latest("pk")
    deliveries.send(delivery.pk)
    found = re.search(r"http://testserver(/l/[\w-]+/)\?choice=approved", str(mail.outbox[-1].body))
    assert found
    return found[1]


def page_of(workflow: Workflow) -> str:
    delivery = Delivery.objects.filter(workflow=workflow, recipient="ann@example.com").latest("pk")
    return f"/respond/{delivery.pk}/"


def open_page(client: Client, link: str, choice: str = "approved") -> Any:
    return client.get(f"{link}?choice={choice}", follow=True)


class FormReader(HTMLParser):
    """What a browser would post from the page's controls as they were drawn, without a button."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self._select = self._textarea = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        name = found.get("name", "")
        if tag == "input" and found.get("type") not in ("checkbox", "radio"):
            self.values[name] = found.get("value", "")
        elif tag == "select":
            self._select, self.values[name] = name, ""
        elif tag == "option" and (not self.values[self._select] or "selected" in found):
            self.values[self._select] = found.get("value", "")
        elif tag == "textarea":
            self._textarea, self.values[name] = name, ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            # The grammar drops a line end right after the opening tag.
            self.values[self._textarea] = self.values[self._textarea].removeprefix("\n")
            self._textarea = ""

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.values[self._textarea] += data


def fields(response: Any) -> dict[str, str]:
    """What the page's form would post without a button."""
    return {k: v for k, v in FormReader(text(response)).values.items() if k and k != "comment"}


def text(response: Any) -> str:
    return str(response.content.decode())


def answer(client: Client, response: Any, decision: str, **more: str) -> Any:
    path = urlsplit(response.redirect_chain[-1][0]).path
    return client.post(path, {**fields(response), "decision": decision, **more})


def types(workflow: Workflow) -> list[str]:
    return list(
        Event.objects.filter(workflow=workflow).order_by("seq").values_list("type", flat=True)
    )


# --- Opening decides nothing ----------------------------------------------------------------------


def test_token_leaves_the_address_bar_at_once(
    client: Client, link: str, workflow: Workflow
) -> None:
    response = client.get(f"{link}?choice=rejected")
    assert response.status_code == 303
    assert response["Location"] == f"{page_of(workflow)}?choice=rejected"
    assert link.split("/")[2] not in response["Location"]
    assert response["Referrer-Policy"] == "no-referrer"
    assert "no-store" in response["Cache-Control"]
    assert "noindex" in response["X-Robots-Tag"]
    cookie = response.cookies["hitl_link"]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == (
        page_of(workflow),
        True,
        "Lax",
    )
    assert 0 < cookie["max-age"] <= 3600
    assert link.split("/")[2] not in cookie.value


def test_cookie_is_for_https_only_where_we_are(
    client: Client, link: str, settings: Settings
) -> None:
    settings.SESSION_COOKIE_SECURE = True
    assert client.get(link).cookies["hitl_link"]["secure"]


@pytest.mark.parametrize("choice", ["", "maybe", "approved&x=1", "//evil.example.com", "<b>"])
def test_only_known_choices_are_passed_on(client: Client, link: str, choice: str) -> None:
    location = client.get(link, {"choice": choice})["Location"]
    assert re.fullmatch(r"/respond/[0-9a-f-]{36}/", location)


def test_page_shows_the_request_and_is_private(client: Client, link: str) -> None:
    response = open_page(client, link)
    assert response.status_code == 200
    for said in ("Refund order A-1009", "refund-bot", "120", "Damaged in transit", "Approve"):
        assert said in text(response)
    assert "no-store" in response["Cache-Control"]
    assert "noindex" in response["X-Robots-Tag"]
    assert response["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in response["Content-Security-Policy"]
    assert link.split("/")[2] not in text(response)


def test_scanners_change_nothing(client: Client, link: str, workflow: Workflow) -> None:
    before = types(workflow)
    paths = [link, f"{link}?choice=approved", f"{link}?choice=rejected", page_of(workflow)]
    for number in range(100):
        method = ("GET", "HEAD", "OPTIONS")[number % 3]
        client.generic(
            method,
            paths[number % 4],
            follow=True,
            headers={"User-Agent": SCANNERS[number % 4]},
        )
    workflow.refresh_from_db()
    assert workflow.status == Status.PENDING
    assert not Decision.objects.exists()
    assert set(types(workflow)) - set(before) <= {EventType.HUMAN_VIEWED}
    assert DeliveryToken.objects.count() == 1
    assert answer(client, open_page(client, link), "approved").status_code == 303


def test_opening_is_noted_once_and_as_uncertain(
    client: Client, link: str, workflow: Workflow
) -> None:
    for _ in range(3):
        open_page(client, link)
    views = Event.objects.filter(workflow=workflow, type=EventType.HUMAN_VIEWED)
    assert [(view.data["certain"], view.source) for view in views] == [(False, "email")]


@pytest.mark.parametrize("header", ["Sec-Purpose", "Purpose", "X-Moz"])
def test_fetching_ahead_is_not_looking(client: Client, link: str, header: str) -> None:
    page = client.get(link)["Location"]
    client.get(page, headers={header: "prefetch;prerender"})
    client.head(page)
    assert not View.objects.exists()


def test_logged_in_receiver_has_certainly_looked(
    client: Client, link: str, approver: User, workflow: Workflow
) -> None:
    client.force_login(approver)
    open_page(client, link)
    view = Event.objects.get(workflow=workflow, type=EventType.HUMAN_VIEWED)
    assert view.data["certain"] is True


def test_no_log_line_holds_the_token(
    client: Client, link: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    config = settings.LOGGING["formatters"]["line"]
    handler.setFormatter(import_string(config["class"])(config["format"]))
    logging.getLogger("django.request").addHandler(handler)
    client.raise_request_exception = False
    client.post(link)
    client.get(link[:-3])
    monkeypatch.setattr("deliveries.selectors.link", None)  # as broken as an outage
    assert client.get(link).status_code == 500
    logging.getLogger("django.request").removeHandler(handler)
    assert "Method Not Allowed" in lines.getvalue()
    assert "Traceback" in lines.getvalue()
    assert link.split("/")[2][:-4] not in lines.getvalue()


# --- Deciding -------------------------------------------------------------------------------------


def test_page_decides_in_the_name_of_the_receiver(
    client: Client, link: str, workflow: Workflow, approver: User
) -> None:
    response = answer(client, open_page(client, link), "approved", comment="Fine")
    assert (response.status_code, response["Location"]) == (303, page_of(workflow))
    decision = Decision.objects.get()
    assert (decision.user, decision.verdict) == (approver, Verdict.APPROVED)
    assert (decision.channel, decision.strength, decision.comment) == ("email", "link", "Fine")
    assert f"/respond/{decision.delivery_id}/" == page_of(workflow)
    assert types(workflow) == [
        "workflow.created", "approval.sent.email", "human.viewed", "human.responded"
    ]  # fmt: skip


def test_after_the_answer_the_page_thanks(client: Client, link: str) -> None:
    done = answer(client, open_page(client, link), "rejected", comment="Too much")
    response = client.get(done["Location"])
    assert response.status_code == 410
    assert "Thank you: rejected" in text(response)
    assert "Rejected by Ann Approver in e-mail at" in text(response)


def test_rejecting_needs_a_reason_and_keeps_the_rest(
    client: Client, link: str, workflow: Workflow
) -> None:
    response = answer(client, open_page(client, link, "rejected"), "rejected", comment="  ")
    assert response.status_code == 400
    assert "Say why" in text(response)
    workflow.refresh_from_db()
    assert workflow.status == Status.PENDING
    again = client.post(page_of(workflow), {**fields(response), "decision": "rejected",
                                            "comment": "No receipt"})  # fmt: skip
    assert again.status_code == 303


def test_choice_only_begins(client: Client, link: str) -> None:
    assert "You chose <strong>Reject</strong>" in text(open_page(client, link, "rejected"))
    assert "You chose <strong>Approve</strong>" in text(open_page(client, link, "approved"))
    assert 'name="f' in text(open_page(client, link, "modified"))


def test_unknown_decision_is_refused(client: Client, link: str, workflow: Workflow) -> None:
    assert answer(client, open_page(client, link), "perhaps").status_code == 400
    assert not Decision.objects.exists()


def edited(client: Client, link: str, amount: str) -> Any:
    """The page after the amount was changed and sent."""
    response = open_page(client, link, "modified")
    return answer(client, response, "modified", **{"f/amount": amount})


def test_edits_are_shown_as_a_difference_before_they_count(
    client: Client, link: str, workflow: Workflow
) -> None:
    confirm = edited(client, link, "80")
    assert confirm.status_code == 200
    assert "120" in text(confirm)
    assert "80" in text(confirm)
    assert not Decision.objects.exists()
    done = client.post(page_of(workflow), {**fields(confirm), "step": "confirmed"})
    assert done.status_code == 303
    workflow.refresh_from_db()
    assert workflow.decision == Verdict.MODIFIED
    assert workflow.response_data == {**REFUND, "amount": 80}


def test_back_to_editing_keeps_what_was_typed(
    client: Client, link: str, workflow: Workflow
) -> None:
    confirm = edited(client, link, "80")
    response = client.post(page_of(workflow), {**fields(confirm), "step": "edit"})
    assert response.status_code == 200
    assert 'value="80"' in text(response)


def test_edits_that_do_not_fit_come_back_with_the_reason(client: Client, link: str) -> None:
    response = edited(client, link, "a lot")
    assert response.status_code == 400
    assert 'value="a lot"' in text(response)
    assert not Decision.objects.exists()


def test_double_click_counts_once(client: Client, link: str, workflow: Workflow) -> None:
    page = open_page(client, link)
    assert answer(client, page, "approved").status_code == 303
    assert answer(client, page, "approved").status_code == 303
    assert types(workflow).count(EventType.HUMAN_RESPONDED) == 1


def test_second_thoughts_come_too_late(client: Client, link: str, workflow: Workflow) -> None:
    page = open_page(client, link)
    answer(client, page, "approved")
    response = answer(client, page, "rejected", comment="Wait!")
    assert response.status_code == 410
    assert "Approved by Ann Approver in e-mail" in text(response)
    workflow.refresh_from_db()
    assert workflow.decision == Verdict.APPROVED


# --- Forged posts ---------------------------------------------------------------------------------


@pytest.fixture
def strict() -> Client:
    return Client(enforce_csrf_checks=True)


def test_post_without_csrf_token_is_refused(strict: Client, link: str) -> None:
    page = open_page(strict, link)
    without = {k: v for k, v in fields(page).items() if k != "csrfmiddlewaretoken"}
    path = urlsplit(page.redirect_chain[-1][0]).path
    assert strict.post(path, {**without, "decision": "approved"}).status_code == 403
    foreign = {**without, "csrfmiddlewaretoken": "a" * 64, "decision": "approved"}
    assert strict.post(path, foreign).status_code == 403
    assert not Decision.objects.exists()


def test_post_from_another_site_is_refused(strict: Client, link: str) -> None:
    page = open_page(strict, link)
    path = urlsplit(page.redirect_chain[-1][0]).path
    for origin in ("https://evil.example.com", "null"):
        data = {**fields(page), "decision": "approved"}
        assert strict.post(path, data, headers={"Origin": origin}).status_code == 403
    assert not Decision.objects.exists()


def test_our_own_post_passes_with_all_checks_on(strict: Client, link: str) -> None:
    page = open_page(strict, link)
    path = urlsplit(page.redirect_chain[-1][0]).path
    data = {**fields(page), "decision": "approved"}
    response = strict.post(path, data, headers={"Origin": "http://testserver"})
    assert response.status_code == 303


@pytest.mark.parametrize("nonce", ["", "x", "W10:1abc:def", None])
def test_post_without_our_page_is_refused(client: Client, link: str, nonce: str | None) -> None:
    data = fields(open_page(client, link)) | {"nonce": nonce or ""}
    if nonce is None:
        del data["nonce"]
    path = f"/respond/{Delivery.objects.get().pk}/"
    response = client.post(path, {**data, "decision": "approved"})
    assert response.status_code == 403
    assert "Open the page again" in text(response)
    assert not Decision.objects.exists()


def test_nonce_of_another_request_is_refused(client: Client, link: str, agent: Agent) -> None:
    other = make_workflow(agent, action_data={"amount": 1}, ui_schema=None)
    page, second = open_page(client, link), open_page(client, send_mail(other))
    mixed = {**fields(page), "nonce": fields(second)["nonce"], "decision": "approved"}
    path = urlsplit(page.redirect_chain[-1][0]).path
    assert client.post(path, mixed).status_code == 403
    assert not Decision.objects.exists()


def test_fingerprint_that_was_not_shown_is_refused(client: Client, link: str) -> None:
    page = open_page(client, link)
    response = answer(client, page, "approved", fingerprint="sha256:" + "0" * 64)
    assert response.status_code == 403
    assert not Decision.objects.exists()


def test_page_of_old_data_is_drawn_anew(client: Client, link: str, workflow: Workflow) -> None:
    page = open_page(client, link)
    Workflow.objects.update(fingerprint="sha256:" + "1" * 64)
    response = answer(client, page, "approved")
    assert response.status_code == 409
    assert "data has changed" in text(response)
    assert fields(response)["fingerprint"] == "sha256:" + "1" * 64


def test_page_left_open_too_long_is_refused(client: Client, link: str, approver: User) -> None:
    page = open_page(client, link)
    with time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(hours=3)):
        client.force_login(approver)
        assert answer(client, page, "approved").status_code == 403


# --- Strangers and the wrong people ---------------------------------------------------------------


def test_random_tokens_all_get_the_same_answer(client: Client, link: str) -> None:
    token = link.split("/")[2]
    bodies = set()
    for guess in ("x", token[:-1], token + "a", "%00", "a" * 43, "é" * 20):
        response = client.get(f"/l/{guess}/")
        assert response.status_code == 404
        assert "hitl_link" not in response.cookies
        bodies.add(response.content)
    assert len(bodies) == 1


@pytest.fixture
def twenty_misses(settings: Settings) -> None:
    settings.RATE_LIMIT_MISSES = Rate(20, 60)


@pytest.mark.usefixtures("twenty_misses")
def test_guessing_is_slowed_down_but_the_holder_is_not(client: Client, link: str) -> None:
    for _ in range(20):
        assert client.get("/l/guess/").status_code == 404
    blocked = client.get("/l/guess/")
    assert (blocked.status_code, blocked["Retry-After"]) == (429, "60")
    assert client.get("/l/guess/", REMOTE_ADDR="192.0.2.7").status_code == 404
    assert client.get(link).status_code == 303


@pytest.mark.usefixtures("twenty_misses")
def test_one_household_counts_as_one_address(client: Client) -> None:
    for number in range(20):
        client.get("/l/guess/", REMOTE_ADDR=f"2001:db8:1:2::{number:x}")
    assert client.get("/l/guess/", REMOTE_ADDR="2001:db8:1:2:ffff::1").status_code == 429
    assert client.get("/l/guess/", REMOTE_ADDR="2001:db8:1:3::1").status_code == 404


@pytest.mark.usefixtures("twenty_misses")
def test_without_the_cache_links_still_work(
    client: Client, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(cache, "count", down, raising=False)
    assert client.get("/l/guess/").status_code == 404
    assert client.get(link).status_code == 303
    limits.forget_outage()


def test_page_without_its_cookie_tells_nothing(client: Client, workflow: Workflow) -> None:
    known = client.get(page_of(workflow))
    unknown = client.get(f"/respond/{Delivery().pk}/")
    assert known.status_code == unknown.status_code == 403
    assert "Refund" not in text(known)
    assert known.content.replace(page_of(workflow).encode(), b"") == unknown.content.replace(
        urlsplit(f"/respond/{unknown.request['PATH_INFO'].split('/')[2]}/").path.encode(), b""
    )


def test_cookie_opens_its_own_page_only(client: Client, link: str, agent: Agent) -> None:
    client.get(link)
    other = make_workflow(agent)
    cookie = client.cookies["hitl_link"].value
    stranger = Client()
    stranger.cookies["hitl_link"] = cookie
    assert stranger.get(page_of(other)).status_code == 403


@pytest.mark.parametrize("value", ["", "x", "MQ:1abcde:sig", "é", "a" * 5000])
def test_forged_cookie_opens_nothing(client: Client, workflow: Workflow, value: str) -> None:
    client.cookies["hitl_link"] = value
    assert client.get(page_of(workflow)).status_code == 403


def test_cookie_lasts_an_hour(client: Client, link: str, workflow: Workflow) -> None:
    client.get(link)
    with time_machine.travel(dt.datetime.now(dt.UTC) + dt.timedelta(minutes=61)):
        assert client.get(page_of(workflow)).status_code == 403


def test_browser_of_somebody_else_is_refused_and_recorded(
    client: Client, link: str, workflow: Workflow, colleague: User
) -> None:
    page = open_page(client, link)
    client.force_login(colleague)
    shown = client.get(page_of(workflow))
    assert shown.status_code == 403
    assert "Carl Colleague" in text(shown)
    assert "Refund" not in text(shown)
    assert 'action="/logout/"' in text(shown)
    assert answer(client, page, "approved").status_code == 403
    assert not Decision.objects.exists()
    refusal = Event.objects.get(workflow=workflow, type=EventType.HUMAN_REFUSED)
    assert refusal.actor["name"] == "Carl Colleague"


def test_logged_in_receiver_needs_no_link(
    client: Client, workflow: Workflow, approver: User, stranger: User
) -> None:
    client.force_login(approver)
    response = client.get(page_of(workflow))
    assert response.status_code == 200
    client.post(page_of(workflow), {**fields(response), "decision": "approved"})
    assert Decision.objects.get().strength == "session"
    client.force_login(stranger)
    assert client.get(page_of(workflow)).status_code == 403


def test_removed_approver_is_refused_at_the_decision(
    client: Client, link: str, workflow: Workflow, approver: User
) -> None:
    page = open_page(client, link)
    Membership.objects.filter(user=approver).delete()
    assert answer(client, page, "approved").status_code == 403
    shown = client.get(page_of(workflow))
    assert shown.status_code == 403
    assert "Refund" not in text(shown)
    assert not Decision.objects.exists()
    assert EventType.HUMAN_REFUSED in types(workflow)


def test_locked_account_is_refused(client: Client, link: str, approver: User) -> None:
    User.objects.filter(pk=approver.pk).update(is_active=False)
    assert open_page(client, link).status_code == 403


def test_forgotten_account_is_refused(client: Client, link: str, approver: User) -> None:
    Delivery.objects.update(user=None)
    assert open_page(client, link).status_code == 403


def test_viewer_may_look_only(client: Client, link: str, team: Team, approver: User) -> None:
    page = open_page(client, link)
    add_member(team, approver, Role.VIEWER)
    client.force_login(approver)  # the link died with the right, the person may still look
    shown = open_page(client, link)
    assert shown.status_code == 200
    assert "you may look only" in text(shown)
    assert 'name="decision"' not in text(shown)
    assert answer(client, page, "approved").status_code == 403
    assert not Decision.objects.exists()


def test_links_from_before_a_removal_stay_dead(
    client: Client, link: str, workflow: Workflow, team: Team, approver: User
) -> None:
    Membership.objects.filter(user=approver).delete()
    add_member(team, approver, Role.APPROVER)
    response = open_page(client, link)
    assert response.status_code == 403
    assert "Your place in the team has changed" in text(response)


def test_links_from_before_a_demotion_stay_dead(
    client: Client, link: str, workflow: Workflow, team: Team, approver: User
) -> None:
    for role in (Role.VIEWER, Role.APPROVER):
        add_member(team, approver, role)
    assert open_page(client, link).status_code == 403
    client.force_login(approver)
    assert client.get(page_of(workflow)).status_code == 200


def test_logging_out_goes_on_with_the_link(
    client: Client, link: str, workflow: Workflow, colleague: User
) -> None:
    client.get(link)
    client.force_login(colleague)
    shown = client.get(page_of(workflow))
    response = client.post("/logout/", {"next": fields(shown)["next"]}, follow=True)
    assert response.redirect_chain[-1][0] == page_of(workflow)
    assert response.status_code == 200
    assert "Refund order A-1009" in text(response)


# --- Risk -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "risk", "status"),
    [
        ("off", Risk.LOW, 403),
        ("low", Risk.LOW, 303),
        ("low", Risk.MEDIUM, 403),
        ("medium", Risk.MEDIUM, 303),
        ("medium", Risk.HIGH, 403),
    ],
)
def test_team_says_how_much_a_link_may_decide(
    client: Client, agent: Agent, team: Team, allowed: str, risk: Risk, status: int
) -> None:
    Team.objects.update(link_decisions=allowed)
    ActionTypeFactory(team=team, name="payments.refund", risk=risk)
    page = open_page(client, send_mail(make_workflow(agent)))
    assert page.status_code == 200
    assert ("Log in to decide" in text(page)) is (status == 403)
    assert ('name="decision"' in text(page)) is (status == 303)
    data = {**fields(page), "fingerprint": Workflow.objects.get().fingerprint}
    path = urlsplit(page.redirect_chain[-1][0]).path
    assert client.post(path, {**data, "decision": "approved"}).status_code == status


def test_logging_in_lifts_the_limit(
    client: Client, agent: Agent, team: Team, approver: User
) -> None:
    ActionTypeFactory(team=team, name="payments.refund", risk=Risk.HIGH)
    link = send_mail(make_workflow(agent))
    page = open_page(client, link, "rejected")
    [login] = re.findall(r'href="(/login/\?next=[^"]+)"', text(page))
    assert login.endswith("%3Fchoice%3Drejected")
    client.force_login(approver)
    page = open_page(client, link)
    assert answer(client, page, "approved").status_code == 303
    assert Decision.objects.get().strength == "session"


def test_second_factor_is_asked_for_after_the_login(
    client: Client, agent: Agent, approver: User
) -> None:
    workflow = make_workflow(agent)
    demand_second_factor(workflow)
    link = send_mail(workflow)

    page = open_page(client, link)
    assert "Log in to decide" in text(page)
    assert 'name="decision"' not in text(page)

    client.force_login(approver)
    page = open_page(client, link)
    assert "Prove that it is you" in text(page)
    [way] = re.findall(r'href="(/stepup/\?next=[^"]+)"', text(page))
    assert unquote(way).endswith(f"{page_of(workflow)}?choice=approved")
    assert 'name="decision"' not in text(page)
    posted = client.post(page_of(workflow), {**fields(page), "decision": "approved"})
    assert posted.status_code == 403
    assert not Decision.objects.exists()

    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    before = time.time() - 3600
    with time_machine.travel(before, tick=False):
        factors.add_totp(approver, secret, authenticator.code(secret))
    back = client.post("/stepup/", {"code": authenticator.code(secret), "next": unquote(way)[14:]})
    page = client.get(back["Location"])
    posted = client.post(page_of(workflow), {**fields(page), "decision": "approved"})
    assert posted.status_code == 303
    assert Decision.objects.get().strength == "totp"


def test_guest_cannot_show_a_second_factor(client: Client, agent: Agent) -> None:
    agent.team.allow_guests = True
    agent.team.save()
    workflow = make_workflow(agent, approvers=["gia@partner.example"])
    demand_second_factor(workflow)
    delivery = Delivery.objects.get(workflow=workflow)
    page = open_page(client, urlsplit(deliveries.make_link(delivery)).path)
    assert "guests have none" in text(page)
    assert 'name="decision"' not in text(page)


# --- Void links -----------------------------------------------------------------------------------


def by_colleague(workflow: Workflow, colleague: User, agent: Agent) -> None:
    decide(workflow, colleague, "rejected", comment="Not in budget")


def by_withdrawal(workflow: Workflow, colleague: User, agent: Agent) -> None:
    services.cancel(workflow.pk, agent=agent)


def by_deadline(workflow: Workflow, colleague: User, agent: Agent) -> None:
    pass_deadline(workflow)
    services.time_out(workflow.pk)


def by_deadline_unswept(workflow: Workflow, colleague: User, agent: Agent) -> None:
    pass_deadline(workflow)


def pass_deadline(workflow: Workflow) -> None:
    past = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    Workflow.objects.filter(pk=workflow.pk).update(expires_at=past)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (by_colleague, "Already rejected by Carl Colleague in dashboard at"),
        (by_withdrawal, "refund-bot has withdrawn this request"),
        (by_deadline, "the request has timed out"),
        (by_deadline_unswept, "nobody can decide this request any more"),
    ],
)
def test_link_of_a_closed_request_tells_what_happened(
    client: Client,
    workflow: Workflow,
    link: str,
    colleague: User,
    agent: Agent,
    end: Callable[[Workflow, User, Agent], None],
    said: str,
) -> None:
    page = open_page(client, link)
    end(workflow, colleague, agent)
    posted = answer(client, page, "approved")
    opened = open_page(client, link)
    assert posted.status_code == opened.status_code == 410
    assert said in text(posted)
    assert said in text(opened)
    assert 'name="decision"' not in text(opened)
    assert not Decision.objects.filter(user__email="ann@example.com").exists()
    assert Client().get(page_of(workflow)).status_code == 403


def test_link_of_an_earlier_round_is_void(
    client: Client, workflow: Workflow, link: str, colleague: User
) -> None:
    page = open_page(client, link)
    ask_again(workflow, colleague)
    posted, opened = answer(client, page, "approved"), open_page(client, link)
    assert posted.status_code == opened.status_code == 410
    assert "earlier round" in text(opened)
    assert not Decision.objects.filter(round=2).exists()


def test_held_request_can_still_be_decided_by_link(client: Client, agent: Agent) -> None:
    workflow = make_workflow(agent, timeout_action="hold")
    link = send_mail(workflow)
    pass_deadline(workflow)
    services.time_out(workflow.pk)
    assert answer(client, open_page(client, link), "approved").status_code == 303


def test_both_mails_of_an_uncertain_delivery_work(
    client: Client, workflow: Workflow, link: str
) -> None:
    Delivery.objects.update(status="pending", next_retry_at=dt.datetime.now(dt.UTC))
    second = send_mail(workflow)
    assert second != link
    assert open_page(client, link).status_code == open_page(client, second).status_code == 200


# --- Hostile text ---------------------------------------------------------------------------------


class Markup(HTMLParser):
    """What a browser would find: elements with their attributes, and addresses."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {f"{tag} {name}" for name, _ in attrs} | {tag}
        self.found |= {str(value) for name, value in attrs if name in ("href", "src", "action")}


@pytest.mark.parametrize(("choice", "every"), [("approved", 1), ("modified", 4)])
def test_no_text_of_the_corpus_becomes_markup(
    client: Client, link: str, choice: str, every: int
) -> None:
    def markup(evil: str) -> set[str]:
        form = {"fields": [{"name": "a", "label": evil, "help": evil}, {"name": evil}]}
        Workflow.objects.update(
            name=evil[:200],
            reason=evil,
            action_type=evil[:100],
            action_data={"a": evil, evil: evil, "b": [{evil: evil}]},
            ui_schema=normalise(form),
        )
        Agent.objects.update(name=evil[:80])
        response = open_page(client, link, choice)
        assert response.status_code == 200
        return Markup(text(response)).found

    # Hidden characters are marked and the text is warned of: that markup is ours.
    clean = markup("plain") | markup("hidden\u202e") | markup("two\nlines")
    for evil in CORPUS[::every]:
        assert markup(evil) <= clean, evil


def test_hostile_text_stays_text(client: Client, agent: Agent) -> None:
    evil = "<script>alert(1)</script>{{7*7}}{% now 'Y' %}\u202e"
    workflow = make_workflow(
        agent, name=evil, reason=evil, action_data={evil: evil}, ui_schema=None, action_type=evil
    )
    shown = text(open_page(client, send_mail(workflow)))
    assert "<script>alert" not in shown
    assert "{{7*7}}" in shown
    assert "U+202E" in shown
    assert "\u202e" not in shown
    services.cancel(workflow.pk, agent=agent)
    assert "<script>alert" not in text(open_page(client, send_mail_again(workflow)))


def send_mail_again(workflow: Workflow) -> str:
    found = re.search(r"(/l/[\w-]+/)", str(mail.outbox[-1].body))
    assert found
    return found[1]
