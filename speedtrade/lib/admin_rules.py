"""What may be asked of a list of the support desk, and whose things its people act on.

An answer of one row or none spells out whatever a lookup may name, so what is no field of a page
must be no lookup either: a hash of a password is read in a few hundred requests of
`?password__startswith=…`. Django forbids such lookups across relations, not in the model itself.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.utils import get_fields_from_path
from django.db.models import Model

from speedtrade.lib.errors import DomainError

#: What may follow a field: what the filters of Django's lists and the links of our pages say.
ENDS = ("", "__exact", "__isnull", "__isempty", "__gte", "__lt")
DATES = ("__year", "__month", "__day")  # of a date hierarchy, beside these


def lookups_of(
    model: type[Model],
    *,
    filters: Iterable[Any],
    date_hierarchy: str | None,
    links: Iterable[str],
) -> set[str]:
    """Every lookup that a list of `model` takes: of its filters and of links that lead there."""
    names = {f"{field}{end}" for field in links for end in ENDS}
    if date_hierarchy:
        names |= {f"{date_hierarchy}{end}" for end in (*ENDS, *DATES)}
    for one in filters:
        names |= set(_of_filter(model, one))
    return names


def _of_filter(model: type[Model], one: Any) -> Iterator[str]:
    """The lookups of an entry of `list_filter`: a class, a field, or a field with its class."""
    if isinstance(one, type) and issubclass(one, SimpleListFilter):
        yield str(one.parameter_name)
        return
    path = str(one[0] if isinstance(one, list | tuple) else one)
    yield from (f"{path}{end}" for end in ENDS)
    field: Any = get_fields_from_path(model, path)[-1]
    if field.is_relation:
        yield f"{path}__{field.target_field.name}__exact"


def may_touch(owner: Any, actor: Any) -> None:
    """Support acts on users and what is theirs; on colleagues a superuser, on their own nobody.

    `owner` None is the house. Raises DomainError: a colleague does it, or the command line.
    """
    if owner is None:
        return
    if owner.pk == actor.pk:
        raise DomainError("Ask a colleague: nobody does this to themselves.", code="conflict")
    if (owner.is_staff or owner.is_superuser) and not actor.is_superuser:
        raise DomainError("Staff are a superuser's business.", code="permission_denied")
