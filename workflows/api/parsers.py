"""Reads a request's body: strict JSON, bounded by its declared length and again while reading.

The stream is read once, here, and nobody reads it again: `request.body` must not be touched.
"""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.utils.http import parse_header_parameters
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from hitl.lib import strict_json

CHUNK = 64 * 1024


class StrictJSONParser(BaseParser):
    """`application/json` in UTF-8. Raises TooLarge (413) or InvalidInput (400) with pointers."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = settings.MAX_BODY_BYTES
        declared = _declared_length(parser_context)
        if declared > limit:
            raise too_large(declared)
        return strict_json.loads(_read(stream, limit), max_bytes=limit)


class StreamedRequest(Request):
    """A request whose body is read whether or not its length was declared (chunked transfer)."""

    def _load_stream(self) -> None:
        meta = self._request.META
        has_body = meta.get("CONTENT_LENGTH") not in (None, "", "0")
        chunked = "HTTP_TRANSFER_ENCODING" in meta
        # The request itself is the stream, as it is in the framework's own version.
        self._stream = self._request if has_body or chunked else None  # type: ignore[assignment]


def too_large(size: int) -> strict_json.TooLarge:
    """The refusal of a body of (at least) `size` bytes."""
    return strict_json.TooLarge(
        f"The body has {size} bytes or more; the limit is {settings.MAX_BODY_BYTES}."
    )


def is_json(content_type: str) -> bool:
    """Whether a Content-Type names JSON, in the one encoding JSON has (RFC 8259, 8.1)."""
    name, parameters = parse_header_parameters(content_type[:256])
    charset = parameters.get("charset", "utf-8")
    return name.lower() == "application/json" and charset.lower() in ("utf-8", "utf8")


def _declared_length(context: Mapping[str, Any] | None) -> int:
    request = (context or {}).get("request")
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0) if request is not None else 0
    except ValueError:
        return 0


def _read(stream: IO[Any], limit: int) -> bytes:
    """The whole body, or TooLarge as soon as it is known to be more than `limit` bytes."""
    parts, size = [], 0
    while part := stream.read(CHUNK):
        size += len(part)
        if size > limit:
            raise too_large(size)
        parts.append(part)
    return b"".join(parts)
