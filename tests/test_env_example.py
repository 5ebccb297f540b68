"""`.env.example` names every variable that is read, and no other, with its default."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINE = re.compile(r"# ([A-Z][A-Z0-9_]+)=(.*)")


def _read() -> dict[str, ast.expr | None]:
    """Each variable that `hitl/settings.py` asks the environment for, and its default."""
    found: dict[str, ast.expr | None] = {}
    for call in ast.walk(ast.parse((ROOT / "hitl" / "settings.py").read_text())):
        if isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[0] == "env":
            name = call.args[0] if call.args else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                default = next(
                    (word.value for word in call.keywords if word.arg == "default"), None
                )
                found[name.value] = found.get(name.value) or default
    return found


def _shown() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return {match[1]: match[2] for line in lines if (match := LINE.fullmatch(line))}


def _value(node: ast.expr | None) -> Any:
    """A default that is written out, products included; None for one that is worked out."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        left, right = _value(node.left), _value(node.right)
        return None if left is None or right is None else left * right
    return None


READ, SHOWN = _read(), _shown()
COMPOSED = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text()))
WRITTEN_OUT = sorted(name for name in READ if _value(READ[name]) not in (None, ""))


def test_every_variable_is_explained() -> None:
    assert sorted(set(READ) - set(SHOWN)) == []


def test_no_variable_is_explained_that_nobody_reads() -> None:
    assert sorted(set(SHOWN) - set(READ) - COMPOSED) == []


def test_what_docker_compose_asks_for_is_explained() -> None:
    assert sorted(COMPOSED - set(SHOWN)) == []


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_the_default_is_the_one_shown(name: str) -> None:
    value = _value(READ[name])
    words = {True: "on", False: "off"}
    assert SHOWN[name] == (words[value] if isinstance(value, bool) else str(value))


def test_nothing_is_set_by_copying_it() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []
