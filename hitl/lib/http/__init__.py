"""Calls to the outside: one client, one set of rules about where they may go."""

from hitl.lib.http.client import Response, check_headers, get, moment, post, request
from hitl.lib.http.errors import UNREACHABLE, OutboundError
from hitl.lib.http.targets import Rules, Target, check_url

__all__ = (
    "UNREACHABLE",
    "OutboundError",
    "Response",
    "Rules",
    "Target",
    "check_headers",
    "check_url",
    "get",
    "moment",
    "post",
    "request",
)
