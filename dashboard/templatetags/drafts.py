"""Tags of the forms for policies and rules: options with the chosen one, and faults at fields."""

from collections.abc import Iterable, Sequence

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from dashboard.drafts.nodes import Node
from dashboard.policy_editor import Choices
from workflows.templatetags.presentation import icon

register = template.Library()


@register.simple_tag
def options(choices: Iterable[tuple[str, str]], value: str) -> SafeString:
    """The options of a select. A value that is not offered any more is kept as the last one."""
    known = [(str(each), label) for each, label in choices]
    if value and value not in [each for each, _ in known]:
        known.append((value, value))
    return _options(known, value)


@register.simple_tag
def whom_options(choices: Choices, value: str) -> SafeString:
    """The select of who is asked, in groups; what is chosen stays, even if it is gone since."""
    parts = [SafeString('<option value="">Choose …</option>')]
    seen = {""}
    for title, group in choices.whom:
        seen.update(each for each, _ in group)
        inner = _options(group, value)
        if not title:
            parts.append(inner)
        elif group:
            parts.append(format_html('<optgroup label="{}">{}</optgroup>', title, inner))
    if value not in seen:
        kind, _, rest = value.partition(":")
        name = choices.cast.names.person(rest) if kind == "user" else rest or kind
        parts.append(_options([(value, f"{name} (cannot be asked any more)")], value))
    return SafeString("".join(parts))


def _options(choices: Sequence[tuple[str, str]], value: str) -> SafeString:
    return format_html_join(
        "",
        '<option value="{}"{}>{}</option>',
        ((each, SafeString(" selected" if each == value else ""), said) for each, said in choices),
    )


@register.simple_tag
def boxes(node: Node, name: str, choices: Iterable[tuple[str, str]]) -> SafeString:
    """Boxes to tick; what is ticked stays, even if it is not offered any more."""
    ticked: list[str] = getattr(node, name)
    known = [(str(each), label) for each, label in choices]
    offered = {each for each, _ in known}
    known += [(each, f"{each} (no longer there)") for each in ticked if each not in offered]
    return format_html_join(
        "",
        '<label class="choice"><input type="checkbox" name="{}" value="{}"{}> {}</label>',
        (
            (_name(node, name), each, SafeString(" checked" if each in ticked else ""), said)
            for each, said in known
        ),
    )


@register.simple_tag
def named(node: Node, name: str) -> SafeString:
    """The attributes of a field: its name, its id, whether it is wrong, where the cursor goes."""
    full = _name(node, name)
    wrong = ""
    if name in node.errors:
        wrong = format_html(' aria-invalid="true" aria-describedby="{}-fault"', full)
    return format_html('name="{}" id="{}"{}', full, full, wrong)


@register.simple_tag
def field_id(node: Node, name: str) -> str:
    """The id of a field, for its label."""
    return _name(node, name)


@register.simple_tag
def fault(node: Node, name: str) -> SafeString:
    """What is wrong with a field; nothing where all is well."""
    said = node.errors.get(name)
    if not said:
        return SafeString("")
    mark = icon("alert-circle")
    text = '<p class="field-error" id="{}-fault">{}{}</p>'
    return format_html(text, _name(node, name), mark, said)


def _name(node: Node, name: str) -> str:
    return f"{node.prefix}.{name}" if node.prefix else name
