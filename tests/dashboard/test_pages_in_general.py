"""What holds for every page: headers, login and logout, errors, navigation."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from hitl.accounts.models import Agent, User
from tests.dashboard.browser import answer, logged_in, page_of, text
from tests.workflows.factories import make_workflow

pytestmark = pytest.mark.django_db

PATHS = ("/", "/history/", "/password/", "/password/changed/", "/login/", "/nowhere/")
EXPECTED = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


def assert_guarded(response: Any) -> None:
    for name, value in EXPECTED.items():
        assert response.headers.get(name) == value, name
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "camera=()" in response.headers["Permissions-Policy"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("is_known", [True, False])
def test_every_page_is_guarded(approver: User, path: str, is_known: bool) -> None:
    client = logged_in(approver) if is_known else Client()
    response = client.get(path)
    if response.status_code != 302:
        assert_guarded(response)


def test_pages_of_a_request_are_guarded_whatever_they_answer(approver: User, agent: Agent) -> None:
    workflow = make_workflow(agent)
    client = logged_in(approver)
    assert_guarded(client.get(page_of(workflow)))
    assert_guarded(answer(client, workflow, "rejected"))  # 400
    answer(client, workflow, "approved")
    assert_guarded(answer(client, workflow, "rejected", comment="x"))  # 409


def test_no_template_has_script_or_style_of_its_own() -> None:
    for path in Path(project.BASE_DIR, "templates").rglob("*.html"):
        if "deliveries" in path.parts:
            continue  # mails need styles inside
        source = path.read_text(encoding="utf-8")
        assert "<style" not in source, path
        assert " style=" not in source, path
        assert " onclick" not in source, path
        assert "<script>" not in source, path


def test_logging_in_leads_to_where_one_wanted_to_go(approver: User, agent: Agent) -> None:
    target = page_of(make_workflow(agent))
    client = Client()
    page = client.get(target, follow=True)
    assert "Log in to see this page" in text(page)
    fields = {"username": approver.email.upper(), "password": "correct horse battery"}
    response = client.post(f"/login/?next={target}", fields | {"next": target})
    assert response["Location"] == target


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"]
)
def test_logging_in_leads_to_no_other_site(approver: User, target: str) -> None:
    fields = {"username": approver.email, "password": "correct horse battery", "next": target}
    assert Client().post("/login/", fields)["Location"] == "/"


@pytest.mark.parametrize(
    ("email", "password"),
    [("ann@example.com", "wrong"), ("nobody@example.com", "correct horse battery"), ("", "")],
)
def test_a_failed_login_does_not_tell_which_part_was_wrong(
    approver: User, email: str, password: str
) -> None:
    page = text(Client().post("/login/", {"username": email, "password": password}))
    assert "do not match an account" in page


def test_an_inactive_account_cannot_log_in(approver: User) -> None:
    approver.is_active = False
    approver.save()
    fields = {"username": approver.email, "password": "correct horse battery"}
    assert "do not match an account" in text(Client().post("/login/", fields))


def test_somebody_logged_in_needs_no_login(approver: User) -> None:
    assert logged_in(approver).get("/login/")["Location"] == "/"


def test_logging_out_takes_a_post(approver: User) -> None:
    client = logged_in(approver)
    assert client.get("/logout/").status_code == 405
    assert client.get("/").status_code == 200
    assert client.post("/logout/")["Location"] == "/login/"
    assert client.get("/").status_code == 302


def test_changing_the_password(approver: User) -> None:
    client = logged_in(approver)
    new = "a brand new phrase"
    fields = {"old_password": "correct horse battery", "new_password1": new, "new_password2": new}
    assert "Your password is changed" in text(client.post("/password/", fields, follow=True))
    assert Client().login(username=approver.email, password=new)


@pytest.mark.parametrize(
    "changes", [{"old_password": "wrong"}, {"new_password2": "other"}, {"new_password1": "short"}]
)
def test_a_password_that_does_not_do_is_explained(approver: User, changes: dict[str, str]) -> None:
    new = "a brand new phrase"
    fields = {"old_password": "correct horse battery", "new_password1": new, "new_password2": new}
    response = logged_in(approver).post("/password/", fields | changes)
    assert 'aria-invalid="true"' in text(response)
    assert Client().login(username=approver.email, password="correct horse battery")


@pytest.mark.parametrize("path", ["/nowhere/", "/workflows/not-an-id/"])
def test_a_page_that_is_not_there_says_so(db: None, path: str) -> None:
    response = Client().get(path)
    assert response.status_code == 404
    assert "Nothing here" in text(response)


def test_the_page_for_our_own_mistakes_needs_nothing() -> None:
    page = render_to_string("500.html")
    assert "Something broke on our side" in page
    assert "/static/" not in page


@pytest.mark.parametrize("is_staff", [True, False])
def test_only_staff_find_the_admin_in_the_navigation(approver: User, is_staff: bool) -> None:
    approver.is_staff = is_staff
    approver.save()
    page = text(logged_in(approver).get("/"))
    assert (f'href="{reverse("admin:index")}"' in page) is is_staff
    assert 'href="/api/docs/"' in page


def test_the_navigation_leads_to_the_sandbox_where_there_is_one(
    approver: User, settings: Settings
) -> None:
    approver.is_staff = True
    approver.save()
    settings.SANDBOX = True
    assert 'href="/sandbox/"' in text(logged_in(approver).get("/"))
    settings.SANDBOX = False
    assert 'href="/sandbox/"' not in text(logged_in(approver).get("/"))


def test_the_sandbox_is_for_staff(approver: User, settings: Settings) -> None:
    settings.SANDBOX = True
    assert 'href="/sandbox/"' not in text(logged_in(approver).get("/"))


def test_the_navigation_counts_what_waits_for_me(approver: User, agent: Agent) -> None:
    make_workflow(agent)
    page = text(logged_in(approver).get("/history/"))
    assert "<span data-number>1</span>" in page
