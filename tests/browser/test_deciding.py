"""A person at the keyboard and with the mouse: log in, understand, decide."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import ADMIN, PASSWORD, REFUND, VIEWER, Opener, Server, live


def focused_text(page: Page) -> str:
    return str(page.evaluate("() => document.activeElement.textContent.trim()"))


def walk_to(page: Page, name: str) -> None:
    """Press j until the request has the focus."""
    for _ in range(60):
        page.keyboard.press("j")
        if focused_text(page) == name:
            return
    raise AssertionError(f"{name} was not reached")


def test_logging_in_leads_to_the_page_one_came_for(visit: Opener, server: Server) -> None:
    path = server.path(server.ask("Behind the login"))
    page = visit(path, who="")
    page.get_by_label("E-mail address").fill(ADMIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Behind the login")


def test_approving_from_the_inbox_by_keyboard_alone(visit: Opener, server: Server) -> None:
    request = server.ask("By keyboard")
    page = visit("/")
    walk_to(page, "By keyboard")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("By keyboard")
    page.keyboard.press("a")
    expect(page.get_by_role("button", name="Approve")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Approved by")).to_be_visible()
    assert server.workflow(request)["status"] == "APPROVED"


def test_keys_move_and_help_but_never_while_typing(visit: Opener) -> None:
    page = visit("/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("gh?jk")
    expect(page.get_by_role("searchbox")).to_have_value("gh?jk")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("heading", name="Inbox").click()
    page.keyboard.press("g")
    page.keyboard.press("h")
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("i")
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()


def test_single_keys_can_be_switched_off(visit: Opener) -> None:
    page = visit("/")
    page.keyboard.press("?")
    page.get_by_label("Single-key shortcuts are on").uncheck()
    page.keyboard.press("Escape")
    page.reload()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_rejecting_needs_a_reason(visit: Opener, server: Server) -> None:
    request = server.ask("Needs a reason")
    page = visit(server.path(request))
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_label("Comment")).to_be_focused()
    assert server.workflow(request)["status"] == "PENDING"
    page.get_by_label("Comment").fill("The amount is wrong.")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("heading", name="Rejected by")).to_be_visible()
    expect(page.get_by_text("The amount is wrong.").first).to_be_visible()
    assert server.workflow(request)["feedback"] == "The amount is wrong."


def test_editing_shows_the_difference_twice_and_keeps_types(visit: Opener, server: Server) -> None:
    request = server.ask("With edits")
    page = visit(server.path(request))
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Amount").fill("99.5")
    expect(page.get_by_role("heading", name="1 change")).to_be_visible()
    expect(page.locator("#changes del")).to_have_text("120")
    page.get_by_label("Comment").fill("Less shipping.")
    page.get_by_role("button", name="Review changes").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Approve with 1 change?")
    expect(page.locator("ins")).to_have_text("99.5")
    page.get_by_role("button", name="Change more").click()
    page.get_by_label("Amount").fill("99")
    page.get_by_role("button", name="Review changes").click()
    page.get_by_role("button", name="Approve with edits").click()
    expect(page.get_by_role("heading", name="Approved with edits by")).to_be_visible()
    found = server.workflow(request)
    assert found["decision"] == "modified"
    assert found["responseData"] == {**REFUND, "amount": 99}
    assert found["feedback"] == "Less shipping."


def test_a_wrong_edit_is_explained_at_its_field(visit: Opener, server: Server) -> None:
    page = visit(server.path(server.ask("Wrong edit")) + "?edit=1")
    page.get_by_label("Amount").fill("a lot")
    page.get_by_role("button", name="Review changes").click()
    expect(page.get_by_label("Amount")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Amount")).to_have_value("a lot")


def test_a_double_click_decides_once(visit: Opener, server: Server) -> None:
    request = server.ask("Double click")
    page = visit(server.path(request))
    page.get_by_role("button", name="Approve").dblclick()
    expect(page.get_by_role("heading", name="Approved by")).to_be_visible()
    events = server.call("GET", f"/workflows/{request}/events")
    answers = [event for event in events["items"] if event["type"] == "human.responded"]
    assert len(answers) == 1


def test_what_ran_appears_while_one_watches(visit: Opener, server: Server) -> None:
    request = server.ask("Watched to the end")
    page = visit(server.path(request))
    live(page)
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("heading", name="Approved, not started yet")).to_be_visible()
    live(page)
    started = server.call("POST", f"/workflows/{request}/execution/start", {"executor": "worker"})
    expect(page.get_by_role("heading", name="Being carried out")).to_be_visible()
    report = {"attempt": started["attempt"], "result": {"refundId": "re_17"}}
    server.call("POST", f"/workflows/{request}/execution/complete", report)
    expect(page.get_by_role("heading", name="Carried out")).to_be_visible()
    expect(page.get_by_text("re_17")).to_be_visible()


def test_a_viewer_sees_everything_but_buttons(visit: Opener, server: Server) -> None:
    page = visit(server.path(server.ask("For your eyes only")), who=VIEWER)
    expect(page.get_by_text("you may look only")).to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)


def test_copying_the_fingerprint_says_so(visit: Opener, server: Server) -> None:
    request = server.ask("Copy me")
    page = visit(server.path(request), permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the full fingerprint").first.click()
    expect(page.locator("#toasts")).to_contain_text("Copied")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied == server.workflow(request)["fingerprint"]


def test_logging_out(visit: Opener, server: Server) -> None:
    # With a session of its own: logging out ends the session.
    page = visit("/login/", who="")
    page.get_by_label("E-mail address").fill(ADMIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.locator("summary", has_text="Account").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
