"""How often one caller may ask the API: each credential of an agent, each person.

What fails is counted by address, and only what fails: nobody can lock out the holder of a key.
"""

import math

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

from hitl.accounts.authentication import Credential
from hitl.accounts.models import User
from hitl.lib import limits, peers
from hitl.lib.limits import TooOften

# Set in the ASGI scope of a request that is asked again on behalf of one who waits.
AGAIN = "hitl.again"


def count(request: Request) -> None:
    """Count a request whose caller is known. Raises TooOften."""
    rate = settings.RATE_LIMIT_API
    credential = request.auth
    if not isinstance(credential, Credential) or _is_again(request):
        return
    wait = limits.hold_off("api", _owner(request, credential), rate)
    if wait:
        whose = "You have" if isinstance(request.user, User) else "This credential has"
        raise TooOften(f"{whose} asked more than {rate}: {_later(wait)}", wait=wait)


def count_miss(request: HttpRequest) -> None:
    """Count what was not accepted from this address. Raises TooOften."""
    rate = settings.RATE_LIMIT_MISSES
    wait = limits.hold_off("misses", peers.network(request), rate)
    if wait:
        why = f"More than {rate} was not accepted from this address"
        raise TooOften(f"{why}: {_later(wait)}", wait=wait)


def _owner(request: Request, credential: Credential) -> str:
    """A person counts once, however they log in; an agent with each of its credentials."""
    if isinstance(request.user, User):
        return f"user:{request.user.pk}"
    return f"{credential.kind}:{credential.id}"


def _is_again(request: Request) -> bool:
    return AGAIN in getattr(request._request, "scope", {})


def _later(wait: float) -> str:
    return f"try again in {max(math.ceil(wait), 1)} seconds."
