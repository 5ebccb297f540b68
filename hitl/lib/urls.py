"""Absolute links, made from configuration and never from a request's Host header."""

from django.conf import settings


def absolute(path: str) -> str:
    """`path` (starting with a slash) on this server's public address."""
    return f"{settings.PUBLIC_URL.rstrip('/')}{path}"
