"""Phone, dark, print, and what axe finds on every page; the content policy holds throughout."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import ADMIN, VIEWER, Opener, Server

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True
}  # fmt: skip
LEVELS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
NESTED = {
    "regions": ["eu-west", "us-east"], "dry": True, "nothing": None,
    "changes": [{"id": "CH-482", "title": "New \u202ebasket"}], "empty": {},
}  # fmt: skip


def go_login(visit: Opener, server: Server, **options: Any) -> Page:
    return visit("/login/", who="", **options)


def go_failed_login(visit: Opener, server: Server, **options: Any) -> Page:
    page = visit("/login/?next=/history/", who="", **options)
    page.get_by_label("E-mail address").fill("nobody@example.com")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    return page


def go_inbox(visit: Opener, server: Server, **options: Any) -> Page:
    server.ask("Deceptive \u202eone", actionType="other", actionData=NESTED)
    server.ask("Due at once", timeoutSeconds=300)
    return visit("/", **options)


def go_nothing(visit: Opener, server: Server, **options: Any) -> Page:
    return visit("/?q=nothing+like+this", **options)


def go_history(visit: Opener, server: Server, **options: Any) -> Page:
    return visit("/history/", **options)


def go_insights(visit: Opener, server: Server, **options: Any) -> Page:
    """Numbers are counted twice a minute: the first time, somebody has to wait for them."""
    server.ask("Counted", actionType="demo.counted")
    page = visit("/insights/", **options)
    for _ in range(60):
        if page.locator(".plot").count():
            break
        page.wait_for_timeout(1000)
        page.reload()
    page.get_by_text("The numbers, day by day").click()
    return page


def go_no_insights(visit: Opener, server: Server, **options: Any) -> Page:
    return visit("/insights/?type=nothing.like.this", **options)


def go_request(visit: Opener, server: Server, **options: Any) -> Page:
    return visit(server.path(server.ask("One request", reason="Because.\n" * 40)), **options)


def go_tree(visit: Opener, server: Server, **options: Any) -> Page:
    request = server.ask("A tree", actionType="other", actionData=NESTED)
    return visit(server.path(request), **options)


def go_viewer(visit: Opener, server: Server, **options: Any) -> Page:
    return visit(server.path(server.ask("Just looking")), who=VIEWER, **options)


def go_edit(visit: Opener, server: Server, **options: Any) -> Page:
    page = visit(server.path(server.ask("Edited")) + "?edit=1", **options)
    page.get_by_label("Amount").fill("11")
    expect(page.get_by_role("heading", name="1 change")).to_be_visible()
    return page


def go_wrong_edit(visit: Opener, server: Server, **options: Any) -> Page:
    page = visit(server.path(server.ask("Wrongly edited")) + "?edit=1", **options)
    page.get_by_label("Amount").fill("x")
    page.get_by_role("button", name="Review changes").click()
    expect(page.get_by_role("alert")).to_be_visible()
    return page


def go_confirm(visit: Opener, server: Server, **options: Any) -> Page:
    page = go_edit(visit, server, **options)
    page.get_by_role("button", name="Review changes").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Approve with")
    return page


def go_approved(visit: Opener, server: Server, **options: Any) -> Page:
    page = visit(server.path(server.ask("Approved")), **options)
    page.get_by_label("Comment").fill("Fine.")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("#outcome-title")).to_be_visible()
    return page


def go_failed(visit: Opener, server: Server, **options: Any) -> Page:
    page = go_approved(visit, server, **options)
    request = page.url.rstrip("/").rsplit("/", 1)[1]
    attempt = server.call("POST", f"/workflows/{request}/execution/start", {})["attempt"]
    error = {"code": "card-expired", "message": "The card has expired."}
    report = {"attempt": attempt, "error": error}
    server.call("POST", f"/workflows/{request}/execution/fail", report)
    page.reload()
    return page


def go_event(visit: Opener, server: Server, **options: Any) -> Page:
    return visit(server.path(server.ask("Its event")) + "events/1/", **options)


def go_password(visit: Opener, server: Server, **options: Any) -> Page:
    return visit("/password/", **options)


def go_reach(visit: Opener, server: Server, **options: Any) -> Page:
    page = visit("/me/", **options)
    page.locator("#offer-sms").get_by_label("Number").fill("12")
    page.locator("#offer-sms").get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_be_visible()
    return page


def go_away(visit: Opener, server: Server, **options: Any) -> Page:
    page = visit("/me/absence/", **options)
    page.get_by_label("From").fill("2020-01-01T08:00")
    page.get_by_role("button", name="Enter the absence").click()
    expect(page.get_by_role("alert")).to_be_visible()
    return page


def go_hours(visit: Opener, server: Server, **options: Any) -> Page:
    return visit("/me/hours/", **options)


def go_batch(visit: Opener, server: Server, **options: Any) -> Page:
    ids = [server.ask(f"Look {n}", actionType="demo.look") for n in range(2)]
    page = visit("/batch/?" + "&".join(f"id={id_}" for id_ in ids), **options)
    page.get_by_text("All of its data").first.click()
    return page


def go_folds(visit: Opener, server: Server, **options: Any) -> Page:
    page = go_request(visit, server, **options)
    page.locator("#fold-hand-over > summary").click()
    return page


def go_nowhere(visit: Opener, server: Server, **options: Any) -> Page:
    return visit("/nowhere/", **options)


def go_menu(visit: Opener, server: Server, **options: Any) -> Page:
    page = visit("/history/", **options)
    page.locator("summary", has_text="Account").click()
    return page


def go_help(visit: Opener, server: Server, **options: Any) -> Page:
    page = visit("/history/", **options)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    return page


Go = Callable[..., Page]
PAGES: list[Go] = [
    go_login, go_failed_login, go_inbox, go_nothing, go_history, go_insights, go_no_insights,
    go_request, go_tree, go_viewer, go_edit, go_wrong_edit, go_confirm, go_approved, go_failed,
    go_event, go_password, go_reach, go_away, go_hours, go_batch, go_folds, go_nowhere, go_menu,
    go_help,
]  # fmt: skip
names = [go.__name__.removeprefix("go_") for go in PAGES]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("go", PAGES, ids=names)
def test_axe_finds_nothing(visit: Opener, server: Server, go: Go, theme: str) -> None:
    page = go(visit, server, color_scheme=theme, bypass_csp=True)
    page.wait_for_timeout(150)
    report = Axe().run(page, options=LEVELS)
    found = [
        (one["id"], one["impact"], [node["target"] for node in one["nodes"]][:5])
        for one in report.response["violations"]
    ]
    assert found == []


@pytest.mark.parametrize("go", [go for go in PAGES if go is not go_help], ids=names[:-1])
def test_a_phone_shows_it_all(visit: Opener, server: Server, go: Go) -> None:
    page = go(visit, server, **PHONE)
    page.wait_for_timeout(150)
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    assert wide == 390, "the page scrolls sideways"
    small = page.evaluate(
        """() => [...document.querySelectorAll(
             "a[href], button, select, summary, input:not([type=hidden])")]
           .filter((element) => element.checkVisibility() && !element.closest("p, dd, td"))
           .filter((element) => !element.matches(".skip-link, [type=radio], [type=checkbox]"))
           .filter((element) => {
             const row = element.matches("[data-row]") ? element.closest("li") : element;
             return row.getBoundingClientRect().height < 43.5;
           })
           .map((element) => element.outerHTML.slice(0, 120))"""
    )
    assert small == [], "targets smaller than 44 px"


def test_on_a_phone_the_verdict_stays_under_the_thumb(visit: Opener, server: Server) -> None:
    page = visit(server.path(server.ask("Under the thumb", reason="Long.\n" * 200)), **PHONE)
    button = page.get_by_role("button", name="Approve")
    for place in (0, 400, 4000):
        page.evaluate("(y) => window.scrollTo(0, y)", place)
        box = button.bounding_box()
        assert box is not None
        assert 700 < box["y"] < 844 - box["height"]
    button.click()
    expect(page.get_by_role("heading", name="Approved by")).to_be_visible()


def background(page: Page) -> str:
    return str(page.evaluate("() => getComputedStyle(document.body).backgroundColor"))


def test_dark_follows_the_system_and_the_switch_is_remembered(visit: Opener) -> None:
    page = visit("/", color_scheme="dark")
    dark = background(page)
    page.locator("summary", has_text="Account").click()
    page.get_by_role("button", name="Light").click()
    light = background(page)
    assert light != dark
    page.reload()
    assert background(page) == light
    page.locator("summary", has_text="Account").click()
    page.get_by_role("button", name="Auto").click()
    assert background(page) == dark


def test_dark_needs_no_script(visit: Opener) -> None:
    plain: dict[str, Any] = {"who": "", "java_script_enabled": False}
    assert background(visit("/login/", color_scheme="dark", **plain)) != background(
        visit("/login/", color_scheme="light", **plain)
    )


def test_the_theme_is_set_before_anything_is_drawn(visit: Opener) -> None:
    page = visit("/", color_scheme="dark")
    first = page.evaluate("() => document.querySelector('head script').getAttribute('src')")
    assert first.endswith("theme.js")
    assert page.locator("html").get_attribute("data-bs-theme") == "dark"


def test_printing_leaves_out_what_paper_cannot_do(visit: Opener, server: Server) -> None:
    page = visit(server.path(server.ask("On paper")))
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Approve")).to_be_hidden()
    expect(page.get_by_role("navigation", name="Main")).to_be_hidden()
    expect(page.get_by_role("heading", name="On paper")).to_be_visible()


def test_the_skip_link_leads_past_the_navigation(visit: Opener) -> None:
    page = visit("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_hostile_text_runs_nowhere(visit: Opener, server: Server) -> None:
    payload = '"><img src=x onerror=window.owned=1><script>alert(1)</script>'
    request = server.ask(
        payload, reason=payload, actionType="x.y", actionData={payload: payload},
        uiSchema={"fields": [{"name": payload, "type": "string", "label": payload}]},
    )  # fmt: skip
    page = visit("/")
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    foreign: list[str] = []
    page.on("request", lambda sent: foreign.append(sent.url))
    for path in ("/", "/history/", server.path(request), server.path(request) + "?edit=1"):
        page.goto(path)
        assert page.evaluate("() => window.owned") is None
    ours = (server.base, "ws:", "data:")
    assert [url for url in foreign if not url.startswith(ours)] == []
    assert ADMIN in page.content()
