"""How answers are written: always JSON (or a fixed text), whatever `Accept` says.

RFC 9110 (12.5.1) lets a server disregard `Accept`; an agent's library never meets a 406 or HTML.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from workflows.api.parsers import is_json


class JSONRenderer(BaseRenderer):
    """Plain JSON in UTF-8; numbers are written so that they read back as the same number."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is None:
            return b""
        return encode(data).encode()


def encode(content: Any) -> str:
    """JSON on one line."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class PlainTextRenderer(BaseRenderer):
    """A text as it is."""

    media_type = "text/plain"
    format = "txt"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return str(data).encode()


class AlwaysJSON(BaseContentNegotiation):
    """Takes JSON bodies only; answers with the view's first renderer."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            return None
        return next(iter(parsers), None) if is_json(request.content_type) else None

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type or ""
