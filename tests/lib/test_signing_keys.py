"""The first key signs, all verify; what is no key, signs and verifies nothing."""

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pytest_django import Settings

from hitl.lib import local_secrets, signing_keys
from hitl.lib.signing_keys import NoSigningKey

# RFC 8037, appendices A.1 to A.3: the key, and its thumbprint.
SEED = "hitl_sk_nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
PUBLIC = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_key_of_the_standard_has_the_thumbprint_of_the_standard(settings: Settings) -> None:
    settings.SIGNING_KEYS = [SEED]
    assert signing_keys.current().kid == THUMBPRINT
    assert signing_keys.public_half(SEED) == f"hitl_pk_{PUBLIC}"
    [published] = signing_keys.jwks()["keys"]
    assert published == {
        "kty": "OKP", "crv": "Ed25519", "x": PUBLIC, "kid": THUMBPRINT, "use": "sig",
        "alg": "EdDSA",
    }  # fmt: skip


def test_signature_holds_for_exactly_what_was_signed() -> None:
    kid, signature = signing_keys.sign(b"paid")
    assert len(signature) == 64
    assert signing_keys.verify(kid, signature, b"paid")
    assert not signing_keys.verify(kid, signature, b"paid!")
    assert not signing_keys.verify(kid, signature[:-1] + b"\0", b"paid")
    assert not signing_keys.verify(kid, b"", b"paid")


def test_kid_that_nobody_knows_verifies_nothing(settings: Settings) -> None:
    kid, signature = signing_keys.sign(b"paid")
    settings.SIGNING_KEYS = [signing_keys.generate()]
    assert not signing_keys.verify(kid, signature, b"paid")
    for odd in ("", "ä", "\0", kid * 1000):
        assert not signing_keys.verify(odd, signature, b"paid")


@pytest.mark.parametrize("keep", [str, signing_keys.public_half])
def test_what_an_old_key_signed_still_verifies(settings: Settings, keep: Any) -> None:
    old, new = signing_keys.generate(), signing_keys.generate()
    settings.SIGNING_KEYS = [old]
    kid, signature = signing_keys.sign(b"paid")
    settings.SIGNING_KEYS = [new, keep(old)]
    assert signing_keys.verify(kid, signature, b"paid")
    assert signing_keys.sign(b"paid")[0] != kid
    assert list(signing_keys.public_keys()) == [signing_keys.current().kid, kid]


@pytest.mark.parametrize(
    "entries",
    [
        [], [""], ["secret"], ["hitl_sk_"], [SEED[:-1]], [SEED + "AAAA"], [SEED + "!"],
        [f"hitl_pk_{PUBLIC}"], [SEED, "secret"], [SEED, "hitl_pk_AAAA"], [SEED, ""],
        [SEED.replace("hitl_sk_", "whsk_")], ["hitl_sk_" + "ä" * 43],
    ],
)  # fmt: skip
def test_without_good_keys_nothing_is_signed_or_verified(
    settings: Settings, entries: list[str]
) -> None:
    settings.SIGNING_KEYS = entries
    for use in (signing_keys.current, signing_keys.public_keys, signing_keys.jwks):
        with pytest.raises(NoSigningKey):
            use()
    with pytest.raises(NoSigningKey):
        signing_keys.verify(THUMBPRINT, b"", b"")
    said = signing_keys.check()
    assert "SIGNING_KEYS" in said
    assert SEED[8:30] not in said


def test_published_set_is_one_that_libraries_read(settings: Settings) -> None:
    settings.SIGNING_KEYS = [SEED, signing_keys.generate()]
    found = jwt.PyJWKSet.from_json(json.dumps(signing_keys.jwks()))
    kid, signature = signing_keys.sign(b"paid")
    found[kid].key.verify(signature, b"paid")


def test_fresh_keys_are_the_32_bytes_they_say() -> None:
    raw = base64.urlsafe_b64decode(signing_keys.generate().removeprefix("hitl_sk_") + "=")
    assert Ed25519PrivateKey.from_private_bytes(raw).private_bytes_raw() == raw


def test_private_halves_are_shown_nowhere(settings: Settings) -> None:
    settings.SIGNING_KEYS = [SEED]
    shown = repr(signing_keys.current()) + json.dumps(signing_keys.jwks())
    assert SEED.removeprefix("hitl_sk_")[:20] not in shown


def test_an_embedded_server_makes_one_and_keeps_it(tmp_path: Path) -> None:
    makers = {"SIGNING_KEYS": signing_keys.generate}
    first = local_secrets.load(tmp_path, "signing.json", makers)
    assert local_secrets.load(tmp_path, "signing.json", makers) == first
    assert (tmp_path / "signing.json").stat().st_mode & 0o777 == 0o600
