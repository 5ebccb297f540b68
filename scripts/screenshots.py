#!/usr/bin/env python3
"""Take the pictures that the documentation shows: `docs/img/<page>-<width>-<theme>.png`.

    python scripts/screenshots.py [page ...]

Without names it takes those the documentation shows; PICTURES names another folder. A server of
its own runs on a temporary folder, filled by `world.py`; Chromium (CHROMIUM, else the one on PATH)
goes through it at desktop and phone size, light and dark.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("PICTURES", ROOT / "docs" / "img"))
LOGIN = ("maya@northwind.example", "correct-horse-battery")
NEWCOMER = "admin@example.com"
REFUND = "Refund order A-1009"
SIZES = {"desktop": (1280, 860), "phone": (390, 844)}
SCALES = {"desktop": 1.0, "phone": 1.5}
DOCUMENTED = (
    "login", "inbox", "request", "confirm", "history", "mail", "sandbox", "admin",
    "slack", "slack-edit", "slack-reject", "sms", "telegram", "policies", "policy", "dry-run",
)  # fmt: skip
FIRST_START = ("mail", "sandbox", "slack", "slack-edit", "slack-reject", "sms", "telegram")
ON_A_PHONE = ("slack-edit", "slack-reject", "sms", "telegram")
THEMES = ("light", "dark")
START_SECONDS = 60
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def main() -> int:
    """Take the pictures; 0 when done."""
    wanted = sys.argv[1:] or list(DOCUMENTED)
    TARGET.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"),
            args=CHROMIUM_FLAGS,
        )
        # A first start sends what it asks, so that is where messages are to be seen.
        for is_first_start in (False, True):
            pages = [name for name in wanted if (name in FIRST_START) == is_first_start]
            if pages:
                shoot_all(browser, pages, is_first_start)
        browser.close()
    return 0


def shoot_all(browser: Browser, pages: list[str], is_first_start: bool) -> None:
    """The pages of one server, in every size and theme."""
    email = NEWCOMER if is_first_start else LOGIN[0]
    with server(filled=not is_first_start) as base:
        for size in SIZES:
            wanted = [name for name in pages if size == "phone" or name not in ON_A_PHONE]
            for theme in THEMES if wanted else ():
                shoot(browser, base, size, theme, wanted, email)


@contextlib.contextmanager
def server(*, filled: bool) -> Iterator[str]:
    """`manage.py up` over the sample world, or as it starts by itself; yields its address.

    By itself it has people on every channel, unless somebody names the admin.
    """
    with tempfile.TemporaryDirectory(prefix="hitl-pictures-") as folder:
        port = free_port()
        variables = {
            **os.environ, "HITL_DATA": folder, "PORT": str(port),
            "PUBLIC_URL": f"http://localhost:{port}",
            "HITL_BOOTSTRAP_EMAIL": LOGIN[0] if filled else "", "HITL_BOOTSTRAP_PASSWORD": LOGIN[1],
        }  # fmt: skip
        if filled:
            world = [sys.executable, "scripts/world.py"]
            subprocess.run(world, cwd=ROOT, env=variables, check=True)
        with subprocess.Popen(
            [sys.executable, "manage.py", "up"], cwd=ROOT, env=variables, stdout=subprocess.DEVNULL
        ) as process:
            try:
                base = f"http://localhost:{port}"
                wait_for(f"{base}/login/", process)
                yield base
            finally:
                process.send_signal(signal.SIGINT)


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until the page answers; exits when the server does not come up."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url):  # noqa: S310 - our own server
            return
        time.sleep(0.2)
    sys.exit("screenshots: the server did not start.")


def shoot(
    browser: Browser, base: str, size: str, theme: str, wanted: list[str], email: str
) -> None:
    """Every wanted page in one browser of this size and theme."""
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=base,
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        device_scale_factor=SCALES[size],
        is_mobile=size == "phone",
        has_touch=size == "phone",
        reduced_motion="reduce",
    )
    page = context.new_page()
    for name in PAGES:
        if name in wanted or name == "login":
            PAGES[name](page)
            page.wait_for_timeout(400)
            if name in wanted:
                page.screenshot(path=TARGET / f"{name}-{size}-{theme}.png")
        if name == "login":
            log_in(page, email)
    context.close()


def log_in(page: Page, email: str) -> None:
    """As the approver whose inbox is shown."""
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(LOGIN[1])
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()


def login(page: Page) -> None:
    """The door."""
    page.goto("/login/")


def inbox(page: Page) -> None:
    """What waits."""
    page.goto("/")


def open_request(name: str, start: str = "/") -> Callable[[Page], None]:
    """The page of one request, by its title."""

    def go(page: Page) -> None:
        page.goto(start)
        page.get_by_role("link", name=name).first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(name)

    return go


def edit(page: Page) -> None:
    """The form, with the changes shown as they are typed."""
    open_request(REFUND)(page)
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Amount").fill("99.9")
    page.get_by_label("Note to the customer").first.fill(
        "We are sorry about the broken lamp. Part of the money is on its way and should be with "
        "you within five days."
    )
    expect(page.get_by_role("heading", name="2 changes")).to_be_visible()


def confirm(page: Page) -> None:
    """The changes once more, before they count."""
    edit(page)
    page.get_by_role("button", name="Review changes").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Approve with 2 changes")


def history(page: Page) -> None:
    """What became of everything."""
    page.goto("/history/")


def policies(page: Page) -> None:
    """A team's policies, in words."""
    page.goto("/teams/payments/policies/")


def policy(page: Page) -> None:
    """A policy while it is built, with what it says in words."""
    page.goto("/teams/payments/policies/new/?start=stages")
    page.get_by_label("Name", exact=True).fill("Large refunds")
    stages = [page.get_by_label(f"Stage {number}", exact=True) for number in (1, 2)]
    stages[1].get_by_label("Who", exact=True).first.select_option(label="Tomás Ferreira")
    for stage in stages:
        stage.get_by_label("Who", exact=True).last.select_option(label="Priya Raman")
    expect(page.locator(".words-summary")).to_contain_text("Two of Finance, then Tomás Ferreira")
    page.evaluate("document.activeElement.blur()")


def rules(page: Page) -> None:
    """What is decided without asking."""
    page.goto("/teams/payments/rules/")


def versions(page: Page) -> None:
    """What changed in a policy."""
    policies(page)
    page.get_by_role("link", name="Versions").first.click()


def groups(page: Page) -> None:
    """People whom policies ask together."""
    page.goto("/teams/payments/groups/")


def dry_run(page: Page) -> None:
    """A policy tried on the last requests."""
    policy(page)
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("heading", name="Dry run")).to_be_visible()


def sandbox(page: Page) -> None:
    """What the channels without an account would have sent."""
    page.goto("/sandbox/")


def mail(page: Page) -> None:
    """The mail itself, as its receiver sees it."""
    page.goto("/sandbox/?channel=email")
    addresses = [link.get_attribute("href") or "" for link in page.locator("main a").all()]
    page.goto(next(one for one in addresses if re.fullmatch(r"/sandbox/\d+/", one)) + "document/")


def screen(channel: str, person: str) -> Callable[[Page], None]:
    """What one person sees in a channel; a form that an earlier picture needed is closed."""

    def go(page: Page) -> None:
        page.goto(f"/sandbox/?channel={channel}")
        page.locator(".mail", has_text=person).first.click()
        expect(page.get_by_role("heading", name=f"as {person} sees it")).to_be_visible()
        if page.get_by_role("dialog").count():
            page.get_by_role("button", name="Cancel").click()
            expect(page.get_by_role("dialog")).to_have_count(0)

    return go


def message(page: Page, name: str) -> Locator:
    """What a screen says about one request, scrolled to."""
    found = page.locator("[data-list] > [id^='m-']", has_text=name).last
    found.evaluate("element => element.scrollIntoView({block: 'start'})")
    return found


def about(channel: str, name: str) -> Callable[[Page], None]:
    """A message in a channel."""

    def go(page: Page) -> None:
        screen(channel, "Robin Chen")(page)
        message(page, name)

    return go


def press(name: str, button: str) -> Callable[[Page], None]:
    """The form that a button of a Slack message opens."""

    def go(page: Page) -> None:
        about("slack", name)(page)
        message(page, name).get_by_role("button", name=button).click()
        expect(page.get_by_role("dialog")).to_be_visible()

    return go


def sms(page: Page) -> None:
    """An answer by text, and what comes back."""
    screen("sms", "Admin")(page)
    answer = page.locator("[data-list]").get_by_text(re.compile("^Approved by"))
    if not answer.count():
        asked = page.locator("[data-list] > [id^='m-']").get_by_text(re.compile("Reply YES")).last
        code = re.findall(r"Reply (YES [A-Z]{5})", asked.inner_text())[0]
        page.get_by_placeholder("Text message").fill(code)
        page.get_by_role("button", name="Send").click()
        page.wait_for_timeout(2500)
        page.reload()


def admin(page: Page) -> None:
    """Every record, for the operator."""
    page.goto("/admin/workflows/workflow/")


PAGES: dict[str, Callable[[Page], None]] = {
    "login": login,
    "inbox": inbox,
    "request": open_request(REFUND),
    "edit": edit,
    "confirm": confirm,
    "deceptive": open_request("Send the supplier"),
    "tree": open_request("Deploy checkout 2.14.0"),
    "completed": open_request("Refund order A-0987", "/history/"),
    "unknown": open_request("Move the orders table", "/history/"),
    "rejected": open_request("Deploy search 5.1.0", "/history/"),
    "history": history,
    "policies": policies,
    "policy": policy,
    "dry-run": dry_run,
    "rules": rules,
    "versions": versions,
    "groups": groups,
    "mail": mail,
    "sandbox": sandbox,
    "slack": about("slack", REFUND),
    "slack-edit": press(REFUND, "Edit, then approve"),
    "slack-reject": press(REFUND, "Reject"),
    "telegram": about("telegram", REFUND),
    "sms": sms,
    "admin": admin,
}


if __name__ == "__main__":
    sys.exit(main())
