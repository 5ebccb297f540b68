"""What the operator reads when an embedded server is ready: one box, and commands to paste."""

import os
import shlex
import sys
from pathlib import Path

from django.conf import settings
from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hitl.bootstrap import AGENT, Welcome
from hitl.lib import local_names
from hitl.lib.urls import absolute

ONCE = "(shown only this once)"
MANAGE = "manage.py"


def show(welcome: Welcome) -> None:
    """Print it to stdout: drawn on a terminal (without colour under NO_COLOR), else plain lines."""
    rows = facts(welcome)
    if sys.stdout.isatty():
        _draw(rows)
    else:
        width = max(len(name) for name, _ in rows)
        print("\n".join(["hitl is ready", *(f"  {name:<{width}}  {text}" for name, text in rows)]))
    print("\n" + commands(welcome) + "\n", flush=True)


def facts(welcome: Welcome) -> list[tuple[str, str]]:
    """Name and text of every line in the box."""
    rows = [("Open", absolute("/")), ("Log in as", welcome.login or "nobody yet, see below")]
    rows += [("Password", _password(welcome)), ("API key", _key(welcome))]
    if settings.HOST in local_names.EVERYWHERE:
        rows.append(("Listens", ", ".join(f"{name}:{settings.PORT}" for name in _beyond())))
    if settings.SANDBOX:
        rows.append(("Messages", f"are caught, not sent: {absolute('/sandbox/')}"))
    return [*rows, ("Data", str(settings.DATA_DIR)), ("Stop", "Ctrl-C")]


def _beyond() -> list[str]:
    return [name for name in local_names.names(settings.HOST) if name not in local_names.LOOPBACK]


def _password(welcome: Welcome) -> str:
    if welcome.password:
        return f"{welcome.password}  {ONCE}"
    return "from HITL_BOOTSTRAP_PASSWORD" if welcome.is_first else "as you know it"


def _key(welcome: Welcome) -> str:
    if welcome.key:
        return f"{welcome.key}  {ONCE}"
    return f"{welcome.key_prefix}…" if welcome.key_prefix else "none usable, see below"


def _manage(*words: str) -> str:
    """The command line that reaches this very server, from the folder we were started in."""
    data = settings.DATA_DIR
    folder = () if data == settings.BASE_DIR / "var" else ("--data", str(data))
    return shlex.join([_short(sys.executable), MANAGE, *words, *folder])


def _short(path: str) -> str:
    here = Path.cwd()
    return os.path.relpath(path, here) if Path(path).is_relative_to(here) else path


def commands(welcome: Welcome) -> str:
    """Lines to paste into a shell: the key, a request by curl, the example agent."""
    body = (
        '{"actionType": "payments.refund", "name": "Refund order A-1042", '
        '"actionData": {"orderId": "A-1042", "amount": 40, "currency": "EUR"}}'
    )
    lines = [
        "Ask for an approval, then look at the inbox:",
        "",
        f"  export HITL_URL={settings.PUBLIC_URL} HITL_API_KEY={welcome.key or '<your key>'}",
        '  curl "$HITL_URL/api/v1/workflows" -H "Authorization: Bearer $HITL_API_KEY" \\',
        f"    -H 'Content-Type: application/json' -d '{body}'",
        "",
        "Or watch an agent ask, wait, act and report:",
        "",
        "  python3 examples/refund_agent.py",
    ]
    return "\n".join([*lines, *_reminders(welcome)])


def _reminders(welcome: Welcome) -> list[str]:
    """How to get what is not shown again."""
    reset = ("changepassword", welcome.login) if welcome.login else ("createsuperuser",)
    lines = [] if welcome.password else [f"  {_manage(*reset)}"]
    lines += [] if welcome.key else [f"  {_manage('create_key', AGENT)}"]
    return ["", "A new password or key:", "", *lines] if lines else []


def _draw(rows: list[tuple[str, str]]) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in rows:
        grid.add_row(name, Text(text, style="bold" if name in ("Open", "Log in as") else ""))
    title = Text(" hitl is ready ", style="bold white on blue")
    panel = Panel(grid, title=title, title_align="left", box=box.ROUNDED, border_style="blue")
    Console(highlight=False).print("", panel)
