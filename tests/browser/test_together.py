"""On a phone: handing a request over, deciding several together, and asking the agent."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import ADMIN, COLLEAGUE, Opener, Server

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def fits(page: Page) -> bool:
    """Whether nothing sticks out sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def is_big_enough(page: Page, selector: str) -> bool:
    """Whether a finger hits it."""
    box = page.locator(selector).first.bounding_box()
    return box is not None and min(box["width"], box["height"]) >= 44


def test_handing_over_and_answering_for_somebody(server: Server, visit: Opener) -> None:
    path = server.path(server.ask("Refund for the phone"))
    page = visit(path, **PHONE)
    page.get_by_role("button", name="I look after it").tap()
    expect(page.get_by_text("You look after it:")).to_be_visible()
    assert is_big_enough(page, "#fold-hand-over > summary")
    page.locator("#fold-hand-over > summary").tap()
    page.get_by_label("To", exact=True).select_option("Carl Colleague")
    page.get_by_label("Why optional").first.fill("You know her.")
    assert fits(page)
    page.get_by_role("button", name="Hand over").tap()
    expect(page.get_by_text("Handed over. They have been asked.")).to_be_visible()
    expect(page.get_by_text(re.compile("handed it over to Carl Colleague"))).to_be_visible()

    theirs = visit(path, who=COLLEAGUE, **PHONE)
    theirs.get_by_label("I answer for").select_option(index=1)
    theirs.get_by_role("button", name="Approve").tap()
    expect(theirs.locator("#outcome-title")).to_have_text("Approved by Carl Colleague for Ann")
    expect(page.locator("#outcome-title")).to_have_text("Approved by Carl Colleague for Ann")


def test_deciding_two_together(server: Server, visit: Opener) -> None:
    kind = "demo.batch"
    ids = [server.ask(f"Batch {n}", actionType=kind) for n in range(2)]
    page = visit(f"/?type={kind}", **PHONE)
    expect(page.locator(".pick-bar")).to_be_hidden()
    assert is_big_enough(page, ".pick")
    for box in page.locator(".pick input").all():
        box.check()
    page.get_by_role("button", name="Look at the chosen ones").tap()
    expect(page.get_by_role("heading", name="Decide 2 requests together")).to_be_visible()
    assert fits(page)
    page.get_by_text("All of its data").first.tap()
    expect(page.get_by_text("Ada Marsh").first).to_be_visible()
    page.get_by_role("button", name="Approve them").tap()
    expect(page.get_by_role("heading", name="2 recorded")).to_be_visible()
    assert fits(page)
    assert {server.workflow(id_)["status"] for id_ in ids} == {"APPROVED"}


def test_what_one_writes_survives_what_others_do(server: Server, visit: Opener) -> None:
    asked = server.ask("Refund with questions")
    path = server.path(asked)
    page = visit(path, who=ADMIN)
    page.get_by_label("Your words").fill("Which of the two")
    page.locator("#fold-hand-over > summary").click()
    theirs = visit(path, who=COLLEAGUE)
    theirs.get_by_label("Your words").fill("Why so much?")
    theirs.get_by_role("button", name="Ask the agent").click()
    expect(page.get_by_text("1 question waits for")).to_be_visible()
    expect(page.get_by_label("Your words")).to_have_value("Which of the two")
    theirs.get_by_role("button", name="I look after it").click()
    expect(page.get_by_text(re.compile("Carl Colleague looks after it")).first).to_be_visible()
    expect(page.locator("#fold-hand-over")).to_have_attribute("open", "")

    [question] = server.call("GET", f"/workflows/{asked}/remarks")["items"]
    answer = {"kind": "answer", "questionId": question["remarkId"], "text": "Two lamps."}
    server.call("POST", f"/workflows/{asked}/remarks", answer)
    expect(page.get_by_text("Two lamps.")).to_be_visible()
    expect(page.get_by_text("1 question waits for")).to_be_hidden()
