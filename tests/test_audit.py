"""The audit of locked packages: loud where something is known, skipped where nobody can tell."""

import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from scripts import audit

Capture = pytest.CaptureFixture[str]


class Database(BaseHTTPRequestHandler):
    """Answers like the database, or like a proxy that will not let us through."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def database() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Database) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def auditor(tmp_path: Path, code: int) -> list[str]:
    """A command that notes what it was asked, and answers with this code."""
    script = tmp_path / "auditor.py"
    script.write_text(
        "import sys, pathlib\n"
        "pathlib.Path(__file__).with_suffix('.log').write_text(' '.join(sys.argv))\n"
        f"sys.exit({code})"
    )
    return [sys.executable, str(script)]


def test_without_a_database_it_is_skipped_and_says_so(tmp_path: Path, capsys: Capture) -> None:
    assert audit.main("http://127.0.0.1:1/", auditor(tmp_path, 1)) == 0
    assert "Skipped: http://127.0.0.1:1/ cannot be reached" in capsys.readouterr().out
    assert not (tmp_path / "auditor.log").exists()


def test_a_refusal_is_no_database(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Database, "status", 403)
    assert audit.main(database, auditor(tmp_path, 1)) == 0


@pytest.mark.parametrize("code", [0, 1])
def test_the_auditors_word_counts(database: str, tmp_path: Path, code: int) -> None:
    assert audit.main(database, auditor(tmp_path, code)) == code
    asked = (tmp_path / "auditor.log").read_text()
    for lock in ("requirements.txt", "requirements-dev.txt"):
        assert str(audit.ROOT / lock) in asked
    assert "--require-hashes" in asked


def test_the_auditor_itself_is_pinned() -> None:
    lock = (audit.ROOT / "requirements-audit.txt").read_text()
    assert "pip-audit==" in lock
    assert lock.count("--hash=sha256:") > lock.count("==")
