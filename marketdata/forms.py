"""Forms of the watchlists. They parse; what is allowed is decided by the services."""

from typing import Self

from django import forms

from marketdata.models.watchlists import NAME_MAX
from speedtrade.lib.errors import DomainError


class WatchlistForm(forms.Form):
    """A form that can say what a service refused."""

    def with_refusal(self, error: DomainError) -> Self:
        """Show each field's error at its field, anything else above the form."""
        for one in error.errors:
            self.add_error(one.field if one.field in self.fields else None, one.detail)
        if not error.errors:
            self.add_error(None, error.detail)
        return self


class NameForm(WatchlistForm):
    name = forms.CharField(
        label="Name",
        help_text="Up to 60 characters, emoji too.",
        max_length=NAME_MAX,
        widget=forms.TextInput({"autocomplete": "off"}),
    )


class ImportForm(WatchlistForm):
    symbols = forms.CharField(
        label="Symbols",
        help_text="One a line, or parted by blanks or commas: AAPL, BTC/USD.",
        widget=forms.Textarea({"rows": 6, "spellcheck": "false", "autocapitalize": "characters"}),
    )
