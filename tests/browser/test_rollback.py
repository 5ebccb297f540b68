"""On a phone, light and dark: comparing states, and having a request asked again."""

import os

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import COLLEAGUE, VIEWER, Opener, Server

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def fits(page: Page) -> bool:
    """Whether nothing sticks out sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def look(page: Page, name: str) -> None:
    """Keep a picture where somebody wants to look: SHOTS names a folder."""
    if os.environ.get("SHOTS"):
        page.screenshot(path=f"{os.environ['SHOTS']}/{name}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_asking_again_on_a_phone(server: Server, visit: Opener, scheme: str) -> None:
    asked = server.ask(f"Refund that is asked again, {scheme}")
    page = visit(server.path(asked), **PHONE, color_scheme=scheme)
    page.get_by_label("Comment").first.fill("Too much.")
    page.get_by_role("button", name="Reject").tap()
    expect(page.locator("#outcome-title")).to_have_text("Rejected by Ann")

    page.get_by_role("link", name="History of states").tap()
    page.get_by_label("From").select_option(index=0)
    page.get_by_role("button", name="Compare").tap()
    expect(page.get_by_role("rowheader", name="Status")).to_be_visible()
    assert fits(page)
    look(page, f"states-{scheme}")

    page.get_by_role("link", name="Ask again from state 1").tap()
    expect(page.get_by_role("heading", name="What will happen")).to_be_visible()
    page.get_by_label("Why?").fill("The customer has sent photos.")
    assert fits(page)
    look(page, f"confirm-{scheme}")
    page.get_by_role("button", name="Ask again").tap()
    expect(page.get_by_text("had it asked again, in round 2").first).to_be_visible()
    assert fits(page)
    look(page, f"asked-again-{scheme}")
    page.get_by_role("button", name="Approve").tap()
    expect(page.locator("#outcome-title")).to_have_text("Approved by Ann")
    look(page, f"approved-{scheme}")
    assert server.workflow(asked)["round"] == 2


def test_page_that_was_open_in_the_earlier_round(server: Server, visit: Opener) -> None:
    """It draws itself anew; who may only look is offered nothing."""
    asked = server.ask("Refund that is looked at")
    theirs = visit(server.path(asked), who=COLLEAGUE)
    mine = visit(server.path(asked))
    mine.get_by_label("Comment").first.fill("No.")
    mine.get_by_role("button", name="Reject").click()
    expect(theirs.get_by_role("link", name="Ask again…")).to_be_visible()
    only_looking = visit(server.path(asked), who=VIEWER)
    expect(only_looking.locator("#outcome-title")).to_be_visible()
    expect(only_looking.get_by_role("link", name="Ask again…")).to_be_hidden()

    mine.get_by_role("link", name="Ask again…").click()
    mine.get_by_label("Why?").fill("Once more.")
    mine.get_by_role("button", name="Ask again").click()

    expect(theirs.get_by_text("had it asked again, in round 2").first).to_be_visible()
    theirs.get_by_role("button", name="Approve").click()
    expect(theirs.locator("#outcome-title")).to_have_text("Approved by Carl Colleague")
