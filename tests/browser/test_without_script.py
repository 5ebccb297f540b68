"""Everything that matters works where scripts do not run."""

import re
from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import ADMIN, PASSWORD, Opener, Server

OFF: dict[str, Any] = {"java_script_enabled": False}


def test_logging_in_and_finding_a_request(visit: Opener, server: Server) -> None:
    server.ask("Plain page")
    page = visit("/", who="", **OFF)
    page.get_by_label("E-mail address").fill(ADMIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("searchbox").fill("Plain page")
    page.get_by_role("searchbox").press("Enter")
    page.get_by_role("link", name="Plain page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Plain page")
    expect(page.get_by_text(re.compile(r"2\d hours\s+left"))).to_be_visible()


def test_filters_have_a_button(visit: Opener, server: Server) -> None:
    server.ask("Filtered plainly")
    page = visit("/?show=all", **OFF)
    page.get_by_label("Risk").select_option("low")
    page.get_by_role("button", name="Filter", exact=True).last.click()
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    assert "show=all" in page.url


def test_approving(visit: Opener, server: Server) -> None:
    request = server.ask("Approved plainly")
    page = visit(server.path(request), **OFF)
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("heading", name="Approved by")).to_be_visible()
    assert server.workflow(request)["status"] == "APPROVED"


def test_rejecting_asks_for_the_reason_and_loses_nothing(visit: Opener, server: Server) -> None:
    request = server.ask("Rejected plainly")
    page = visit(server.path(request), **OFF)
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_text("Say why, so that the agent can do better.").first).to_be_visible()
    page.get_by_label("Comment").fill("No.")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("heading", name="Rejected by")).to_be_visible()


def test_editing(visit: Opener, server: Server) -> None:
    request = server.ask("Edited plainly")
    page = visit(server.path(request), **OFF)
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Amount").fill("80")
    page.get_by_role("button", name="Review changes").click()
    expect(page.locator("ins")).to_have_text("80")
    page.get_by_role("button", name="Approve with edits").click()
    expect(page.get_by_role("heading", name="Approved with edits by")).to_be_visible()
    assert server.workflow(request)["responseData"]["amount"] == 80


def test_no_button_is_there_that_would_do_nothing(visit: Opener, server: Server) -> None:
    page = visit(server.path(server.ask("No dead buttons")), **OFF)
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)
    expect(page.locator("#live-state")).to_be_hidden()


def test_logging_out(visit: Opener) -> None:
    page = visit("/login/", who="", **OFF)
    page.get_by_label("E-mail address").fill(ADMIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.locator("summary", has_text="Account").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
