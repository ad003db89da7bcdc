"""How values of before and after are shown."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def audit_value(value: Any) -> str | SafeString:
    """A value as text; lists and mappings as lists. Everything is escaped."""
    if isinstance(value, dict):
        items = [(name, audit_value(inner)) for name, inner in value.items()]
        return format_html('<ul class="value-list">{}</ul>', format_html_join("", "<li>{}: {}</li>", items))
    if isinstance(value, list):
        return format_html(
            '<ul class="value-list">{}</ul>', format_html_join("", "<li>{}</li>", [(audit_value(v),) for v in value])
        )
    return str(value)
