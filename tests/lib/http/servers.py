"""Real servers on loopback that behave as badly as a test wants, and certificates for them."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Script = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Server:
    """A listening socket and what reached it."""

    host: str
    port: int
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    server_names: list[str | None] = field(default_factory=list)

    @property
    def url(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{shown}:{self.port}/hook?x=1"


def read_request(sock: socket.socket) -> bytes:
    """The whole request, by its Content-Length."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        piece = sock.recv(65_536)
        if not piece:
            return raw
        raw += piece
    head, _, body = raw.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < int(lengths[0].split(b":")[1]):
        body += sock.recv(65_536)
    return head + b"\r\n\r\n" + body


@contextlib.contextmanager
def serve(
    answer: bytes | Script = OK,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Server]:
    """Answer every connection with these bytes, or let a script have the socket."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)
    server = Server(host, listener.getsockname()[1])
    if tls is not None:
        tls.sni_callback = lambda _sock, name, _context: server.server_names.append(name)

    def handle(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock.settimeout(10)
            with tls.wrap_socket(sock, server_side=True) if tls else sock as line:
                if callable(answer):
                    answer(line)
                else:
                    server.requests.append(read_request(line))
                    line.sendall(answer)
        sock.close()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                server.connections += 1
                handlers.append(threading.Thread(target=handle, args=(sock,), daemon=True))
                handlers[-1].start()

    handlers: list[threading.Thread] = []
    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (acceptor, *handlers):
            thread.join(5)


def certificate(
    folder: Path,
    *names: str,
    starts: timedelta = timedelta(days=-1),
    ends: timedelta = timedelta(days=1),
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A self-signed certificate: the server's context, and one for clients that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + built.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    authority = built.public_bytes(serialization.Encoding.PEM).decode()
    return server, ssl.create_default_context(cadata=authority)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
