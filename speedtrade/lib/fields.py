"""The three number columns of the house: every amount, price and quantity uses one of them."""

from typing import Any

from django.db import models


class MoneyField(models.DecimalField):  # type: ignore[type-arg]
    """An amount in the account's currency: NUMERIC(28, 8)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "max_digits": 28, "decimal_places": 8})


class PriceField(models.DecimalField):  # type: ignore[type-arg]
    """A price of one unit: NUMERIC(20, 10)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "max_digits": 20, "decimal_places": 10})


class QuantityField(models.DecimalField):  # type: ignore[type-arg]
    """Shares or coins: NUMERIC(28, 10)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "max_digits": 28, "decimal_places": 10})
