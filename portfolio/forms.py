"""Forms of the portfolio. They parse; what is allowed is decided by the services."""

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms

from accounts.forms import HouseForm
from portfolio.models import Direction
from speedtrade.lib.errors import CATALOGUE, DomainError
from speedtrade.lib.forms import number_text
from speedtrade.lib.money import NotANumber, parse_decimal

KEY_PATTERN = r"[0-9a-f]{32}"


class TransferForm(HouseForm):
    """Paper cash in or out. The key is made with the form: many posts make one transfer."""

    direction = forms.ChoiceField(choices=Direction.choices)
    amount = forms.CharField(label="Amount", max_length=40)
    key = forms.RegexField(f"^{KEY_PATTERN}$", widget=forms.HiddenInput)

    @classmethod
    def fresh(cls, asked: Mapping[str, Any]) -> "TransferForm":
        """An empty form with a key of its own; `?direction=withdrawal` chooses."""
        wanted = asked.get("direction", "")
        known = wanted if wanted in Direction.values else Direction.DEPOSIT.value
        return cls(initial={"direction": known})

    @property
    def next_key(self) -> str:
        """The key of the next try: what was refused has moved nothing, so no key must be kept."""
        return uuid.uuid4().hex

    def clean(self) -> dict[str, Any]:
        if "key" in self.errors:
            self.add_error(None, "This page was too old. Send the form again.")
        return self.cleaned_data

    def clean_amount(self) -> Decimal:
        try:
            return parse_decimal(number_text(self.cleaned_data["amount"]))
        except NotANumber as error:
            raise forms.ValidationError('Write a plain number, such as "2500".') from error

    def clean_direction(self) -> Direction:
        return Direction(self.cleaned_data["direction"])

    def with_refusal(self, error: DomainError) -> "TransferForm":
        """Show why not, at the amount where it is about the amount."""
        if error.errors:
            self.with_error(error)
            return self
        remedy = CATALOGUE[error.code].remedy if error.code in CATALOGUE else ""
        about = "amount" if error.code == "insufficient_cash" else None
        self.add_error(about, f"{error.detail} {remedy}".strip())
        return self
