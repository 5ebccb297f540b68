#!/usr/bin/env python3
"""Verify an export of hitl's log without the server: every event, chain, checkpoint and signature.

    python3 -I verify_bundle.py bundle.zip [--keys jwks.json | --trust KID]

Python 3.9 or later, nothing else. Exit codes: 0 all is as it was signed, 1 something is not (each
line says what), 2 usage. Whose key it is, this program cannot know: get the key set from the
server's /.well-known/jwks.json, or the id of the key (kid) from somebody you trust, and name it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

LINE = re.compile(rb'\{"hash":"([0-9a-f]{64})","place":"(\d+-\d+)","content":(\{.*\})\}\n')
FILES = {"events.jsonl", "checkpoints.jsonl", "keys.json", "README.txt", "verify_bundle.py"}
UNREADABLE = (OSError, zipfile.BadZipFile, LookupError, ValueError, TypeError, AttributeError)

# --- Ed25519: verification only, after the reference code of RFC 8032, section 6 -----------------
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple[int, ...]  # x, y, z, t: extended coordinates


def add(a: Point, b: Point) -> Point:
    """The sum of two points."""
    s, t = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    u, v = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = t - s, v - u, v + u, t + s
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(number: int, point: Point) -> Point:
    """A multiple of a point."""
    total: Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = add(total, point)
        point = add(point, point)
        number >>= 1
    return total


def point_at(y: int, sign: int) -> Point | None:
    """The point with this y and the sign of its x; None where there is none."""
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def decoded(raw: bytes) -> Point | None:
    """The point that 32 bytes stand for, or None."""
    number = int.from_bytes(raw, "little")
    return point_at(number & (2**255 - 1), number >> 255)


def is_signed(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the key (32 bytes) made this signature (64 bytes) of the message."""
    base, public, r = point_at(4 * pow(5, P - 2, P) % P, 0), decoded(key), decoded(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if len(key) != 32 or len(signature) != 64 or not (base and public and r) or s >= ORDER:
        return False
    challenge = hashlib.sha512(signature[:32] + key + message).digest()
    left = times(s, base)
    right = add(r, times(int.from_bytes(challenge, "little") % ORDER, public))
    same_x = (left[0] * right[2] - right[0] * left[2]) % P == 0
    return same_x and (left[1] * right[2] - right[1] * left[2]) % P == 0


# --- Trees: RFC 6962, section 2.1 ----------------------------------------------------------------
def leaf_hash(leaf: str) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\0" + leaf.encode()).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two neighbours."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(leaves: Sequence[str]) -> str:
    """The root over all leaves: an odd one out goes up as it is."""
    row = [leaf_hash(leaf) for leaf in leaves]
    while len(row) > 1:
        pairs = [node_hash(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
        row = pairs + row[len(pairs) * 2 :]
    return row[0].hex()


def root_from(leaf: str, path: Sequence[str]) -> str:
    """The root that a leaf and its neighbours on the way up lead to."""
    found = leaf_hash(leaf)
    for step in path:
        other = bytes.fromhex(step[1:])
        found = node_hash(other, found) if step[0] == "L" else node_hash(found, other)
    return found.hex()


# --- The bundle ----------------------------------------------------------------------------------
class Bundle:
    """Looks at one bundle; `problems` are the sentences to print."""

    def __init__(self, archive: zipfile.ZipFile, kids: set[str]) -> None:
        self.archive = archive
        self.problems: list[str] = []
        self.events = 0
        self.signers: set[str] = set()
        self.checkpoints: list[tuple[dict[str, Any], str]] = []  # body and hash
        # By workflow: number, hash and places of an event, and the checkpoint that says so.
        self.claims: dict[str, list[tuple[int, str, str, int]]] = {}
        raw = archive.read("manifest.json")
        self.manifest = json.loads(raw)
        keys = {kid_of(key): key for key in json.loads(archive.read("keys.json"))["keys"]}
        self.keys = {kid: key for kid, key in keys.items() if not kids or kid in kids}
        self.check_signature("manifest.json", json.loads(archive.read("manifest.sig.json")), raw)

    def look(self) -> None:
        """At every file, checkpoint and event."""
        self.check_files()
        with self.archive.open("checkpoints.jsonl") as file:
            for line in file:
                self.check_checkpoint(json.loads(line))
        self.check_events()
        for workflow, claims in self.claims.items():
            for seq, _, _, number in claims:
                self.say(workflow, seq, f"is missing: checkpoint {number} knows it")

    def say(self, workflow: str, seq: int, what: str) -> None:
        """A problem with one event."""
        self.problems.append(f"event {seq} of workflow {workflow} {what}")

    def check_signature(self, what: str, signed: dict[str, Any], content: bytes) -> None:
        """That one of the keys signed these bytes."""
        kid, text = signed["kid"], signed["signature"]
        if kid not in self.keys:
            self.problems.append(f"{what} is signed with key {kid}, which is not trusted")
            return
        self.signers.add(kid)
        raw, x = bytes.fromhex(text), self.keys[kid]["x"]
        if raw.hex() != text or not is_signed(from_base64(x), raw, content):
            self.problems.append(f"{what} does not bear a good signature")

    def check_files(self) -> None:
        """That every file is there, none besides, and each as the manifest has it."""
        names = sorted(self.archive.namelist())
        if self.manifest["format"] != "hitl.bundle/1" or set(self.manifest["files"]) != FILES:
            self.problems.append("manifest.json is not the manifest of such a bundle")
        if names != sorted([*FILES, "manifest.json", "manifest.sig.json"]):
            self.problems.append(f"the files are not those of a bundle: {', '.join(names)}")
        for name, expected in self.manifest["files"].items():
            digest = hashlib.sha256()
            with self.archive.open(name) as file:
                for piece in iter(lambda: file.read(65536), b""):
                    digest.update(piece)
            if digest.hexdigest() != expected:
                self.problems.append(f"{name} was changed")

    def check_checkpoint(self, line: dict[str, Any]) -> None:
        """Its signature, and that its heads are those it was signed over."""
        raw, body, leaves = line["body"].encode(), json.loads(line["body"]), line["leaves"]
        what = f"checkpoint {body['number']}"
        self.check_signature(what, line, raw)
        if line["isComplete"]:
            roots = {root_of([leaf for leaf, _ in leaves])}
        else:
            roots = {root_from(leaf, path) for leaf, path in leaves}
        if body["format"] != "hitl.checkpoint/1" or roots != {body["root"]}:
            self.problems.append(f"{what} covers other heads than it was signed over")
        if self.manifest["isComplete"] and not (line["isComplete"] and self.follows(body)):
            self.problems.append(f"{what} is not whole, or does not follow the one before it")
        self.checkpoints.append((body, hashlib.sha256(raw).hexdigest()))
        for workflow, *said in (json.loads(leaf) for leaf, _ in leaves if leaf[0] == "["):
            self.claims.setdefault(workflow, []).append((*said, body["number"]))

    def follows(self, body: dict[str, Any]) -> bool:
        """Whether a checkpoint is the next one."""
        if not self.checkpoints:
            return True
        last, digest = self.checkpoints[-1]
        return bool((body["number"], body["previousHash"]) == (last["number"] + 1, digest))

    def check_events(self) -> None:
        """Each event, its chain, and that checkpoints cover all of them."""
        last: dict[str, Any] = {}
        covered, places = True, hashlib.sha256()
        for line in self.lines():
            self.events += 1
            found = LINE.fullmatch(line)
            if found is None:
                self.problems.append(f"line {self.events} of events.jsonl is no event")
                continue
            digest, event = found[1].decode(), json.loads(found[3])
            if event["workflowId"] != last.get("workflowId"):
                self.must_be_covered(last, covered)
                last, places = {}, hashlib.sha256()
            places.update(found[2] + b"\n")
            self.check_event(event, found, last)
            covered = self.compare(event, digest, places.hexdigest())
            last = {**event, "hash": digest}
        self.must_be_covered(last, covered)

    def lines(self) -> Iterator[bytes]:
        with self.archive.open("events.jsonl") as file:
            yield from file

    def check_event(self, event: dict[str, Any], line: re.Match[bytes], last: Any) -> None:
        """That its content gives its hash, and that it follows the one before."""
        at = (event["workflowId"], event["seq"])
        if hashlib.sha256(line[3]).hexdigest() != line[1].decode():
            self.say(*at, "was changed")
        follows = (last.get("seq", 0) + 1, last.get("hash", ""))
        if (event["seq"], event["previousHash"]) != follows:
            self.say(*at, "does not follow the one before it")
        if event["timestamp"] < last.get("timestamp", ""):
            self.say(*at, "is older than the one before it")

    def compare(self, event: dict[str, Any], digest: str, places: str) -> bool:
        """With what checkpoints say about it; whether any does."""
        workflow, seq = event["workflowId"], event["seq"]
        claims = self.claims.pop(workflow, [])
        about = [claim for claim in claims if claim[0] == seq]
        for claim in about:
            if claim[1:3] != (digest, places):
                self.say(workflow, seq, f"is not the one that checkpoint {claim[3]} knows")
        if rest := [claim for claim in claims if claim[0] != seq]:
            self.claims[workflow] = rest
        return bool(about)

    def must_be_covered(self, last: dict[str, Any], covered: bool) -> None:
        """The last event of each workflow must be known to a checkpoint."""
        if last and not covered:
            self.say(last["workflowId"], last["seq"], "is covered by no checkpoint")


def from_base64(text: str) -> bytes:
    """Base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def kid_of(key: dict[str, str]) -> str:
    """The thumbprint of a key (RFC 7638): no other key has the same."""
    members = {name: key[name] for name in ("crv", "kty", "x")}
    raw = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify an export of hitl's log.")
    parser.add_argument("bundle", help="the zip file")
    parser.add_argument("--keys", help="a JWK set from /.well-known/jwks.json")
    parser.add_argument("--trust", action="append", default=[], metavar="KID", help="a key's id")
    options = parser.parse_args()
    kids = set(options.trust)
    try:
        if options.keys:
            with open(options.keys, encoding="utf-8") as file:
                kids |= {kid_of(key) for key in json.load(file)["keys"]}
        with zipfile.ZipFile(options.bundle) as archive:
            bundle = Bundle(archive, kids)
            bundle.look()
    except UNREADABLE as error:
        print(f"NOT GOOD: cannot be read ({type(error).__name__}: {error})")
        return 1
    for problem in bundle.problems:
        print(f"NOT GOOD: {problem}")
    numbers = ", ".join(str(body["number"]) for body, _ in bundle.checkpoints[-5:])
    print(f"Exported {bundle.manifest['madeAt']}: {json.dumps(bundle.manifest['subject'])}")
    print(f"Looked at {bundle.events} events and {len(bundle.checkpoints)} checkpoints ({numbers})")
    print(f"Signed with: {', '.join(sorted(bundle.signers)) or 'no known key'}")
    if not kids:
        print("NOT CHECKED: whose key that is. Name it with --keys or --trust to be sure.")
    print("NOT KNOWN: what happened after the last checkpoint, and what was never recorded.")
    if bundle.problems:
        return 1
    print("GOOD: every event is as it was when the checkpoints were signed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
