"""The admin in Chromium: its own content policy holds, deciding works, phones and the dark too."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import ADMIN, Opener, Server

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
LISTS = (
    "workflows/workflow", "workflows/decision", "workflows/actiontype", "deliveries/delivery",
    "events/event", "accounts/user", "accounts/team", "accounts/agent", "accounts/apikey",
    "django_celery_beat/periodictask", "auth/group",
)  # fmt: skip
LOOKS: list[Any] = [
    pytest.param({"color_scheme": "light"}, id="light"),
    pytest.param({"color_scheme": "dark"}, id="dark"),
    pytest.param({"color_scheme": "light", **PHONE}, id="phone"),
    pytest.param({"color_scheme": "dark", **PHONE}, id="dark-phone"),
]


def _of(server: Server, name: str, what: str) -> str:
    workflow = server.ask(name)
    return f"/admin/workflows/workflow/{workflow}/{what}/"


def _fits(page: Page) -> None:
    """Nothing sticks out to the side."""
    width = page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 1, f"{page.url} is {width} pixels too wide"  # the theme's shadow


@pytest.mark.parametrize("look", LOOKS)
def test_lists_and_pages_keep_the_policy(
    visit: Opener, server: Server, look: dict[str, Any]
) -> None:
    page = visit("/admin/", **look)
    expect(page.get_by_text("Waiting for an answer")).to_be_visible()
    _fits(page)
    for name in LISTS:
        page.goto(f"/admin/{name}/")
        _fits(page)
    for path in (
        _of(server, "Looked at in the admin", "change"),
        _of(server, "Looked at in the admin", "approve"),
        "/admin/workflows/actiontype/add/",
        "/admin/accounts/user/add/",
    ):
        page.goto(path)
        _fits(page)


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_serious_stands_in_anybodys_way(
    visit: Opener, server: Server, look: dict[str, Any]
) -> None:
    page = visit("/admin/", bypass_csp=True, **look)
    paths = [
        "/admin/",
        "/admin/workflows/workflow/",
        _of(server, "For axe", "change"),
        _of(server, "For axe", "approve"),
        _of(server, "For axe", "reject"),
    ]
    found: dict[str, list[str]] = {}
    for path in paths:
        page.goto(path)
        results = Axe().run(page)
        found[path] = [
            f"{fault['id']}: {fault['nodes'][0]['html'][:120]}"
            for fault in results.response["violations"]
            if fault["impact"] in ("serious", "critical")
        ]
    assert {path: faults for path, faults in found.items() if faults} == {}


def test_a_request_is_approved_here(visit: Opener, server: Server) -> None:
    workflow = server.ask("Approved in the admin")
    page = visit(f"/admin/workflows/workflow/{workflow}/change/")
    approve = page.locator(f"a[href$='{workflow}/approve/']")
    approve.click()
    expect(page.get_by_text(server.workflow(workflow)["fingerprint"])).to_be_visible()
    assert server.workflow(workflow)["status"] == "PENDING"
    page.get_by_label("Comment").fill("Looks right")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("Approved: Approved in the admin")).to_be_visible()
    expect(approve).to_have_count(0)
    decided = server.workflow(workflow)
    assert (decided["status"], decided["respondedVia"]) == ("APPROVED", "admin")
    assert decided["feedback"] == "Looks right"


def test_a_request_is_rejected_with_its_reason(visit: Opener, server: Server) -> None:
    workflow = server.ask("Rejected in the admin")
    page = visit(f"/admin/workflows/workflow/{workflow}/reject/", **PHONE)
    page.get_by_role("button", name="Reject").click()
    assert server.workflow(workflow)["status"] == "PENDING"
    page.get_by_label("Reason").fill("Refunded last week")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_text("Rejected: Rejected in the admin")).to_be_visible()
    assert server.workflow(workflow)["feedback"] == "Refunded last week"


def test_filters_and_tabs_work_under_the_policy(visit: Opener, server: Server) -> None:
    workflow = server.ask("Filtered")
    page = visit("/admin/workflows/workflow/")
    page.get_by_text("Filters").first.click()
    expect(page.get_by_text("By status").first).to_be_visible()
    page.goto(f"/admin/workflows/workflow/{workflow}/change/")
    page.get_by_role("link", name="Events").last.click()
    expect(page.get_by_text("workflow.created", exact=True)).to_be_visible()


def test_a_key_is_issued_and_shown(visit: Opener, server: Server) -> None:
    page = visit("/admin/accounts/agent/")
    page.get_by_role("link", name="demo-agent").click()
    page.get_by_role("link", name="Issue a key").click()
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Issue the key").click()
    key = page.locator("#key").inner_text()
    assert key.startswith("hitl_agt_")
    assert Server(server.base, key).ask("Asked with the new key")


def test_strangers_come_back_to_where_they_wanted_to_go(visit: Opener) -> None:
    page = visit("/admin/events/event/", who="")
    page.get_by_label("E-mail address").fill(ADMIN)
    page.get_by_label("Password").fill("correct horse battery staple")
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{page.url.split('/admin')[0]}/admin/events/event/")
