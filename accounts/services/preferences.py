"""How a person likes their pages. What is not given stays as it is."""

from collections.abc import Iterable
from datetime import datetime

from accounts.models import Density, OrderUnit, Palette, Theme, User
from speedtrade.lib.columns import Table
from speedtrade.lib.errors import FieldError, InvalidInput

_CHOICES = {"theme": Theme, "palette": Palette, "density": Density, "order_unit": OrderUnit}


def user_preferences_change(
    *,
    user: User,
    theme: str | None = None,
    palette: str | None = None,
    density: str | None = None,
    flashes: bool | None = None,
    paused: bool | None = None,
    shortcuts: bool | None = None,
    order_unit: str | None = None,
    now: datetime,
) -> User:
    """Keep new preferences; raises InvalidInput with every choice that does not exist."""
    given = {
        "theme": theme,
        "palette": palette,
        "density": density,
        "flashes": flashes,
        "paused": paused,
        "shortcuts": shortcuts,
        "order_unit": order_unit,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    errors = [
        FieldError(name, "invalid", "There is no such choice.")
        for name, choices in _CHOICES.items()
        if name in changes and changes[name] not in choices.values
    ]
    if errors:
        raise InvalidInput(" ".join(error.detail for error in errors), errors=errors)
    for name, value in changes.items():
        setattr(user, name, value)
    user.save(update_fields=list(changes))
    return user


def user_columns_change(
    *, user: User, table: Table, names: Iterable[str] | None, now: datetime
) -> User:
    """Keep which columns of `table` are shown; None is those that are usual.

    Raises InvalidInput for a column that the table does not have.
    """
    kept = {name: columns for name, columns in user.columns.items() if name != table.name}
    if names is not None:
        kept[table.name] = table.chosen(names)
    user.columns = kept
    user.save(update_fields=["columns"])
    return user
