"""The address in List-Unsubscribe (RFC 2369, RFC 8058): it stops mails and opens nothing else.

Its token names one delivery and is signed with a salt of its own, so that it is worth nothing
anywhere else, and no link that decides is worth anything here.
"""

from uuid import UUID

from django.core import signing
from django.urls import reverse

from hitl.lib.urls import absolute

SALT = "deliveries.mail.opt-out"


def url(key: str) -> str:
    """Where the receiver of the delivery with this id stops mails."""
    return absolute(reverse("mail-off", args=[signing.dumps(key, salt=SALT)]))


def headers(key: str) -> dict[str, str]:
    """The headers that let a mail reader show the button. One click counts over https only."""
    where = url(key)
    one_click = {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    return {"List-Unsubscribe": f"<{where}>"} | (one_click if where.startswith("https:") else {})


def delivery_id(token: str) -> UUID | None:
    """The delivery that a token names; None for one we never made."""
    try:
        return UUID(signing.loads(token, salt=SALT))
    except (signing.BadSignature, ValueError, TypeError, AttributeError):
        return None
