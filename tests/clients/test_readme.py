"""The README's five minutes, played against a real server: what it shows is what comes."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import hitl_client
import pytest

from tests.clients.conftest import ROOT, SOURCE
from tests.embedded import Embedded, clean_environment, until

README = (ROOT / "clients" / "python" / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
CONSOLE = "".join(re.findall(r"```console\n(.*?)```", README, re.DOTALL))
SHOWN = [each for each in re.split(r"^\$ .*\n", CONSOLE, flags=re.MULTILINE) if each]


ANSWERS: list[tuple[str, dict[str, Any]]] = [
    ("modified", {"responseData": {"order": "A-1042", "amount": 35}}),
    ("rejected", {"feedback": "Refunded last week already"}),
]


@pytest.mark.slow
@pytest.mark.skipif("TEST_DATABASE_URL" in os.environ, reason="it runs an embedded server")
@pytest.mark.parametrize(
    ("answer", "output"), list(zip(ANSWERS, SHOWN, strict=True)), ids=("yes", "no")
)
def test_five_minutes_say_what_is_shown(
    live: Embedded, tmp_path: Path, answer: tuple[str, dict[str, Any]], output: str
) -> None:
    (tmp_path / "refund.py").write_text(PROGRAMS[0])
    where = {"HITL_URL": live.url, "HITL_API_KEY": live.api_key, "PYTHONPATH": str(SOURCE)}
    agent = subprocess.Popen(
        [sys.executable, "refund.py"],
        cwd=tmp_path,
        env=clean_environment() | where,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    asked: list[dict[str, Any]] = []

    def look() -> bool:
        path = "/api/v1/workflows?status=PENDING&actionType=order.refund"
        asked[:] = live.call("GET", path).json["items"]
        return bool(asked)

    until(look, 20)
    decision, more = answer
    assert live.decide(asked[0], decision, **more).status == 200
    said, _ = agent.communicate(timeout=30)
    assert said == output.replace("Admin", "Ann")


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_programs_name_only_what_there_is(program: str) -> None:
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    for node in ast.walk(compile(program, "README.md", "exec", flags)):
        if isinstance(node, ast.ImportFrom):
            assert all(hasattr(hitl_client, name.name) for name in node.names)
        match node:
            case ast.Attribute(value=ast.Name(id="client")):
                assert hasattr(hitl_client.Client, node.attr)


def test_every_call_that_the_table_names_exists() -> None:
    table = README[README.index("| call |") : README.index("`AsyncClient` has")]
    first = [line.split("|")[1] for line in table.splitlines()[2:] if line]
    names = {name for cell in first for name in re.findall(r"`(\w+)", cell)}
    assert len(names) > 12
    for name in names:
        assert hasattr(hitl_client.Client, name), name
        assert hasattr(hitl_client.AsyncClient, name), name


def test_both_clients_have_the_same_calls() -> None:
    def calls(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert calls(hitl_client.AsyncClient) - calls(hitl_client.Client) == {"aclose"}
    assert calls(hitl_client.Client) <= calls(hitl_client.AsyncClient)
