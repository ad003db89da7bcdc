"""How forms look: Tabler's classes on Django's widgets, so that templates need not know which widget is which."""

from __future__ import annotations

from typing import Any

from django import forms


class StyledForm(forms.BaseForm):
    """Mix in before a form class: every widget gets the class that it needs, in error the one that says so."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            style(field)


def style(field: forms.Field) -> None:
    """Add the class for this field's widget."""
    widget = field.widget
    if isinstance(widget, forms.RadioSelect):
        return  # its class would go to the frame around the choices as well
    if isinstance(widget, forms.CheckboxInput):
        css = "form-check-input"
    elif isinstance(widget, forms.Select):
        css = "form-select"
    else:
        css = "form-control"
    known = widget.attrs.get("class", "")
    if css not in known.split():
        widget.attrs["class"] = f"{known} {css}".strip()
