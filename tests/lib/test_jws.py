"""Only what one of our keys signed as this type is read; the token's own header decides nothing."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pytest_django import Settings

from hitl.lib import jws, signing_keys
from hitl.lib.jws import FORGED, MALFORMED, UNKNOWN_KEY, Untrusted
from hitl.lib.signing_keys import NoSigningKey

TYPE = "hitl-test+jwt"
CLAIMS = {"verdict": "approved", "name": "Zoë", "amount": 1.5}


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hand(header: Any, claims: Any, key: Any = None) -> str:
    """A token that our own key (or another) signed, with whatever header and payload."""
    content = f"{part(header)}.{part(claims)}"
    private = key or signing_keys.current().private
    return f"{content}.{part(private.sign(content.encode()))}"


def header(**changes: Any) -> dict[str, Any]:
    ours = {"alg": "EdDSA", "typ": TYPE, "kid": signing_keys.current().kid}
    return {name: value for name, value in (ours | changes).items() if value is not None}


def refused(token: str) -> str:
    with pytest.raises(Untrusted) as error:
        jws.read(token, typ=TYPE)
    return error.value.reason


def test_what_was_signed_is_read_again() -> None:
    token = jws.sign(CLAIMS, typ=TYPE)
    assert jws.read(token, typ=TYPE) == CLAIMS
    assert jwt.get_unverified_header(token) == header()


def test_it_is_the_compact_form_that_others_verify() -> None:
    token = jws.sign(CLAIMS, typ=TYPE)
    key = jwt.PyJWKSet.from_dict(signing_keys.jwks())[signing_keys.current().kid]
    assert jwt.decode(token, key, algorithms=["EdDSA"]) == CLAIMS


def test_another_type_of_ours_is_not_taken_for_it() -> None:
    assert refused(jws.sign(CLAIMS, typ="hitl-other+jwt")) == MALFORMED


@pytest.mark.parametrize("alg", ["none", "None", "", None, "HS256", "HS512", "RS256", "ES256", 1])
def test_no_other_algorithm_is_taken(alg: Any) -> None:
    assert refused(by_hand(header(alg=alg), CLAIMS)) == MALFORMED
    unsigned = f"{part(header(alg=alg))}.{part(CLAIMS)}."
    assert refused(unsigned) == MALFORMED


def test_public_key_is_no_shared_secret() -> None:
    """The classic confusion: HS256 under what everybody can read at the well-known address."""
    public = signing_keys.current().private.public_key()
    for secret in (
        public.public_bytes_raw(),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(signing_keys.jwks()).encode(),
    ):
        content = f"{part(header(alg='HS256'))}.{part(CLAIMS)}"
        mac = hmac.digest(secret, content.encode(), hashlib.sha256)
        assert refused(f"{content}.{part(mac)}") == MALFORMED
        claimed = f"{part(header())}.{part(CLAIMS)}"
        mac = hmac.digest(secret, claimed.encode(), hashlib.sha256)
        assert refused(f"{claimed}.{part(mac)}") == FORGED


def test_key_in_the_header_is_not_used() -> None:
    own = Ed25519PrivateKey.generate()
    x = part(own.public_key().public_bytes_raw())
    brought = {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": x}, "jku": "https://evil.example.com"}
    assert refused(by_hand(header(**brought), CLAIMS, own)) == FORGED


@pytest.mark.parametrize("kid", [None, "", "unknown", "../../etc/passwd"])
def test_other_key_ids_lead_nowhere(kid: Any) -> None:
    assert refused(by_hand(header(kid=kid), CLAIMS)) == UNKNOWN_KEY


def test_altered_claims_are_noticed() -> None:
    head, _, signature = jws.sign(CLAIMS, typ=TYPE).split(".")
    altered = part(CLAIMS | {"verdict": "rejected"})
    assert refused(f"{head}.{altered}.{signature}") == FORGED
    assert refused(f"{head}.{altered}.{part(bytes(64))}") == FORGED


def test_one_changed_character_anywhere_is_noticed() -> None:
    token = jws.sign(CLAIMS, typ=TYPE)
    for place, was in enumerate(token):
        if was != ".":
            other = "A" if was != "A" else "B"
            assert refused(token[:place] + other + token[place + 1 :])


@pytest.mark.parametrize(
    "token",
    [
        "", ".", "..", "a.b.c", "not a token", "\ud800.a.b", "é.é.é", "\0", "e30.e30.",
        "a" * 100_000, "." * 100_000, part(b"[" * 20_000) + ".e30.e30",
        part(b'{"alg":1e999}') + ".e30.e30", part([]) + ".e30.e30", part(1) + ".e30.e30",
        part({"alg": "EdDSA", "typ": TYPE, "kid": 7}) + ".e30.e30",
        part({"alg": "EdDSA", "typ": TYPE, "kid": {}}) + ".e30.e30",
    ],
)  # fmt: skip
def test_rubbish_is_no_token(token: str) -> None:
    assert refused(token) in (MALFORMED, UNKNOWN_KEY)


@pytest.mark.parametrize(
    "claims", [b"", b"1", b"[]", b"null", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff", b"[" * 9999]
)
def test_signed_rubbish_is_no_token_either(claims: bytes) -> None:
    assert refused(by_hand(header(), claims)) == MALFORMED


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], "b64"])
def test_headers_that_must_be_understood_are_not_overlooked(crit: Any) -> None:
    assert refused(by_hand(header(crit=crit, b64=False, exp=1), CLAIMS)) == MALFORMED


def test_old_keys_verify_and_retired_ones_do_not(settings: Settings) -> None:
    token, old = jws.sign(CLAIMS, typ=TYPE), settings.SIGNING_KEYS[0]
    settings.SIGNING_KEYS = [signing_keys.generate(), signing_keys.public_half(old)]
    assert jws.read(token, typ=TYPE) == CLAIMS
    settings.SIGNING_KEYS = settings.SIGNING_KEYS[:1]
    assert refused(token) == UNKNOWN_KEY


def test_without_keys_nobody_is_told_that_it_is_forged(settings: Settings) -> None:
    token = jws.sign(CLAIMS, typ=TYPE)
    settings.SIGNING_KEYS = []
    for use in (lambda: jws.read(token, typ=TYPE), lambda: jws.sign(CLAIMS, typ=TYPE)):
        with pytest.raises(NoSigningKey):
            use()
