"""How a person likes their pages. What is not given stays as it is."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from types import EllipsisType
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts.models import Density, OrderUnit, Palette, Theme, User
from accounts.services.audit import audit_record
from speedtrade.lib.columns import Table
from speedtrade.lib.errors import FieldError, InvalidInput
from speedtrade.lib.formats import money_text
from speedtrade.lib.money import on_grid, plain

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
    review_below: Decimal | None = None,
    hold_from: Decimal | EllipsisType | None = ...,
    toast_fills: bool | None = None,
    toast_ends: bool | None = None,
    toast_alerts: bool | None = None,
    toast_connection: bool | None = None,
    now: datetime,
) -> User:
    """Keep new preferences; raises InvalidInput with every choice that does not exist.

    `review_below` is what a paper order must be worth less than to be placed without a review; 0
    has each one reviewed. `hold_from` is what a live order must be worth for a press of the button
    not to be enough; 0 is each one, None is as the house has it. Both are in the audit: they change
    what a press of a button does.
    """
    given = {
        "theme": theme,
        "palette": palette,
        "density": density,
        "flashes": flashes,
        "paused": paused,
        "shortcuts": shortcuts,
        "order_unit": order_unit,
        "review_below": review_below,
        "toast_fills": toast_fills,
        "toast_ends": toast_ends,
        "toast_alerts": toast_alerts,
        "toast_connection": toast_connection,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if hold_from is not ...:
        changes["hold_from"] = hold_from
    errors = [
        FieldError(name, "invalid", "There is no such choice.")
        for name, choices in _CHOICES.items()
        if name in changes and changes[name] not in choices.values
    ]
    errors += [
        FieldError(name, "invalid", wrong)
        for name, problem in _AMOUNTS.items()
        if changes.get(name) is not None and (wrong := problem(changes[name]))
    ]
    if errors:
        raise InvalidInput(" ".join(error.detail for error in errors), errors=errors)
    before = {name: getattr(user, name) for name in _AMOUNTS}
    for name, value in changes.items():
        setattr(user, name, value)
    with transaction.atomic():
        user.save(update_fields=list(changes))
        for name, old in before.items():
            if (new := getattr(user, name)) != old:
                audit_record(
                    actor=user,
                    action=f"user.{name}",
                    target=f"user:{user.pk}",
                    data={"from": _text(old), "to": _text(new)},
                    now=now,
                )
    return user


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)


def _review_problem(amount: Decimal) -> str:
    """Why orders below this amount cannot go without a review, or nothing."""
    return _problem(amount, settings.SMALL_ORDER_MOST, "more is no small order")


def _hold_problem(amount: Decimal) -> str:
    """Why live orders cannot be held from this amount on, or nothing."""
    return _problem(amount, settings.RISK_MAX_ORDER_NOTIONAL, "no order is worth more")


def _problem(amount: Decimal, most: Decimal, why: str) -> str:
    if not (amount.is_finite() and 0 <= amount <= most):
        return f"Write an amount up to {money_text(most)}: {why}."
    if not on_grid(amount, Decimal("0.01")):
        return "Write the amount in whole cents."
    return ""


#: the amounts of money among the preferences -> why one cannot be
_AMOUNTS = {"review_below": _review_problem, "hold_from": _hold_problem}


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
