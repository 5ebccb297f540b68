"""What can go wrong with a call to the outside, in words that tell nothing about our inside."""

from typing import Literal

from hitl.lib.errors import HitlError

Kind = Literal["blocked", "dns", "connect", "tls", "timeout", "protocol"]

# One sentence for "refused by our rules", "no such name", "nobody listens" and "no answer to the
# connection": whoever registers endpoints must not learn what stands in the operator's network.
UNREACHABLE = "The endpoint could not be reached."


class OutboundError(HitlError):
    """A call to the outside failed.

    `str(error)` may be shown to the owner of the endpoint; `kind` may not: it is for logs and
    retry policy. `may_have_been_received` is True from the first byte of the request on: an
    `at_most_once` action must then not be sent again.
    """

    code = "outbound"
    status = 502
    title = "The endpoint could not be called"

    def __init__(
        self, kind: Kind, detail: str = UNREACHABLE, *, may_have_been_received: bool = False
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.may_have_been_received = may_have_been_received
