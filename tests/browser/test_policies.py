"""A manager builds the policy of the specification by clicking, and reads it back in words."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ADMIN, COLLEAGUE, Opener

THREE_MINUTES = 180
SENTENCE = "Two of Finance, then Carl Colleague if amount is more than 10,000."
WORDS = [
    "Finance: One rejection rejects the request.",
    "Finance: People are reminded 1 hour after being asked.",
    "Finance: After 4 hours Ann may answer, too; that is enough.",
    "Finance: If nobody decides in time, the request times out, which rejects it.",
    "CFO: One rejection rejects the request.",
    "CFO: People are reminded 1 hour after being asked.",
    "CFO: After 4 hours Ann may answer, too; that is enough.",
    "CFO: If nobody decides in time, the request times out, which rejects it.",
    "The request has to be decided within 1 day.",
    "The agent’s owner and the requester may not decide.",
]
OFF = {"java_script_enabled": False}


def open_area(page: Page) -> None:
    page.get_by_role("link", name="Policies").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Policies")


def make_finance(page: Page) -> None:
    """The group, once for all tests of this module."""
    page.get_by_role("link", name="Groups").click()
    if page.get_by_role("link", name="Finance", exact=True).count():
        page.get_by_role("link", name="Policies").last.click()
        return
    page.get_by_role("link", name="New group").click()
    page.get_by_label("Name").fill("Finance")
    for name in ("Ann", "Carl Colleague"):
        page.locator("label", has_text=name).get_by_role("checkbox").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Finance is saved.")).to_be_visible()
    page.get_by_role("navigation", name="Settings").get_by_role("link", name="Policies").click()


def fill_the_rest(page: Page, name: str) -> None:
    """What the example leaves open: the name, the CFO and the deputies."""
    page.get_by_label("Name", exact=True).fill(name)
    first, second = (
        page.get_by_label("Stage 1", exact=True),
        page.get_by_label("Stage 2", exact=True),
    )
    second.get_by_label("Who", exact=True).first.select_option(label="Carl Colleague")
    for stage in (first, second):
        stage.get_by_label("Who", exact=True).last.select_option(label="Ann")


def saved_as_yaml(page: Page, name: str) -> str:
    """What the page says the stored policy is as a file, but for its name."""
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("button", name="YAML").click()
    return page.get_by_label("The policy as YAML").input_value().replace(name, "")


def test_manager_builds_the_policy_in_three_minutes(visit: Opener) -> None:
    page = visit("/")
    began = time.monotonic()
    open_area(page)
    make_finance(page)
    page.get_by_role("link", name="Two of Finance, then the CFO").click()
    fill_the_rest(page, "Large refunds")
    words = page.locator("#in-words")
    expect(words.locator(".words-summary")).to_have_text(SENTENCE)
    expect(words.locator(".words-list li")).to_have_text(WORDS)
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("heading", name="Dry run")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved: version 1 of Large refunds.")).to_be_visible()
    expect(page.get_by_label("Large refunds", exact=True).get_by_text(SENTENCE)).to_be_visible()
    assert time.monotonic() - began < THREE_MINUTES


def test_the_same_by_hand_from_one_approver(visit: Opener) -> None:
    """Without the ready-made example: every part is added by its button."""
    page = visit("/teams/")
    make_finance(page)
    page.get_by_role("link", name="One approver").click()
    page.get_by_label("Name", exact=True).fill("By hand")
    build_by_hand(page)
    expect(page.locator(".words-summary")).to_have_text(SENTENCE)
    expect(page.locator(".words-list li")).to_have_text(WORDS)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved: version 1 of By hand.")).to_be_visible()


def build_by_hand(page: Page) -> None:
    first = page.get_by_label("Stage 1", exact=True)
    first.get_by_label("Name of stage 1").fill("Finance")
    first.get_by_label("Who", exact=True).select_option(label="Finance")
    first.get_by_label("How many").first.select_option("2")
    page.get_by_role("button", name="Add a stage").click()
    second = page.get_by_label("Stage 2", exact=True)
    second.get_by_label("Name of stage 2").fill("CFO")
    second.get_by_label("Who", exact=True).select_option(label="Carl Colleague")
    second.get_by_label("When").select_option("simple")
    second.get_by_label("Field").fill("amount")
    second.get_by_label("Value").fill("10,000")
    for stage in (first, second):
        stage.get_by_role("button", name="Add a reminder").click()
        stage.get_by_label("How long", exact=True).first.fill("1h")
        stage.get_by_role("button", name="Add a step").click()
        stage.get_by_label("After how long").fill("4h")
        stage.get_by_label("Who", exact=True).last.select_option(label="Ann")
    page.get_by_label("within").fill("1d")
    page.get_by_label("What silence means").select_option("reject")


def test_it_works_without_script(visit: Opener) -> None:
    page = visit("/teams/", **OFF)
    make_finance(page)
    page.get_by_role("link", name="One approver").click()
    page.get_by_label("Name", exact=True).fill("Plain")
    build_by_hand(page)
    page.get_by_role("button", name="Dry run").click()
    expect(page.locator(".words-summary")).to_have_text(SENTENCE)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Policies", level=1)).to_be_visible()
    expect(page.get_by_role("link", name="Plain", exact=True)).to_be_visible()


def documented() -> str:
    """The example of the documentation, with the people of this server."""
    text = Path("docs/policies.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(policies:\n  - name: Large refunds\n.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1].replace("cfo@example.com", COLLEAGUE).replace("deputy@example.com", ADMIN)


def test_yaml_gives_the_same_policy(visit: Opener) -> None:
    page = visit("/teams/")
    make_finance(page)
    page.get_by_role("link", name="Two of Finance, then the CFO").click()
    fill_the_rest(page, "From the form")
    page.get_by_role("button", name="Save", exact=True).click()
    by_form = saved_as_yaml(page, "From the form")
    page.goto("/teams/")
    page.get_by_role("link", name="paste one as YAML").click()
    page.get_by_label("The policy as YAML").fill(documented().replace("Large refunds", "By file"))
    expect(page.locator(".words-summary")).to_have_text(SENTENCE)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved: version 1 of By file.")).to_be_visible()
    assert saved_as_yaml(page, "By file") == by_form


def test_faults_stand_at_their_fields_and_nothing_is_lost(visit: Opener) -> None:
    page = visit("/teams/")
    page.get_by_role("link", name="One approver").click()
    page.get_by_role("button", name="Add a reminder").click()
    page.get_by_label("How long", exact=True).first.fill("soon")
    page.get_by_label("within").fill("2d")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_label("Name", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("Write a duration, like 1h 30m or 2d.").first).to_be_visible()
    expect(page.get_by_label("How long", exact=True).first).to_have_value("soon")
    expect(page.get_by_label("within")).to_have_value("2d")


def test_words_follow_the_keyboard(visit: Opener) -> None:
    page = visit("/teams/")
    page.get_by_role("link", name="One approver").click()
    expect(page.locator("#in-words")).to_contain_text("Give the policy a name.")
    page.get_by_label("Name", exact=True).fill("Words")
    expect(page.locator(".words-summary")).to_have_text("Any approver.")
    page.get_by_label("within").fill("90 minutes")
    expect(page.locator("#in-words")).to_contain_text("decided within 1 hour 30 minutes")


def test_rule_is_built_and_tried(visit: Opener) -> None:
    page = visit("/teams/")
    page.get_by_role("link", name="Rules").click()
    page.get_by_role("button", name="Add a rule").click()
    rule = page.get_by_label("Rule 1", exact=True)
    rule.get_by_label("Name of rule 1").fill("Nothing huge")
    rule.get_by_label("Field").fill("amount")
    rule.get_by_label("Value").fill("1,000,000")
    rule.get_by_label("What it does").select_option("deny")
    expect(page.locator("#in-words")).to_contain_text(
        "If amount is more than 1,000,000, it is rejected without asking anybody."
    )
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("heading", name="Dry run")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved: version 1 of the rules.")).to_be_visible()


def test_who_is_no_manager_sees_none_of_it(visit: Opener) -> None:
    page = visit("/", who=COLLEAGUE)
    expect(page.get_by_role("link", name="Policies")).to_have_count(0)
    answer = page.goto("/teams/demo/policies/")
    assert answer is not None
    assert answer.status == 403


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(visit: Opener, width: int) -> None:
    page = visit("/teams/", viewport={"width": width, "height": 844})
    too_wide: Callable[[], int] = lambda: page.evaluate(  # noqa: E731
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert too_wide() <= 0
    page.get_by_role("link", name="Two of Finance, then the CFO").click()
    for box in page.locator("summary", has_text="More options").all():
        box.click()
    assert too_wide() <= 0
    page.get_by_role("button", name="YAML").click()
    assert too_wide() <= 0
