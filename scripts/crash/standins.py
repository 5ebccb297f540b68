"""The world outside, in a process of its own: a foreign system, a webhook receiver, a mail server.

    python scripts/crash/standins.py FOLDER

Each writes what it took to its ledger, a line of JSON each, before it answers. Uses nothing of the
project's. Prints the two ports once it listens; ends with its standard input.
"""

import hashlib
import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

LEDGERS = ("act", "hook", "mail")


def main() -> None:
    """Serve until whoever started us goes away."""
    ledger = Ledger(Path(sys.argv[1]))
    web = ThreadingHTTPServer(("127.0.0.1", 0), _handler(ledger))
    threading.Thread(target=web.serve_forever, args=(0.05,), daemon=True).start()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    Controller(_Mail(ledger), hostname="127.0.0.1", port=port).start()
    print(web.server_port, port, flush=True)
    sys.stdin.read()


class Ledger:
    """Three files that only grow."""

    def __init__(self, folder: Path) -> None:
        self._files = {name: (folder / name).open("a") for name in LEDGERS}
        self._lock = threading.Lock()

    def write(self, name: str, **line: Any) -> None:
        """One line, written out before anything else happens."""
        with self._lock:
            print(json.dumps(line), file=self._files[name], flush=True)


class _Mail:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        raw = envelope.content.decode("utf-8", "replace")
        lines = raw.split("\r\n\r\n")[0].replace("\r\n ", " ").splitlines()
        found = [line for line in lines if line.lower().startswith("message-id:")]
        key = found[0].partition("<")[2].partition("@")[0] if found else ""
        self._ledger.write("mail", key=key, to=envelope.rcpt_tos)
        return "250 OK"


def _handler(ledger: Ledger) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            digest = hashlib.sha256(body).hexdigest()
            if self.path == "/hook":
                ledger.write("hook", id=self.headers["webhook-id"], digest=digest)
            else:
                workflow, key = self.headers["X-Hitl-Workflow"], self.headers["Idempotency-Key"]
                ledger.write("act", workflow=workflow, key=key, digest=digest)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    return Handler


if __name__ == "__main__":
    main()
