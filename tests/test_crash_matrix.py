"""The crash matrix: a small version of it, and mistakes that its checker must notice."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.embedded import ROOT

# It starts a PostgreSQL and a Redis of its own, because it stops them.
pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(600)]
OURS = {"hitl", "dashboard", "workflows", "deliveries", "events", "tests", "django"}


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The matrix as `make crash` runs it; nothing of the tests' settings is passed on."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_nothing_is_lost_or_doubled_wherever_it_is_interrupted() -> None:
    done = run(
        "scripts.crash", "--stride", "40", "--only", "create", "--only", "approve",
        "--only", "at most once", "--only", "expire",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "interrupted operations, all held" in done.stdout


@pytest.mark.parametrize(
    ("mistake", "without", "says"),
    [
        ("execute without a claim", ("postgres", "redis"), "executed twice"),
        ("decide whatever happens", ("role", "redis"), "lost: the client was told REJECTED"),
        ("row and event apart", ("postgres", "redis"), "the row is not what its last event says"),
    ],
)
def test_mistake_is_noticed(mistake: str, without: tuple[str, ...], says: str) -> None:
    left_out = [word for each in without for word in ("--without", each)]
    done = run("tests.crash_mistakes", "--only", mistake, "--stride", "4", *left_out)
    assert done.returncode == 1, done.stdout + done.stderr
    assert says in done.stdout
    assert "did not hold" in done.stdout


@pytest.mark.parametrize("name", ["checker", "standins"])
def test_judge_knows_nothing_of_the_project(name: str) -> None:
    source = Path(ROOT, "scripts", "crash", f"{name}.py").read_text()
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {each.name.split(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])
    assert imported
    assert not imported & (OURS | {"scripts"})


def test_engine_of_the_matrix_is_loaded_by_nothing_else() -> None:
    """Its statements can kill: no settings but the matrix' own may name it."""
    listed = subprocess.run(
        ["git", "grep", "-l", "scripts.crash.engine"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.split()  # fmt: skip
    assert [each for each in listed if not each.startswith("tests/")] == [
        "scripts/crash/settings.py"
    ]
