"""Second factors in Chromium: a virtual authenticator (CDP, WebAuthn domain) and real codes."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import CDPSession, Page, StorageState, expect

from tests import authenticator
from tests.browser.conftest import PASSWORD, Opener, Server
from tests.browser.test_look import LEVELS, PHONE
from tests.embedded import running

ADMIN = "admin@example.com"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own: factors set up here would be asked for in the other tests."""
    with running(tmp_path_factory.mktemp("factors"), HITL_BOOTSTRAP_EMAIL="") as embedded:
        yield Server(f"http://localhost:{embedded.port}", embedded.api_key)


@pytest.fixture(scope="module")
def states() -> dict[str, StorageState]:
    """Another server, other cookies."""
    return {}


@pytest.fixture
def anew(visit: Opener) -> Iterator[Callable[..., Page]]:
    """A browser in which the admin has just logged in; without any factor in the end."""
    opened: list[Page] = []

    def open_page(**options: Any) -> Page:
        page = visit("/login/", who="", **options)
        opened.append(page)
        log_in(page)
        return page

    yield open_page
    for page in opened[:1]:
        take_all_away(page)


def log_in(page: Page) -> None:
    page.goto("/login/")
    page.get_by_label("E-mail address").fill(ADMIN)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def give_password(page: Page) -> None:
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()


def take_all_away(page: Page) -> None:
    """Through the pages, with the proof that this session has."""
    page.goto("/me/security/")
    while page.get_by_role("link", name=re.compile("^Remove")).count():
        page.get_by_role("link", name=re.compile("^Remove")).first.click()
        page.get_by_role("button", name="Remove").click()
        expect(page.get_by_role("heading", name="Security")).to_be_visible()


def add_authenticator(page: Page) -> tuple[CDPSession, str]:
    """A device that holds passkeys and confirms at once, as a finger would."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
        "hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session, made["authenticatorId"]


def add_passkey(page: Page, name: str) -> None:
    page.goto("/me/security/passkey/")
    if page.get_by_label("Password").count():
        give_password(page)
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Add passkey").click()


def set_up_app(page: Page) -> str:
    page.goto("/me/security/app/")
    if page.get_by_label("Password").count():
        give_password(page)
    secret = page.locator("#secret").inner_text()
    page.get_by_label("Type the code").fill(authenticator.code(secret))
    page.get_by_role("button", name="Set up").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    return secret


def next_code(secret: str) -> str:
    """A code that was not used yet: the one that is due next, which is taken a little early."""
    return authenticator.code(secret, time.time() + 30)


def test_a_passkey_is_added_and_opens_the_door(anew: Callable[..., Page]) -> None:
    page = anew()
    add_authenticator(page)
    add_passkey(page, "Work laptop")
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.get_by_role("link", name="I have them").click()
    expect(page.get_by_text("Work laptop").first).to_be_visible()

    page.context.clear_cookies()
    log_in(page)
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.goto("/login/second-factor/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()


def test_a_passkey_steps_up(anew: Callable[..., Page], visit: Opener) -> None:
    page = anew()
    session, device = add_authenticator(page)
    add_passkey(page, "Key")
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    credentials = session.send("WebAuthn.getCredentials", {"authenticatorId": device})
    assert [one["rpId"] for one in credentials["credentials"]] == ["localhost"]

    page.goto("/stepup/?next=/history/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="History")).to_be_visible()


def test_the_wrong_device_is_told_and_opens_nothing(anew: Callable[..., Page]) -> None:
    page = anew()
    session, device = add_authenticator(page)
    add_passkey(page, "Lost key")
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    session.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": device})
    add_authenticator(page)

    page.goto("/stepup/?next=/history/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("That was cancelled, or took too long")).to_be_visible(timeout=90_000)
    expect(page.get_by_role("button", name="Use a passkey")).to_be_enabled()
    expect(page).to_have_url(re.compile("/stepup/"))


def test_an_app_is_set_up_and_its_codes_count_once(anew: Callable[..., Page]) -> None:
    page = anew()
    secret = set_up_app(page)
    page.goto("/stepup/?next=/history/")
    page.get_by_label("Code of your authenticator app").fill(authenticator.code(secret))
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("was used before")).to_be_visible()
    page.get_by_label("Code of your authenticator app").fill(next_code(secret))
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="History")).to_be_visible()


def test_a_recovery_code_opens_without_a_script(anew: Callable[..., Page]) -> None:
    page = anew(java_script_enabled=False)
    set_up_app(page)
    code = page.locator("#codes code").first.inner_text()
    page.context.clear_cookies()
    log_in(page)
    page.get_by_label("Code of your authenticator app").fill(code)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
    page.goto("/me/security/")
    expect(page.get_by_text("9 left.")).to_be_visible()


def test_the_demanded_step_leads_through_set_up_and_back(anew: Callable[..., Page]) -> None:
    page = anew()
    page.goto("/stepup/?next=/history/")
    give_password(page)
    expect(page.get_by_text("asks for a second factor")).to_be_visible()
    page.get_by_role("link", name="Set up").click()
    secret = page.locator("#secret").inner_text()
    page.get_by_label("Type the code").fill(authenticator.code(secret))
    page.get_by_role("button", name="Set up").click()
    page.get_by_role("button", name="I have them: go on").click()
    expect(page.get_by_role("heading", name="History")).to_be_visible()


def every_page(page: Page) -> Iterator[str]:
    """All pages about second factors, one after the other, with one of each kind set up."""
    add_authenticator(page)
    page.goto("/me/security/")
    yield "nothing set up"
    page.goto("/stepup/?next=/history/")
    yield "the password"
    give_password(page)
    yield "demanded"
    page.goto("/me/security/app/")
    yield "the app"
    set_up_app(page)
    yield "the recovery codes"
    page.goto("/me/security/passkey/")
    yield "a passkey"
    add_passkey(page, "A key with a name that is as long as names of keys may be here")
    expect(page.get_by_role("heading", name="Security")).to_be_visible()
    yield "all set up"
    page.get_by_role("link", name=re.compile("^Remove")).first.click()
    yield "removing"
    page.goto("/stepup/?next=/history/")
    page.get_by_label("Code").fill("000000")
    page.get_by_role("button", name="Continue").click()
    yield "a wrong code"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(anew: Callable[..., Page], theme: str) -> None:
    page = anew(color_scheme=theme, bypass_csp=True)
    found = {}
    for name in every_page(page):
        page.wait_for_timeout(150)
        for one in Axe().run(page, options=LEVELS).response["violations"]:
            found[name, one["id"]] = [node["target"] for node in one["nodes"]][:5]
    assert found == {}


def test_a_phone_shows_it_all(anew: Callable[..., Page]) -> None:
    page = anew(**PHONE)
    small = {}
    for name in every_page(page):
        assert page.evaluate("() => document.documentElement.scrollWidth") == 390, name
        small[name] = page.evaluate(
            """() => [...document.querySelectorAll(
                 "main :is(a[href], button, select, input:not([type=hidden]))")]
               .filter((element) => element.checkVisibility() && !element.closest("p, dd, td"))
               .filter((element) => element.getBoundingClientRect().height < 43.5)
               .map((element) => element.outerHTML.slice(0, 120))"""
        )
    assert {name: found for name, found in small.items() if found} == {}
