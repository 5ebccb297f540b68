"""The example executor and offline verification, against a real server, as strangers run them."""

import hashlib
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import jwt
import pytest

from tests.embedded import ROOT, Answer, Embedded, clean_environment, running, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("TEST_DATABASE_URL" in os.environ, reason="it runs an embedded server"),
]
EXECUTOR = [sys.executable, "-I", str(ROOT / "examples" / "refund_executor.py")]
NAME = "refund-executor"
DATA = {"orderId": "A-1009", "amount": 120, "currency": "EUR", "note": "Sorry, Zoë!"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with running(tmp_path_factory.mktemp("receipts")) as embedded:
        yield embedded


class Executor:
    """The example in a process of its own, with a key of its own."""

    def __init__(self, folder: Path, *, url: str, key: str, issuer: str) -> None:
        where = {"HITL_URL": url, "HITL_API_KEY": key, "HITL_ISSUER": issuer}
        self.log = folder / "executor.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*EXECUTOR, "--port", "0"],
                env=clean_environment() | where,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until(lambda: "http://" in self.output, 20)
        self.url = re.findall(r"http://\S+", self.output)[0]

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def refunds(self) -> int:
        """How often money has moved."""
        return self.output.count("Refunded 120 EUR, approved by Ann")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def post(self, body: bytes, receipt: str) -> tuple[int, str]:
        request = urllib.request.Request(f"{self.url}/refunds", body, {"Receipt": receipt})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture(scope="module")
def executor(server: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    key = server.manage("create_key", "billing", "--new", "--scope", "execute").stdout.strip()
    folder = tmp_path_factory.mktemp("executor")
    example = Executor(folder, url=server.url, key=key, issuer=issuer(server))
    yield example
    example.stop()


@pytest.fixture(scope="module")
def ann(server: Embedded) -> str:
    """A token of the person."""
    return server.token()


class Mute(BaseHTTPRequestHandler):
    """Publishes the keys of another server, and breaks down when it is asked for more."""

    keys = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.keys)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] == "Bearer breaks":
            self.send_response(502)
            self.end_headers()
            self.wfile.write(b"<h1>Bad gateway</h1>")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def issuer(server: Embedded) -> str:
    return f"http://localhost:{server.port}"


def approved(server: Embedded, ann: str, action: str = "payments.refund") -> dict[str, Any]:
    workflow = server.create(actionType=action, actionData=DATA)
    path = f"/api/v1/workflows/{workflow['workflowId']}/decide"
    body = {"decision": "approved", "fingerprint": workflow["fingerprint"]}
    assert server.call("POST", path, body, token=ann).status == 200
    return workflow


def fetch(server: Embedded, workflow: dict[str, Any], **wishes: Any) -> Answer:
    path = f"/api/v1/workflows/{workflow['workflowId']}/receipt"
    return server.call("POST", path, {"audience": NAME, **wishes})


def approved_bytes(server: Embedded, workflow: dict[str, Any]) -> bytes:
    url = f"{server.url}/api/v1/workflows/{workflow['workflowId']}/action-data"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {server.api_key}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        raw: bytes = answer.read()
        return raw


def refusal(error: type[Exception], receipt: str, key: jwt.PyJWK, **expected: str) -> None:
    with pytest.raises(error):
        jwt.decode(receipt, key, algorithms=["EdDSA"], **expected)  # type: ignore[arg-type]


def test_published_keys_are_enough_to_verify(server: Embedded, ann: str) -> None:
    receipt = fetch(server, approved(server, ann)).json["receipt"]
    key = jwt.PyJWKClient(f"{server.url}/.well-known/jwks.json").get_signing_key_from_jwt(receipt)
    claims = jwt.decode(receipt, key, algorithms=["EdDSA"], audience=NAME, issuer=issuer(server))
    assert claims["approvers"][0]["name"] == "Ann"
    refusal(jwt.InvalidAudienceError, receipt, key, audience="somebody-else")
    refusal(jwt.InvalidIssuerError, receipt, key, audience=NAME, issuer="https://elsewhere")
    refusal(jwt.InvalidSignatureError, receipt[:-4] + "AAAA", key, audience=NAME)


def test_executor_acts_once_on_a_good_receipt(
    server: Embedded, ann: str, executor: Executor
) -> None:
    before = executor.refunds
    workflow = approved(server, ann)
    receipt, body = fetch(server, workflow).json["receipt"], approved_bytes(server, workflow)
    status, said = executor.post(body, receipt)
    assert status == 200, said
    assert "Ann" in said
    again, why = executor.post(body, receipt)
    assert (again, "has been used" in why or "was used by" in why) == (403, True), why
    assert executor.refunds == before + 1
    assert server.events(workflow)[-2:] == ["receipt.issued", "receipt.consumed"]


def test_executor_refuses_everything_else(server: Embedded, ann: str, executor: Executor) -> None:
    before = executor.refunds
    workflow, other = approved(server, ann), approved(server, ann, "payments.payout")
    body = approved_bytes(server, workflow)
    good = fetch(server, workflow).json["receipt"]
    cases = [
        (body, "", "not good"),
        (body, "x.y.z", "not good"),
        (body, good[:-4] + "AAAA", "not good"),
        (body.replace(b"120", b"999"), good, "Other data"),
        (body, fetch(server, other).json["receipt"], "payments.payout"),
        (body, fetch(server, approved(server, ann), audience="mail").json["receipt"], "not good"),
    ]
    for sent, receipt, words in cases:
        status, why = executor.post(sent, receipt)
        assert (status, words in why) == (403, True), (words, why)
    assert executor.refunds == before
    assert executor.post(body, good)[0] == 200


def test_executor_refuses_what_was_settled_meanwhile(
    server: Embedded, ann: str, executor: Executor
) -> None:
    workflow = approved(server, ann)
    receipt, body = fetch(server, workflow).json["receipt"], approved_bytes(server, workflow)
    path = f"/api/v1/workflows/{workflow['workflowId']}/execution"
    server.call("POST", f"{path}/start", {})
    assert server.call("POST", f"{path}/complete", {"attempt": 1}).status == 200
    status, why = executor.post(body, receipt)
    assert (status, "not in force" in why) == (403, True), why


def test_many_posts_at_once_move_money_once(server: Embedded, ann: str, executor: Executor) -> None:
    before = executor.refunds
    workflow = approved(server, ann)
    receipt, body = fetch(server, workflow).json["receipt"], approved_bytes(server, workflow)
    answers: list[int] = []
    posts = [
        threading.Thread(target=lambda: answers.append(executor.post(body, receipt)[0]))
        for _ in range(8)
    ]
    for post in posts:
        post.start()
    for post in posts:
        post.join(30)
    assert sorted(answers) == [200] + [403] * 7
    assert executor.refunds == before + 1


@pytest.mark.parametrize("key", ["hangs-up", "breaks"])
def test_executor_that_gets_no_clear_answer_does_nothing(
    server: Embedded, ann: str, tmp_path: Path, key: str
) -> None:
    with urllib.request.urlopen(f"{server.url}/.well-known/jwks.json", timeout=30) as answer:
        handler = type("ThisMute", (Mute,), {"keys": answer.read()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as mute:
        threading.Thread(target=mute.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{mute.server_port}"
        example = Executor(tmp_path, url=url, key=key, issuer=issuer(server))
        workflow = approved(server, ann)
        receipt, body = fetch(server, workflow).json["receipt"], approved_bytes(server, workflow)
        status, why = example.post(body, receipt)
        example.stop()
        mute.shutdown()
    assert (status, "still good" in why) == (403, True), why
    assert example.refunds == 0


def test_the_lines_of_the_documentation_work(server: Embedded, ann: str) -> None:
    text = (ROOT / "docs" / "receipts.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    workflow = approved(server, ann)
    receipt = fetch(server, workflow, audience="billing.example.com").json["receipt"]
    body = approved_bytes(server, workflow)
    assert hashlib.sha256(body).hexdigest() in workflow["fingerprint"]
    found: dict[str, Any] = {}
    exec(code.replace("https://approvals.example.com", issuer(server)), found)  # noqa: S102
    assert found["approved"](receipt, body)["sub"] == workflow["workflowId"]
    with pytest.raises(ValueError, match="other data"):
        found["approved"](receipt, body + b" ")
