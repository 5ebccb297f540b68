"""Screens of the sandbox in Chromium, on a first start: pressed, filled in, followed live."""

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, StorageState, expect

from tests.browser.conftest import Opener, Server
from tests.browser.test_look import LEVELS, PHONE
from tests.embedded import running

ADMIN = "admin@example.com"
TWO_OF_US = """
policies:
  - name: Two of us
    timeout: 1d
    stages:
      - {name: Us, need: 2 of approvers, remind: [1h]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """A server as a newcomer starts it, with people on every channel."""
    with running(folder, HITL_BOOTSTRAP_EMAIL="") as embedded:
        policies = folder / "policies.yaml"
        policies.write_text(TWO_OF_US)
        done = embedded.manage("import_policies", str(policies))
        assert done.returncode == 0, done.stderr
        yield Server(f"http://localhost:{embedded.port}", embedded.api_key)


@pytest.fixture(scope="module")
def states() -> dict[str, StorageState]:
    """Another server, other cookies."""
    return {}


Past = Callable[[str, int], None]


@pytest.fixture(scope="module")
def past(server: Server, folder: Path) -> Past:
    """Lets a request be older by so many seconds."""

    def move(workflow_id: str, seconds: int) -> None:
        path = folder / "hitl.sqlite3"
        moved = ", ".join(
            f"{name} = strftime('%Y-%m-%d %H:%M:%f', {name}, '-{seconds} seconds')"
            for name in ("created_at", "stage_opened_at", "next_step_at")
        )
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as database, database:
            id_ = workflow_id.replace("-", "")
            done = database.execute(f"UPDATE workflows_workflow SET {moved} WHERE id = ?", [id_])  # noqa: S608 - our own words
            assert done.rowcount == 1

    return move


def screen(visit: Opener, channel: str, person: str, **options: Any) -> Page:
    """Somebody's screen of a channel, opened from the list."""
    page = visit(f"/sandbox/?channel={channel}", who=ADMIN, **options)
    page.locator(".mail", has_text=person).first.click()
    expect(page.get_by_role("heading", name=f"as {person} sees it")).to_be_visible()
    if page.get_by_role("dialog").count():  # a form that another test left open
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
    return page


def message(page: Page, name: str) -> Any:
    """The newest message about a request."""
    return page.locator("[data-list] > [id^='m-']", has_text=name).last


def go_slack(visit: Opener, server: Server, **options: Any) -> Page:
    return screen(visit, "slack", "Robin Chen", **options)


def go_confirm(visit: Opener, server: Server, **options: Any) -> Page:
    server.ask("Confirm this")
    page = screen(visit, "slack", "Robin Chen", **options)
    message(page, "Confirm this").get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_role("dialog", name="Approve this request?")).to_be_visible()
    return page


def go_form(visit: Opener, server: Server, **options: Any) -> Page:
    server.ask("Edit this")
    page = screen(visit, "slack", "Admin", **options)
    message(page, "Edit this").get_by_role("button", name="Edit, then approve").click()
    expect(page.get_by_role("dialog", name="Edit, then approve")).to_be_visible()
    return page


def go_wrong_form(visit: Opener, server: Server, **options: Any) -> Page:
    page = go_form(visit, server, **options)
    page.eval_on_selector("dialog form", "form => { form.noValidate = true }")
    page.get_by_label("Amount").fill("")
    page.get_by_role("button", name="Approve with edits").click()
    expect(page.get_by_text("Please complete this required field.")).to_be_visible()
    return page


def go_sms(visit: Opener, server: Server, **options: Any) -> Page:
    server.ask("Text about this", actionType="data.export")
    page = screen(visit, "sms", "Admin", **options)
    expect(page.get_by_role("button", name=re.compile("^YES"))).to_be_visible()
    return page


def go_telegram(visit: Opener, server: Server, **options: Any) -> Page:
    return screen(visit, "telegram", "Robin Chen", **options)


def go_question(visit: Opener, server: Server, **options: Any) -> Page:
    server.ask("Reject this")
    page = screen(visit, "telegram", "Robin Chen", **options)
    message(page, "Reject this").get_by_role("button", name="Reject").click()
    expect(page.get_by_placeholder("Reason")).to_be_visible()
    return page


def go_list(visit: Opener, server: Server, **options: Any) -> Page:
    return visit("/sandbox/", who=ADMIN, **options)


def go_trouble(visit: Opener, server: Server, **options: Any) -> Page:
    page = visit("/sandbox/?channel=email", who=ADMIN, **options)
    page.get_by_text("Simulate trouble").click()
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("button", name="End it").first).to_be_visible()
    page.get_by_text("Simulate trouble").click()
    return page


Go = Callable[..., Page]
PAGES: list[Go] = [
    go_slack, go_confirm, go_form, go_wrong_form, go_sms, go_telegram, go_question, go_list,
    go_trouble,
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


@pytest.mark.parametrize("go", PAGES, ids=names)
def test_a_phone_shows_it_all(visit: Opener, server: Server, go: Go) -> None:
    page = go(visit, server, **PHONE)
    page.wait_for_timeout(150)
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    small = page.evaluate(
        """() => [...document.querySelectorAll(
             "main :is(a[href], button, select, summary, input:not([type=hidden]))")]
           .filter((element) => element.checkVisibility() && !element.closest("p, dd, td"))
           .filter((element) => element.getBoundingClientRect().height < 43.5)
           .map((element) => element.outerHTML.slice(0, 120))"""
    )
    assert small == []


def test_the_newest_message_is_in_sight(visit: Opener, server: Server) -> None:
    server.ask("The very newest")
    page = go_slack(visit, server)
    expect(message(page, "The very newest")).to_be_in_viewport()
    assert page.evaluate("() => window.scrollY") == 0


def test_the_verdict_appears_on_every_screen_by_itself(visit: Opener, server: Server) -> None:
    server.ask("For everybody to see")
    other = screen(visit, "slack", "Admin")
    page = screen(visit, "slack", "Robin Chen")
    message(page, "For everybody to see").get_by_role("button", name="Approve", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Approve").click()

    told = "Approved by Robin Chen in Slack"
    expect(message(page, "For everybody to see")).to_contain_text(told)
    expect(message(other, "For everybody to see")).to_contain_text(told)
    expect(message(other, "For everybody to see").get_by_role("button")).to_have_count(0)


def test_progress_and_the_reminder_appear_on_every_screen_by_themselves(
    visit: Opener, server: Server, past: Past
) -> None:
    asked = server.ask("Two have to agree", policy="Two of us", timeoutSeconds=80_000)
    other, chat = (screen(visit, channel, "Robin Chen") for channel in ("slack", "telegram"))
    expect(message(other, "Two have to agree")).to_contain_text("So far: 0 of 2")
    page = screen(visit, "slack", "Admin")
    message(page, "Two have to agree").get_by_role("button", name="Approve", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Approve").click()

    expect(message(page, "Two have to agree")).to_contain_text("You answered: approved.")
    for one in (other, chat):
        expect(message(one, "Two have to agree")).to_contain_text("So far: 1 of 2")
        expect(message(one, "Two have to agree").get_by_role("button").first).to_be_visible()

    past(asked, 3700)
    for one, words in ((other, "A reminder"), (chat, "Still waiting for an answer")):
        expect(message(one, "Two have to agree")).to_contain_text(words)
        expect(message(one, "Two have to agree")).to_contain_text("So far: 1 of 2")


def test_new_message_arrives_by_itself_and_disturbs_no_typing(
    visit: Opener, server: Server
) -> None:
    page = go_sms(visit, server)
    page.get_by_placeholder("Text message").fill("yes, but")
    server.ask("One more text")
    expect(message(page, "One more text")).to_be_visible()
    expect(page.get_by_placeholder("Text message")).to_have_value("yes, but")


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desktop", "phone"])
def test_form_left_open_waits_on_its_own_screen(
    visit: Opener, server: Server, options: dict[str, Any]
) -> None:
    go_form(visit, server)
    page = visit("/sandbox/?channel=slack", who=ADMIN, **options)
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator(".mail", has_text="Admin").first.click()
    expect(page.get_by_role("dialog", name="Edit, then approve")).to_be_visible()


@pytest.mark.parametrize("go", [go_confirm, go_form], ids=["confirm", "form"])
def test_escape_changes_nothing(visit: Opener, server: Server, go: Go) -> None:
    page = go(visit, server)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_keyboard_stays_in_the_form(visit: Opener, server: Server) -> None:
    page = go_form(visit, server)
    for _ in range(9):
        page.keyboard.press("Tab")
        outside = page.evaluate(
            "() => document.activeElement !== document.body"
            " && !document.activeElement.closest('dialog')"
        )
        assert not outside


def test_everything_works_without_a_script(visit: Opener, server: Server) -> None:
    server.ask("Without a script")
    page = go_slack(visit, server, java_script_enabled=False)
    message(page, "Without a script").get_by_role("button", name="Reject").click()
    page.get_by_label("Why not?").fill("Not today")
    page.get_by_role("dialog").get_by_role("button", name="Reject").click()
    told = message(page, "Without a script")
    expect(told).to_contain_text("Rejected by Robin Chen in Slack")


def test_links_in_texts_lead_to_the_request(visit: Opener, server: Server) -> None:
    server.ask("Open from a text")
    page = screen(visit, "sms", "Admin")
    with page.expect_popup() as opened:
        message(page, "Open from a text").get_by_role("link").click()
    heading = opened.value.get_by_role("heading", name="Open from a text").first
    expect(heading).to_be_visible()


@pytest.mark.parametrize("script", [True, False])
def test_whoever_follows_a_link_for_a_living_decides_nothing(
    visit: Opener, server: Server, script: bool
) -> None:
    """Mail scanners and previews: redirects followed, script run, nobody there who presses."""
    name = f"Followed by a machine {script}"
    request = server.ask(name)
    link = message(screen(visit, "sms", "Admin"), name).get_by_role("link").get_attribute("href")
    path = urlsplit(str(link)).path
    for choice in ("approved", "rejected", "modified"):
        page = visit(f"{path}?choice={choice}", who="", java_script_enabled=script)
        expect(page.get_by_role("heading", name=name).first).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert server.workflow(request)["status"] == "PENDING"
