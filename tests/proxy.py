"""A real HAProxy with the configuration that we ship, in front of servers on this machine."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.embedded import ROOT, clean_environment, free_port, until

CONFIGURATION = ROOT / "hitl" / "proxy" / "haproxy.cfg"


def program() -> str:
    """HAProxy as named by HAPROXY, or on PATH; empty where there is none."""
    return shutil.which(os.environ.get("HAPROXY") or "haproxy") or ""


@contextlib.contextmanager
def proxy(
    folder: Path, servers: Mapping[str, Sequence[int]], **variables: str
) -> Iterator[tuple[int, int]]:
    """Run one; its ports, of http and of https. `servers`: the ports behind each backend."""
    plain, tls = free_port(), free_port()
    files = [folder / "haproxy.cfg", folder / "servers.cfg"]
    text = CONFIGURATION.read_text().replace(":8080", f":{plain}").replace(":8443", f":{tls}")
    files[0].write_text(text)
    files[1].write_text("".join(_backend(name, ports) for name, ports in servers.items()))
    command = [program(), "-W", "-db", *(part for file in files for part in ("-f", str(file)))]
    kept = {"BIND": "127.0.0.1", "CHECK_HOST": "localhost"}
    kept |= {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    with (folder / "proxy.log").open("ab") as log:
        process = subprocess.Popen(
            command, env=clean_environment() | kept | variables, stdout=log, stderr=log
        )
    try:
        until(lambda: _listens(plain), 20, what=(folder / "proxy.log").read_text)
        yield plain, tls
    finally:
        process.terminate()
        process.wait(20)


def _backend(name: str, ports: Sequence[int]) -> str:
    lines = [f"    server {name}{number} 127.0.0.1:{port}\n" for number, port in enumerate(ports)]
    return f"backend {name}\n    balance leastconn\n{''.join(lines)}\n"


def _listens(port: int) -> bool:
    with socket.socket() as door:
        return door.connect_ex(("127.0.0.1", port)) == 0
