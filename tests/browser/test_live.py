"""What changes elsewhere appears here: without a reload, without moving under the pointer."""

import time
from collections.abc import Callable

from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import COLLEAGUE, Opener, Server, live


def mark(page: Page) -> None:
    """Leave a trace that a reload would wipe out."""
    page.evaluate("() => { window.stayed = true; }")


def assert_stayed(page: Page) -> None:
    assert page.evaluate("() => window.stayed") is True


def decide(page: Page, button: str = "Approve") -> None:
    page.get_by_role("button", name=button).click()
    expect(page.locator("#outcome-title")).to_be_visible()


def test_a_new_request_appears_without_a_reload(visit: Opener, server: Server) -> None:
    page = visit("/")
    live(page)
    mark(page)
    server.ask("Fresh from the agent")
    expect(page.get_by_role("link", name="Fresh from the agent")).to_be_visible(timeout=3000)
    expect(page.locator("#announcer")).to_contain_text("New request: Fresh from the agent")
    assert_stayed(page)


def test_the_count_in_the_tab_follows(visit: Opener, server: Server) -> None:
    page = visit("/?q=nothing+matches+this")
    live(page)
    before = page.title()
    server.ask("Counted in the tab")
    page.wait_for_timeout(800)
    assert page.title() != before


def test_a_decided_request_leaves_the_inbox(visit: Opener, server: Server) -> None:
    request = server.ask("Soon to be gone")
    page = visit("/")
    live(page)
    mark(page)
    decide(visit(server.path(request), who=COLLEAGUE))
    expect(page.get_by_role("link", name="Soon to be gone")).to_have_count(0)
    assert_stayed(page)


def test_rows_stay_put_under_the_pointer(visit: Opener, server: Server) -> None:
    request = server.ask("Under the pointer", timeoutSeconds=5400)
    page = visit("/")
    live(page)
    row = page.get_by_role("listitem").filter(has_text="Under the pointer")
    row.hover()
    before = row.bounding_box()
    server.ask("Would push it down", timeoutSeconds=3600)
    expect(page.get_by_role("button", name="1 new")).to_be_visible()
    expect(page.get_by_role("link", name="Would push it down")).to_have_count(0)
    assert row.bounding_box() == before
    decide(visit(server.path(request), who=COLLEAGUE))
    expect(row).to_contain_text("Approved")  # struck out in place
    assert row.bounding_box()["y"] == before["y"]  # type: ignore[index]
    page.mouse.move(2, 2)  # nobody is about to click there any more
    expect(page.get_by_role("link", name="Would push it down")).to_be_visible()
    expect(row).to_have_count(0)


def test_further_down_new_rows_wait_behind_a_button(visit: Opener, server: Server) -> None:
    for number in range(12):
        server.ask(f"Filler {number}")
    page = visit("/")
    live(page)
    page.mouse.move(2, 2)
    page.evaluate("() => window.scrollTo(0, 600)")
    server.ask("Above the fold", timeoutSeconds=2000)
    pill = page.get_by_role("button", name="1 new")
    expect(pill).to_be_visible()
    assert page.evaluate("() => window.scrollY") == 600
    pill.click()
    expect(page.get_by_role("link", name="Above the fold")).to_be_in_viewport()
    expect(pill).to_be_hidden()


def test_the_focus_moves_to_the_next_row_when_its_own_goes(visit: Opener, server: Server) -> None:
    first = server.ask("Focused and gone", timeoutSeconds=3000)
    server.ask("Next in line", timeoutSeconds=3001)
    page = visit("/")
    live(page)
    page.get_by_role("link", name="Focused and gone").focus()
    decide(visit(server.path(first), who=COLLEAGUE))
    expect(page.get_by_role("link", name="Next in line")).to_be_focused()


def test_a_second_approver_sees_at_once_who_decided(visit: Opener, server: Server) -> None:
    request = server.ask("Two at once")
    mine = visit(server.path(request))
    live(mine)
    mark(mine)
    other = visit(server.path(request), who=COLLEAGUE)
    decide(other)
    expect(mine.get_by_role("heading", name="Approved by Carl Colleague")).to_be_visible(
        timeout=3000
    )
    expect(mine.get_by_role("button", name="Approve")).to_have_count(0)
    expect(mine.locator("#announcer")).to_have_text("Approved by Carl Colleague")
    assert_stayed(mine)


def test_what_somebody_types_survives_what_others_look_at(visit: Opener, server: Server) -> None:
    request = server.ask("Being typed about")
    page = visit(server.path(request))
    live(page)
    page.get_by_label("Comment").fill("Half a sen")
    visit(server.path(request), who=COLLEAGUE)
    expect(page.get_by_text("Carl Colleague opened the request")).to_be_visible()
    expect(page.get_by_label("Comment")).to_have_value("Half a sen")
    expect(page.get_by_label("Comment")).to_be_focused()


def test_edits_survive_what_others_look_at(visit: Opener, server: Server) -> None:
    request = server.ask("Being edited")
    page = visit(server.path(request) + "?edit=1")
    live(page)
    page.get_by_label("Amount").fill("77")
    visit(server.path(request), who=COLLEAGUE)
    expect(page.get_by_text("Carl Colleague opened the request")).to_be_visible()
    expect(page.get_by_label("Amount")).to_have_value("77")


def test_a_stale_tab_is_told_the_outcome(visit: Opener, server: Server) -> None:
    request = server.ask("Stale tab")
    page = visit(server.path(request))
    page.route("**/parts/*", lambda route: route.abort())  # this tab hears nothing
    decide(visit(server.path(request), who=COLLEAGUE), "Approve")
    page.get_by_label("Comment").fill("Too late.")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("alert")).to_contain_text("Your answer was not recorded")
    expect(page.get_by_role("alert")).to_contain_text("approved by Carl Colleague")


class Line:
    """The wire between page and server, in the test's hand."""

    def __init__(self) -> None:
        self.is_cut = False
        self.sockets: list[WebSocketRoute] = []

    def carry(self, route: WebSocketRoute) -> None:
        if self.is_cut:
            route.close(code=1013)
            return
        route.connect_to_server()
        self.sockets.append(route)

    def cut(self) -> None:
        self.is_cut = True
        for route in self.sockets:
            route.close(code=1012)
        self.sockets.clear()


def wired(page: Page) -> Line:
    line = Line()
    page.route_web_socket("**/ws/live/", line.carry)
    page.reload()
    live(page)
    return line


def until(claim: Callable[[], bool], page: Page) -> None:
    end = time.monotonic() + 10
    while not claim():
        assert time.monotonic() < end
        page.wait_for_timeout(50)


def test_a_lost_line_shows_and_catches_up(visit: Opener, server: Server) -> None:
    page = visit("/")
    line = wired(page)
    mark(page)
    line.cut()
    expect(page.locator("#live-state")).to_have_text("Reconnecting…")
    server.ask("While the line was down")
    page.wait_for_timeout(500)
    expect(page.get_by_role("link", name="While the line was down")).to_have_count(0)
    line.is_cut = False
    expect(page.get_by_role("link", name="While the line was down")).to_be_visible(timeout=15_000)
    live(page)
    assert_stayed(page)


def test_a_decision_made_while_the_line_was_down_shows_afterwards(
    visit: Opener, server: Server
) -> None:
    request = server.ask("Decided in the dark")
    page = visit(server.path(request))
    line = wired(page)
    line.cut()
    decide(visit(server.path(request), who=COLLEAGUE))
    expect(page.get_by_role("button", name="Approve")).to_be_visible()
    line.is_cut = False
    expect(page.get_by_role("heading", name="Approved by Carl")).to_be_visible(timeout=15_000)


def test_without_any_line_the_page_asks_by_itself(visit: Opener, server: Server) -> None:
    page = visit("/")
    page.route_web_socket("**/ws/live/", lambda route: route.close(code=1013))
    page.clock.install()
    page.reload()
    server.ask("Found by asking")
    page.clock.run_for(21_000)
    expect(page.get_by_role("link", name="Found by asking")).to_be_visible()


def test_the_end_of_the_session_shows(visit: Opener, server: Server) -> None:
    page = visit(server.path(server.ask("Session over")))
    live(page)
    page.context.clear_cookies()
    page.evaluate("() => document.dispatchEvent(new CustomEvent('hitl:resync'))")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
