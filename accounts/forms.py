"""The forms of the account pages. They parse; what is allowed is decided by the services.

Passwords are not stripped: one is what was typed, blanks and all.
"""

from decimal import Decimal
from typing import Any, Self

from django import forms
from django.conf import settings

from accounts.models import BrokerageAccount, Density, OrderUnit, Palette, Theme, User
from accounts.models.users import USERNAME_MAX
from speedtrade.lib.errors import DomainError
from speedtrade.lib.formats import money_text
from speedtrade.lib.forms import number_text
from speedtrade.lib.money import NotANumber, parse_decimal, plain


def _text(autocomplete: str, **more: Any) -> dict[str, Any]:
    attrs = {"autocomplete": autocomplete, "autocapitalize": "none", "spellcheck": "false"}
    return {**attrs, **more}


class HouseForm(forms.Form):
    """A form that can say what a service refused."""

    def with_error(self, error: DomainError) -> "HouseForm":
        """Show each field error at its field, anything else above the form."""
        for one in error.errors:
            field = one.field if one.field in self.fields else None
            self.add_error(field, forms.ValidationError(one.detail, code=one.code))
        if not error.errors:
            self.add_error(None, forms.ValidationError(error.detail, code=error.code))
        return self


class AmountField(forms.CharField):
    """An amount of money as people write it; None where nothing is written."""

    def __init__(self, **options: Any) -> None:
        widget = forms.TextInput(_text("off", inputmode="decimal"))
        super().__init__(max_length=40, required=False, widget=widget, **options)

    def prepare_value(self, value: Any) -> Any:
        return plain(value, 2) if isinstance(value, Decimal) else value

    def clean(self, value: Any) -> Decimal | None:
        text = number_text(super().clean(value))
        try:
            return parse_decimal(text) if text else None
        except NotANumber as error:
            raise forms.ValidationError("Write an amount, such as 250.") from error


class LoginForm(HouseForm):
    username = forms.CharField(
        label="Name or e-mail",
        max_length=254,
        widget=forms.TextInput(_text("username", autofocus=True)),
    )
    password = forms.CharField(
        label="Password",
        widget=forms.PasswordInput(_text("current-password")),
        strip=False,
    )


class CodeForm(HouseForm):
    """A code of an app or a recovery code; whether it is right is for the services."""

    code = forms.CharField(
        label="Code",
        help_text="The six digits of your app now, or one of your recovery codes.",
        max_length=40,
        widget=forms.TextInput(_text("one-time-code", inputmode="numeric", autofocus=True)),
    )


class StepForm(CodeForm):
    """The second step of a log-in."""

    trust = forms.BooleanField(
        label=f"Do not ask in this browser for {settings.BROWSER_TRUSTED_FOR.days} days",
        help_text="On a device of your own alone.",
        required=False,
    )


class PasskeyForm(HouseForm):
    name = forms.CharField(
        label="Its name",
        help_text="Such as: my phone.",
        max_length=40,
        widget=forms.TextInput(_text("off")),
    )


class ConfirmForm(HouseForm):
    """Who is at the keyboard: a code of who has a second factor, the password of others."""

    password = forms.CharField(
        label="Your password",
        widget=forms.PasswordInput(_text("current-password")),
        strip=False,
    )
    code = forms.CharField(
        label="Code",
        help_text="Of your app, or a recovery code.",
        max_length=40,
        widget=forms.TextInput(_text("one-time-code", inputmode="numeric")),
    )

    def __init__(self, *args: Any, factor: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["password" if factor else "code"]
        if factor:  # a passkey comes without one
            self.fields["code"].required = not self.data.get("credential")


class RegisterForm(HouseForm):
    username = forms.CharField(
        label="Name",
        help_text="3 to 30 letters, digits and . + - _",
        max_length=USERNAME_MAX,
        widget=forms.TextInput(_text("username", autofocus=True)),
    )
    email = forms.CharField(label="E-mail", max_length=254, widget=forms.EmailInput(_text("email")))
    password = forms.CharField(
        label="Password",
        help_text="A few words make a good one.",
        widget=forms.PasswordInput(_text("new-password")),
        strip=False,
    )
    paper = forms.BooleanField(
        label="I understand that this is paper money and that nothing here is real",
        error_messages={"required": "Tick the box: it is good to know before you start."},
    )

    def person(self) -> dict[str, Any]:
        """What makes a user; the box is between the page and whoever reads it."""
        return {name: self.cleaned_data[name] for name in ("username", "email", "password")}


class ProfileForm(HouseForm):
    email = forms.CharField(label="E-mail", max_length=254, widget=forms.EmailInput(_text("email")))

    @classmethod
    def of(cls, user: User) -> "ProfileForm":
        return cls(initial={"email": user.email})


class PreferencesForm(HouseForm):
    """Fields that are named as those of the user."""

    @classmethod
    def of(cls, user: User) -> Self:
        return cls(initial={name: getattr(user, name) for name in cls.base_fields})


class TradingForm(PreferencesForm):
    order_unit = forms.ChoiceField(
        label="The amount of a new order counts",
        help_text="Each ticket can still change it.",
        choices=OrderUnit.choices,
        widget=forms.RadioSelect({"class": "choices"}),
    )
    review_below = AmountField(
        label="Place orders below this amount without a review",
        help_text="Empty: you review each one. Orders of a live account are always reviewed.",
    )
    hold_from = AmountField(
        label="Large live orders: hold to confirm from",
        help_text="A live order worth this or more is placed by holding the button, or by typing "
        f"its symbol. Empty: {money_text(settings.HOLD_TO_CONFIRM_FROM)}. 0: every live order.",
    )

    @classmethod
    def of(cls, user: User) -> Self:
        form = super().of(user)
        form.initial["review_below"] = user.review_below or None
        return form

    def clean_review_below(self) -> Decimal:
        return self.cleaned_data["review_below"] or Decimal(0)


class LimitsForm(HouseForm):
    """What the orders of one account may come to, as its owner wants it."""

    order_cap = AmountField(
        label="One order is worth at most",
        help_text=f"Empty: the house's limit of {money_text(settings.RISK_MAX_ORDER_NOTIONAL)}.",
    )
    day_cap = AmountField(
        label="Purchases of a day come to at most",
        help_text=f"Empty: the house's limit of {money_text(settings.RISK_MAX_DAY_NOTIONAL)}. "
        "A day begins at midnight UTC.",
    )
    password = forms.CharField(
        label="Your password",
        help_text="Only to raise a limit or to take one away.",
        required=False,
        widget=forms.PasswordInput(_text("current-password")),
        strip=False,
    )

    @classmethod
    def of(cls, account: BrokerageAccount) -> "LimitsForm":
        return cls(initial={"order_cap": account.order_cap, "day_cap": account.day_cap})

    def caps(self) -> dict[str, Decimal | None]:
        """The limits that were asked for; None where there is to be none."""
        return {name: self.cleaned_data[name] for name in ("order_cap", "day_cap")}


class AppearanceForm(PreferencesForm):
    theme = forms.ChoiceField(
        label="Theme",
        choices=Theme.choices,
        widget=forms.RadioSelect({"class": "choices", "data-preview": "theme"}),
    )
    palette = forms.ChoiceField(
        label="Colours of gain and loss",
        help_text="Sign, arrow and word always say it too.",
        required=False,
        choices=Palette.choices,
        widget=forms.RadioSelect({"class": "choices", "data-preview": "palette"}),
    )
    density = forms.ChoiceField(
        label="Rows of tables and lists",
        help_text="Where a finger points, rows always keep their room.",
        required=False,
        choices=Density.choices,
        widget=forms.RadioSelect({"class": "choices", "data-preview": "density"}),
    )
    flashes = forms.BooleanField(
        label="Flash a price that moves",
        help_text="Never where your device asks for less motion.",
        required=False,
    )
    paused = forms.BooleanField(
        label="Pause live prices",
        help_text="Numbers stand still; a page that is loaded anew shows the newest.",
        required=False,
    )
    shortcuts = forms.BooleanField(
        label="Single-key shortcuts",
        help_text="Such as / for the search. Keys with Ctrl or Cmd always work.",
        required=False,
    )


class NotificationsForm(PreferencesForm):
    toast_fills = forms.BooleanField(label="Fills, whole and in part", required=False)
    toast_ends = forms.BooleanField(
        label="Orders that end otherwise: canceled, rejected, expired", required=False
    )
    toast_alerts = forms.BooleanField(label="Price alerts", required=False)
    toast_connection = forms.BooleanField(
        label="Live prices that stop and come back",
        help_text="Without it the dot beside the search is all that shows it.",
        required=False,
    )


class CloseForm(HouseForm):
    username = forms.CharField(
        label="Your name, to be sure",
        max_length=USERNAME_MAX,
        widget=forms.TextInput(_text("off")),
    )
    password = forms.CharField(
        label="Your password",
        widget=forms.PasswordInput(_text("current-password")),
        strip=False,
    )


class PasswordForm(HouseForm):
    current_password = forms.CharField(
        label="Current password",
        widget=forms.PasswordInput(_text("current-password")),
        strip=False,
    )
    new_password = forms.CharField(
        label="New password",
        help_text="At least 10 characters. Everywhere else you are logged out.",
        widget=forms.PasswordInput(_text("new-password")),
        strip=False,
    )
