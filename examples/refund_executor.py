#!/usr/bin/env python3
"""A service that refunds nothing without a receipt of an approval.

    export HITL_URL=http://localhost:4000 HITL_API_KEY=hitl_agt_...
    .venv/bin/python examples/refund_executor.py --port 4100

It takes `POST /refunds` with the approved bytes (from `action-data`) as the body and the receipt in
the header `Receipt`. It trusts nobody who posts: the receipt has to be signed by HITL_URL, be meant
for this service and for exactly these bytes, and be used up there before any money moves. Its key
needs the scope `execute` and nothing else, and may be of another agent of the same team.

Needs PyJWT (`pip install 'pyjwt[crypto]'`), which the server's own environment has.
"""

import argparse
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "clients" / "python" / "src"))

from hitl_client import (  # found by the line above, where it is not installed
    Client,
    Conflict,
    Forbidden,
    HitlError,
    Unauthenticated,
    fingerprint,
)

ACTION = "payments.refund"
LARGEST_BODY = 256 * 1024


class Refused(Exception):
    """No money moves; the sentence says why."""


class Approvals:
    """What this service believes of approvals: what `url` has signed, and what it says of use."""

    def __init__(self, url: str, key: str, *, issuer: str, audience: str) -> None:
        self.issuer, self.audience = issuer, audience
        self.client = Client(url, key, retries=2)
        self.keys = jwt.PyJWKClient(f"{url}/.well-known/jwks.json", lifespan=300)

    def check(self, receipt: str, body: bytes) -> dict[str, Any]:
        """The claims of a receipt for exactly this. Asks nobody, once the keys are known."""
        try:
            key = self.keys.get_signing_key_from_jwt(receipt)
            token = jwt.decode_complete(
                receipt, key, algorithms=["EdDSA"], issuer=self.issuer, audience=self.audience,
                leeway=5, options={"require": ["exp", "nbf", "jti"]},
            )  # fmt: skip
        except jwt.PyJWTError as error:
            raise Refused(f"The receipt is not good: {error}") from None
        claims: dict[str, Any] = token["payload"]
        if token["header"].get("typ") != "hitl-receipt+jwt":
            raise Refused("This was signed by the right server, but it is no receipt.")
        if claims["actionType"] != ACTION:
            raise Refused(f"The approval is for {claims['actionType']}, not for {ACTION}.")
        if claims["fingerprint"] != fingerprint(body):
            raise Refused("Other data was approved than the data that was sent.")
        return claims

    def use(self, receipt: str) -> None:
        """Use it up, so that nobody else acts on it. Without a clear yes, this is a no."""
        try:
            self.client.consume_receipt(receipt, audience=self.audience, consumer=self.audience)
        except (Conflict, Forbidden, Unauthenticated) as error:
            raise Refused(str(error)) from None
        except HitlError as error:
            raise Refused(f"Nobody could say whether the receipt is still good: {error}") from None


class Refunds(BaseHTTPRequestHandler):
    """`POST /refunds`."""

    approvals: Approvals

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if self.path != "/refunds" or not 0 < size <= LARGEST_BODY:
            return self.answer(400, {"error": "POST the approved bytes to /refunds."})
        body, receipt = self.rfile.read(size), self.headers.get("Receipt", "")
        try:
            claims = self.approvals.check(receipt, body)
            self.approvals.use(receipt)
        except Refused as why:
            return self.answer(403, {"error": str(why)})
        return self.answer(200, refund(json.loads(body), claims))

    def answer(self, status: int, content: dict[str, Any]) -> None:
        raw = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def refund(data: dict[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
    """Stands for the payment provider."""
    people = [one["name"] for one in claims["approvers"]]
    who = ", ".join(people) or claims["decidedBy"]["kind"]
    print(f"Refunded {data['amount']} {data['currency']}, approved by {who}", flush=True)
    return {"refundId": f"re_{claims['jti'][-12:]}", "approvedBy": who}


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=4100)
    parser.add_argument("--name", default="refund-executor", help="the audience of our receipts")
    parser.add_argument("--url", default=os.environ.get("HITL_URL", "http://localhost:4000"))
    parser.add_argument("--issuer", default=os.environ.get("HITL_ISSUER"), help="default: the URL")
    found = parser.parse_args()
    key = os.environ.get("HITL_API_KEY") or parser.error("set HITL_API_KEY")
    url = found.url.rstrip("/")
    Refunds.approvals = Approvals(url, key, issuer=found.issuer or url, audience=found.name)
    with ThreadingHTTPServer(("127.0.0.1", found.port), Refunds) as server:
        print(f"No refund without a receipt: http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
