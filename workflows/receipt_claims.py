"""What a receipt says, and the one place that knows how its claims are called.

Registered claims (RFC 7519) mean what they mean everywhere. For the rest several individual drafts
compete and none is adopted: draft-schrock-ep-authorization-receipts,
draft-schrock-human-authorization-binding, draft-nelson-agent-delegation-receipts,
draft-farley-acta-signed-receipts, draft-liu-agent-operation-authorization. So ours are named as
on our API; when one of them settles, names change here, and FORMAT with them.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from events.types import Source
from hitl.lib.urls import absolute
from workflows.cases import CaseFile
from workflows.models import Decision, Receipt, RuleUse, Workflow

TYPE = "hitl-receipt+jwt"  # `typ` of the header: nothing else we sign may pass for a receipt
FORMAT = 1
PEOPLE, RULE, SILENCE = "people", "rule", "silence"
_BY: dict[str, str] = {Source.RULE: RULE, Source.TIMEOUT_JOB: SILENCE}


@dataclass(frozen=True)
class Shown:
    """The claims of somebody's receipt that we judge it by. Times are whole seconds (UNIX)."""

    id: UUID
    workflow_id: UUID
    round: int
    fingerprint: str
    audience: str
    not_before: int
    expires: int


def issuer() -> str:
    """Who issues: this server's public address, without a slash at its end."""
    return absolute("")


def of(receipt: Receipt, file: CaseFile) -> dict[str, Any]:
    """The claims of a receipt for an approved request, as its case stands."""
    workflow, issued = file.workflow, _seconds(receipt.issued_at)
    claims: dict[str, Any] = {
        "iss": issuer(),
        "sub": str(workflow.pk),
        "jti": str(receipt.pk),
        "iat": issued,
        "nbf": issued,
        "exp": _seconds(receipt.expires_at),
        "format": FORMAT,
        "actionType": workflow.action_type,
        "fingerprint": receipt.fingerprint,
        "verdict": str(workflow.decision),
        "agent": {"id": str(workflow.agent_id), "name": workflow.agent.name},
        "requester": workflow.requester_email or None,
        "decidedBy": _decided_by(workflow),
        "approvers": [_approver(decision) for decision in file.agreeing],
        "policy": _policy(workflow.policy),
        "round": receipt.round,
        "team": {"id": str(workflow.team_id), "name": workflow.team.name},
        "requestedAt": _moment(workflow.created_at),
        "decidedAt": _moment(workflow.responded_at),
    }
    return claims | ({"aud": receipt.audience} if receipt.audience else {})


def read(claims: dict[str, Any]) -> Shown:
    """The claims as `of` writes them. Raises ValueError for anything else, another issuer's too."""
    try:
        if claims["iss"] != issuer() or claims["format"] != FORMAT:
            raise ValueError("not of this server, or of another format")
        return Shown(
            id=UUID(claims["jti"]),
            workflow_id=UUID(claims["sub"]),
            round=int(claims["round"]),
            fingerprint=str(claims["fingerprint"]),
            audience=str(claims.get("aud", "")),
            not_before=int(claims["nbf"]),
            expires=int(claims["exp"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not the claims of a receipt") from error


def _decided_by(workflow: Workflow) -> dict[str, Any]:
    """People, a rule with its name, or silence: who had the last word."""
    kind = _BY.get(workflow.responded_via, PEOPLE)
    if kind != RULE:
        return {"kind": kind, "rule": None}
    use = RuleUse.objects.filter(workflow=workflow).first()
    return {"kind": kind, "rule": use.rule if use else None}


def _approver(decision: Decision) -> dict[str, Any]:
    behalf = decision.behalf
    return {
        "id": str(decision.user_id),
        "name": str(decision.user),
        "onBehalfOf": {"id": str(behalf.pk), "name": str(behalf)} if behalf else None,
        "verdict": str(decision.verdict),
        "stage": decision.stage,
        "at": _moment(decision.decided_at),
        "via": str(decision.channel),
        "strength": decision.strength or None,
    }


def _policy(frozen: dict[str, Any]) -> dict[str, Any]:
    """Name and version of the team's policy; without one, of what applies then."""
    source = frozen.get("from") or {}
    return {
        "id": source.get("policyId"),
        "name": source.get("name", frozen["name"]),
        "version": source.get("version"),
    }


def _seconds(moment: dt.datetime) -> int:
    return int(moment.timestamp())


def _moment(moment: dt.datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
