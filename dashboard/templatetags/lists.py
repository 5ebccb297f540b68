"""Tags of the lists: addresses that keep the other filters."""

from django import template

from dashboard.filters import Filters

register = template.Library()


@register.simple_tag
def query(filters: Filters, **changes: str) -> str:
    """The address of this list with some filters changed; the page starts anew."""
    return filters.query(**changes)
