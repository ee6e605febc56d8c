"""Forms of watchlists and alerts. They parse; what is allowed is decided by the services."""

from decimal import Decimal
from typing import Self

from django import forms

from marketdata.alert_words import DIRECTION_WORDS, REPEAT_WORDS
from marketdata.models.alerts import NOTE_MAX
from marketdata.models.watchlists import NAME_MAX
from speedtrade.lib.errors import DomainError
from speedtrade.lib.forms import number_text
from speedtrade.lib.money import NotANumber, parse_decimal


class MarketForm(forms.Form):
    """A form that can say what a service refused."""

    def with_refusal(self, error: DomainError) -> Self:
        """Show each field's error at its field, anything else above the form."""
        for one in error.errors:
            self.add_error(one.field if one.field in self.fields else None, one.detail)
        if not error.errors:
            self.add_error(None, error.detail)
        return self


class NameForm(MarketForm):
    name = forms.CharField(
        label="Name",
        help_text="Up to 60 characters, emoji too.",
        max_length=NAME_MAX,
        widget=forms.TextInput({"autocomplete": "off"}),
    )


class ImportForm(MarketForm):
    symbols = forms.CharField(
        label="Symbols",
        help_text="One a line, or parted by blanks or commas: AAPL, BTC/USD.",
        widget=forms.Textarea({"rows": 6, "spellcheck": "false", "autocapitalize": "characters"}),
    )


class AlertForm(MarketForm):
    """When AAPL rises above $190 notify me once: a field for each gap of the sentence."""

    symbol = forms.CharField(
        label="Symbol",
        max_length=32,
        error_messages={"required": "Write a symbol, AAPL for example."},
        widget=forms.TextInput(
            {
                "class": "input",
                "autocomplete": "off",
                "autocapitalize": "characters",
                "spellcheck": "false",
                "list": "alert-symbols",
                "placeholder": "AAPL",
            }
        ),
    )
    direction = forms.ChoiceField(
        label="Rises or falls",
        choices=list(DIRECTION_WORDS.items()),
        widget=forms.Select({"class": "input"}),
    )
    price = forms.CharField(
        label="Price",
        max_length=32,
        error_messages={"required": "Write a price."},
        widget=forms.TextInput({"class": "input", "inputmode": "decimal", "autocomplete": "off"}),
    )
    repeat = forms.ChoiceField(
        label="How often",
        choices=list(REPEAT_WORDS.items()),
        widget=forms.Select({"class": "input"}),
    )
    note = forms.CharField(
        label="Note",
        max_length=NOTE_MAX,
        required=False,
        widget=forms.TextInput({"class": "input", "autocomplete": "off"}),
    )

    def clean_price(self) -> Decimal:
        try:
            return parse_decimal(number_text(self.cleaned_data["price"]))
        except NotANumber as error:
            raise forms.ValidationError(str(error)) from error
