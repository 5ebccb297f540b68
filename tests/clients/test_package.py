"""The package by itself: nothing of the server, nothing to install, every supported Python."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from hitl_client import AsyncClient, Client

from tests.clients.conftest import KEY, ROOT, SOURCE
from tests.clients.imitation import Imitation

FOREIGN = ("django", "rest_framework", "hitl", "workflows", "events", "deliveries", "dashboard")
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import hitl_client
assert all(hasattr(hitl_client, name) for name in hitl_client.__all__)
client = hitl_client.Client("http://127.0.0.1:1", "key", retries=0)
try:
    client.get("x")
except hitl_client.Unreachable:
    pass
else:
    raise SystemExit("it should not have answered")
print(*sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)))
"""


def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A Python that sees neither this project nor what is installed."""
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", program, str(SOURCE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_it_needs_nothing_but_python() -> None:
    done = run(PROGRAM)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= {"__main__", "hitl_client"}


def test_the_asynchronous_client_says_what_it_needs() -> None:
    done = run(
        "import sys, asyncio; sys.path.insert(0, sys.argv[1])\n"
        "from hitl_client import AsyncClient\n"
        "asyncio.run(AsyncClient('http://x', 'key').get('x'))"
    )
    assert "pip install 'hitl-client[async]'" in done.stderr


def test_ed25519_says_what_it_needs() -> None:
    key = "whpk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    done = run(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        f"from hitl_client import webhooks; webhooks.verify(b'', {{}}, '{key}')"
    )
    assert "pip install 'hitl-client[ed25519]'" in done.stderr


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda file: file.name)
def test_no_file_knows_the_server(file: Path) -> None:
    lines = [line.split() for line in file.read_text().splitlines()]
    imported = {line[1].partition(".")[0] for line in lines if line[:1] in (["import"], ["from"])}
    assert not imported & set(FOREIGN)


def test_it_says_that_it_is_typed() -> None:
    assert (SOURCE / "hitl_client" / "py.typed").exists()
    assert (ROOT / "clients" / "python" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


# --- Surroundings ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_proxy_of_the_environment_is_used(
    server: Imitation, monkeypatch: pytest.MonkeyPatch, kind: type[Client] | type[AsyncClient]
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    made = kind("http://hitl.example.com", KEY)
    if isinstance(made, Client):
        made.ask("a.b", {})
    else:
        asyncio.run(_ask_and_close(made))
    [call] = server.ledger
    assert (call.path, call.headers["host"]) == ("/api/v1/workflows", "hitl.example.com")


async def _ask_and_close(client: AsyncClient) -> None:
    async with client:
        await client.ask("a.b", {})


@pytest.mark.parametrize("version", ["3.10", "3.12", "3.13"])
def test_other_pythons_can_use_it(server: Imitation, version: str) -> None:
    python = _interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    server.approve({"n": 2})
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from hitl_client import Client, requires_approval\n"
        "@requires_approval(Client(sys.argv[2], 'key'), action_type='a.b')\n"
        "def act(n): return n\n"
        "print(act(1))"
    )
    command = [str(python), "-I", "-W", "error", "-c", program, str(SOURCE), server.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ("2\n", "")


def _interpreter(version: str) -> Path | None:
    """One that runs, of those that a version manager keeps beside ours, or on the path."""
    beside = Path(sys.base_prefix).parent.glob(f"{version}*/bin/python")
    for each in (*beside, Path(f"/usr/bin/python{version}")):
        if each.exists():
            return each
    return None
