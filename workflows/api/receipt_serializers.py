"""Shapes on the wire of receipts and of the keys that verify them."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from workflows import receipts
from workflows.api.fields import Anything, Object, Pattern, Strict, Text, Whole
from workflows.api.serializers import FINGERPRINT, moment
from workflows.receipts import Found, Issued, Presented

AUDIENCE_HELP = "Who is to act on it, as that executor calls itself: a name or an address."

# --- What comes in -------------------------------------------------------------------------------


class NewReceiptSerializer(Strict):
    """For whom, and for how long."""

    audience = Text(
        required=False, max_length=255, help_text=f"{AUDIENCE_HELP} Without: anybody of the team."
    )
    ttlSeconds = Whole(
        required=False,
        default=receipts.USUAL_SECONDS,
        min_value=receipts.SHORTEST_SECONDS,
        max_value=receipts.LONGEST_SECONDS,
        help_text="How long it is good for.",
    )


class PresentedSerializer(Strict):
    """A receipt, and what the executor knows itself."""

    receipt = Text(max_length=receipts.MAX_CHARACTERS, help_text="The compact JWS as it came.")
    audience = Text(
        required=False,
        max_length=255,
        help_text="What you are called. It must be the receipt's audience; leave it out where the "
        "receipt has none.",
    )
    fingerprint = Pattern(
        FINGERPRINT,
        required=False,
        help_text="SHA-256 of the canonical data you are about to act on; another is refused.",
    )

    @property
    def presented(self) -> Presented:
        """The same in our own terms."""
        sent = self.validated_data
        return Presented(sent["receipt"], sent.get("audience", ""), sent.get("fingerprint", ""))


class ConsumeSerializer(PresentedSerializer):
    """The same, by somebody who is about to act."""

    consumer = Text(
        required=False,
        max_length=200,
        help_text="Who acts, unlike anybody else: whoever lost the answer knows themselves by it. "
        "Without: the agent's name.",
    )


# --- What goes out -------------------------------------------------------------------------------


class ReceiptSerializer(serializers.Serializer[Mapping[str, Any]]):
    """A receipt that was just issued."""

    receiptId = serializers.UUIDField(help_text="Its `jti`.")
    receipt = serializers.CharField(help_text="The compact JWS (EdDSA, `typ` hitl-receipt+jwt).")
    expiresAt = serializers.DateTimeField()
    claims = Object(help_text="What it says; docs/receipts.md explains each.")


class CheckedSerializer(serializers.Serializer[Mapping[str, Any]]):
    """Whether somebody may act on a receipt."""

    valid = serializers.BooleanField()
    reason = serializers.ChoiceField(
        choices=[(name, name) for name in receipts.REASONS],
        allow_null=True,
        help_text="null: it is valid.",
    )
    detail = serializers.CharField(help_text="The reason as a sentence; empty where it is valid.")
    claims = Anything(help_text="What it says; null where it is not ours, or not your team's.")
    consumedAt = serializers.DateTimeField(allow_null=True)
    consumedBy = serializers.CharField(allow_null=True)


class ConsumedSerializer(serializers.Serializer[Mapping[str, Any]]):
    """Act now: nobody else may."""

    receiptId = serializers.UUIDField()
    workflowId = serializers.UUIDField()
    fingerprint = serializers.CharField(help_text="Of the data that was approved.")
    consumedAt = serializers.DateTimeField()
    consumedBy = serializers.CharField()
    claims = Object(help_text="What it says.")


class JwkSerializer(serializers.Serializer[Mapping[str, Any]]):
    """A public key (RFC 8037)."""

    kty = serializers.ChoiceField(choices=("OKP",))
    crv = serializers.ChoiceField(choices=("Ed25519",))
    x = serializers.CharField(help_text="The key's 32 bytes in base64url.")
    kid = serializers.CharField(help_text="Its thumbprint (RFC 7638).")
    use = serializers.ChoiceField(choices=("sig",))
    alg = serializers.ChoiceField(choices=("EdDSA",))


class JwksSerializer(serializers.Serializer[Mapping[str, Any]]):
    """A JWK set (RFC 7517)."""

    keys = JwkSerializer(many=True)


def issued(made: Issued) -> dict[str, Any]:
    """A fresh receipt as an answer."""
    return {
        "receiptId": str(made.receipt.pk),
        "receipt": made.token,
        "expiresAt": moment(made.receipt.expires_at),
        "claims": made.claims,
    }


def checked(found: Found) -> dict[str, Any]:
    """A verdict as an answer."""
    row = found.receipt
    return {
        "valid": not found.reason,
        "reason": found.reason or None,
        "detail": receipts.REASONS.get(found.reason, ""),
        "claims": found.claims,
        "consumedAt": moment(row.consumed_at) if row and row.consumed_at else None,
        "consumedBy": row.consumed_by or None if row else None,
    }


def consumed(found: Found) -> dict[str, Any]:
    """A receipt that was used up as an answer."""
    row = found.receipt
    assert row is not None  # noqa: S101  # for the type checker; `consume` raises otherwise
    return {
        "receiptId": str(row.pk),
        "workflowId": str(row.workflow_id),
        "fingerprint": row.fingerprint,
        "consumedAt": moment(row.consumed_at),
        "consumedBy": row.consumed_by,
        "claims": found.claims,
    }
