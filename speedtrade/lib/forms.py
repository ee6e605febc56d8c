"""What forms share: the house's look for every field, and numbers as people write them."""

import re

from django.forms.renderers import TemplatesSetting

_GROUPED = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?", re.ASCII)


class HouseFormRenderer(TemplatesSetting):
    """Label, help, control and error in one partial."""

    field_template_name = "forms/field.html"


def number_text(text: str) -> str:
    """A number as people write it, '$1,250.50', as plain text; what is none stays as it is.

    A comma counts as grouping only where it groups: '12,5' stays, to be refused, and is not 125.
    """
    bare = text.strip().removeprefix("$").strip()
    return bare.replace(",", "") if _GROUPED.fullmatch(bare) else bare
