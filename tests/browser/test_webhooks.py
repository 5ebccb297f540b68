"""Webhooks in a browser: add one, see its secret once, try it; on a phone and in the dark."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import VIEWER, Opener
from tests.browser.test_look import LEVELS, PHONE

Go = Callable[..., Page]


def go_new(visit: Opener, **options: Any) -> Page:
    page = visit("/webhooks/new/", **options)
    page.get_by_label("Address").fill("https://127.0.0.1/hook")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("alert")).to_contain_text("public internet")
    return page


def go_added(visit: Opener, **options: Any) -> Page:
    page = visit("/webhooks/new/", **options)
    page.get_by_label("Address").fill("https://hooks.invalid/hitl")
    page.get_by_label("Name").fill("The agents’ platform")
    page.get_by_label("Events", exact=True).fill("human.responded\nworkflow.*")
    page.get_by_role("button", name="Add it").click()
    expect(page.locator("#secret")).to_contain_text("whsec_")
    return page


def go_message(visit: Opener, **options: Any) -> Page:
    page = go_added(visit, **options)
    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("webhook.test")
    expect(async_reload(page).get_by_text("could not be reached")).to_be_visible()
    return page


def async_reload(page: Page) -> Page:
    """The worker tries it within a moment: load until it has."""
    for _ in range(40):
        if page.get_by_text("could not be reached").count():
            break
        page.wait_for_timeout(250)
        page.reload()
    return page


def go_one(visit: Opener, **options: Any) -> Page:
    page = go_message(visit, **options)
    page.locator(".back").click()
    expect(page.get_by_role("heading", name="Replay")).to_be_visible()
    return page


def go_list(visit: Opener, **options: Any) -> Page:
    page = go_added(visit, **options)
    page.locator(".back").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Webhooks")
    return page


PAGES: list[Go] = [go_new, go_added, go_message, go_one, go_list]
names = [go.__name__.removeprefix("go_") for go in PAGES]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("go", PAGES, ids=names)
def test_axe_finds_nothing(visit: Opener, go: Go, theme: str) -> None:
    page = go(visit, color_scheme=theme, bypass_csp=True)
    page.wait_for_timeout(150)
    report = Axe().run(page, options=LEVELS)
    found = [(one["id"], [each["target"] for each in one["nodes"]][:5])
             for one in report.response["violations"]]  # fmt: skip
    assert found == []


@pytest.mark.parametrize("go", PAGES, ids=names)
def test_a_phone_shows_it_all(visit: Opener, go: Go) -> None:
    page = go(visit, **PHONE)
    page.wait_for_timeout(150)
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    small = page.evaluate(
        """() => [...document.querySelectorAll("main :is(a[href], button, select, summary)")]
           .filter((element) => element.checkVisibility() && !element.closest("p, dd, td"))
           .filter((element) => element.getBoundingClientRect().height < 43.5)
           .map((element) => element.outerHTML.slice(0, 120))"""
    )
    assert small == []


def test_the_secret_is_shown_once(visit: Opener) -> None:
    page = go_added(visit)
    secret = page.locator("#secret").inner_text()
    page.goto(page.url.replace("/new/", "/"))
    page.get_by_role("link", name="The agents’ platform").first.click()
    expect(page.get_by_role("heading", name="Replay")).to_be_visible()
    assert secret not in page.content()


def test_switching_off_and_on(visit: Opener) -> None:
    page = go_list(visit)
    page.get_by_role("link", name="The agents’ platform").first.click()
    page.get_by_role("button", name="Switch off").click()
    expect(page.get_by_text("Off", exact=True)).to_be_visible()
    page.get_by_role("button", name="Switch on").click()
    expect(page.get_by_role("button", name="Send a test")).to_be_visible()


def test_others_see_no_link(visit: Opener) -> None:
    page = visit("/", who=VIEWER)
    expect(page.get_by_role("link", name="Webhooks")).to_have_count(0)
