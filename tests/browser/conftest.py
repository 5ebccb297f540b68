"""Chromium against `manage.py up` on data of its own; no database here, only pages and HTTP."""

import contextlib
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    StorageState,
    expect,
    sync_playwright,
)

from hitl.accounts import keys

ROOT = Path(__file__).resolve().parent.parent.parent
PASSWORD = "correct horse battery staple"
ADMIN, COLLEAGUE, VIEWER = "ann@example.com", "carl@example.com", "vic@example.com"
START_SECONDS = 90
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
REFUND = {
    "orderId": "A-1009", "customer": "Ada Marsh", "amount": 120, "currency": "EUR",
    "note": "We are sorry about the broken lamp.",
}  # fmt: skip

expect.set_options(timeout=10_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.browser)


@dataclass(frozen=True)
class Server:
    """A running server and the key of its agent."""

    base: str
    api_key: str
    asked: Iterator[int] = field(default_factory=itertools.count)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """What the agent is answered; raises HTTPError for errors."""
        request = Request(f"{self.base}/api/v1{path}", method=method)
        request.add_header("Authorization", f"Bearer {self.api_key}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        with urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or "null")

    def ask(self, name: str, **changes: Any) -> str:
        """A new request of the agent, on top of the list unless told otherwise; returns its id."""
        body = {
            "name": name,
            "actionType": "payments.refund",
            "actionData": REFUND,
            "timeoutSeconds": 80_000 - 20 * next(self.asked),
        } | changes
        return str(self.call("POST", "/workflows", body)["workflowId"])

    def workflow(self, workflow_id: str) -> dict[str, Any]:
        """What the agent sees of a request."""
        return dict(self.call("GET", f"/workflows/{workflow_id}"))

    def path(self, workflow_id: str) -> str:
        """The page of a request."""
        return f"/workflows/{workflow_id}/"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="hitl-browser-") as folder, _free_port() as port:
        key = keys.generate()
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        variables = kept | {
            "HITL_DATA": folder,
            "PORT": str(port),
            "HITL_BOOTSTRAP_EMAIL": ADMIN,
            "HITL_BOOTSTRAP_PASSWORD": PASSWORD,
            "HITL_BOOTSTRAP_API_KEY": key,
        }
        log = Path(folder, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=ROOT, env=variables, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            _wait_for(f"http://localhost:{port}/ping", process, log)
            people = ["Carl Colleague:approver", "Vic Viewer:viewer"]
            subprocess.run(
                [sys.executable, "tests/browser/people.py", *people],
                cwd=ROOT, env=variables, check=True,
            )  # fmt: skip
            yield Server(f"http://localhost:{port}", key)
        finally:
            process.terminate()
            process.wait(30)
        assert "Traceback" not in log.read_text(), log.read_text()[-5000:]


@contextlib.contextmanager
def _free_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    yield port


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        with contextlib.suppress(URLError, ConnectionError, TimeoutError), urlopen(url, timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not program:
        pytest.skip("Chromium is not installed: set CHROMIUM or put it on PATH.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def states() -> dict[str, StorageState]:
    """Cookies of people who are logged in, so that each logs in once."""
    return {}


Opener = Callable[..., Page]


@pytest.fixture
def visit(chromium: Browser, server: Server, states: dict[str, StorageState]) -> Iterator[Opener]:
    """Opens a page in a browser of its own: `visit("/", who=ADMIN, **context options)`.

    Afterwards no page may have broken the content policy or thrown an error.
    """
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def note(message: ConsoleMessage) -> None:
        # Answers like 409 are logged as failed loads, and are what some tests are about.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    def open_page(path: str, *, who: str = ADMIN, **options: Any) -> Page:
        if who and who not in states:
            states[who] = _log_in(chromium, server, who)
        state = {"storage_state": states[who]} if who else {}
        sizes = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}
        context = chromium.new_context(base_url=server.base, **(sizes | state | options))
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def _log_in(chromium: Browser, server: Server, email: str) -> StorageState:
    context = chromium.new_context(base_url=server.base)
    page = context.new_page()
    page.goto("/login/")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
    state = context.storage_state()
    context.close()
    return state


def live(page: Page) -> None:
    """Wait until the page hears of changes."""
    expect(page.locator("#live-state")).to_have_attribute("data-state", "live")
