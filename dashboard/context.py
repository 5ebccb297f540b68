"""What every page needs for its navigation."""

from typing import Any

from django.http import HttpRequest


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Context processor; costs no query on pages of strangers."""
    return {}
