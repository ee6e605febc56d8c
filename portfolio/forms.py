"""Forms of the portfolio. They parse; what is allowed is decided by the services."""

import uuid
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Q, QuerySet

from accounts.forms import HouseForm
from marketdata.domain.symbols import MAX_SYMBOL_LENGTH, symbol_candidates
from portfolio.domain.months import day_end, day_start
from portfolio.models import Direction, EntryKind, JournalEntry
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


class ActivityFilter(forms.Form):
    """Which facts of the books a page or file shows. Everything is optional."""

    KINDS = {
        "trades": ("Trades", Q(kind=EntryKind.FILL)),
        "transfers": ("Transfers", Q(kind__in=[EntryKind.DEPOSIT, EntryKind.WITHDRAWAL])),
        "fees": ("With a fee", Q(kind=EntryKind.FEE) | Q(fee__gt=0)),
        "dividends": ("Dividends", Q(kind=EntryKind.DIVIDEND)),
    }
    DAYS = [MinValueValidator(date(1970, 1, 1)), MaxValueValidator(date(9000, 1, 1))]

    kind = forms.ChoiceField(
        label="Kind",
        required=False,
        choices=[("", "Everything"), *((code, words) for code, (words, _) in KINDS.items())],
    )
    symbol = forms.CharField(
        label="Symbol",
        required=False,
        max_length=MAX_SYMBOL_LENGTH,
        widget=forms.TextInput({"autocomplete": "off", "placeholder": "AAPL"}),
    )
    since = forms.DateField(
        label="From",
        required=False,
        validators=DAYS,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
    )
    until = forms.DateField(
        label="To",
        required=False,
        validators=DAYS,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
    )

    def clean(self) -> dict[str, Any]:
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if since and until and until < since:
            self.add_error("until", "This day is before the first one.")
        return self.cleaned_data

    @property
    def query(self) -> str:
        """The filters as the end of an address, '&kind=trades&symbol=AAPL'; '' without any."""
        names = [name for name in self.fields if self.cleaned_data.get(name)]
        pairs = [(name, str(self.cleaned_data[name])) for name in names]
        return f"&{urlencode(pairs)}" if pairs else ""

    def narrow(self, entries: QuerySet[JournalEntry]) -> QuerySet[JournalEntry]:
        """The entries that a valid filter lets through; days are those of New York."""
        given = self.cleaned_data
        if given["kind"]:
            entries = entries.filter(self.KINDS[given["kind"]][1])
        if given["symbol"]:
            entries = entries.filter(instrument__symbol__in=symbol_candidates(given["symbol"]))
        if given["since"]:
            entries = entries.filter(created_at__gte=day_start(given["since"]))
        if given["until"]:
            entries = entries.filter(created_at__lt=day_end(given["until"]))
        return entries
