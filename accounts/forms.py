"""The forms of the account pages. They parse; what is allowed is decided by the services.

Passwords are not stripped: one is what was typed, blanks and all.
"""

from typing import Any

from django import forms

from accounts.models import Theme, User
from accounts.models.users import USERNAME_MAX
from speedtrade.lib.errors import DomainError


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
        label="I understand that this is paper money and that nothing here is real.",
        error_messages={"required": "Tick the box: it is good to know before you start."},
    )

    def person(self) -> dict[str, Any]:
        """What makes a user; the box is between the page and whoever reads it."""
        return {name: self.cleaned_data[name] for name in ("username", "email", "password")}


class ProfileForm(HouseForm):
    email = forms.CharField(label="E-mail", max_length=254, widget=forms.EmailInput(_text("email")))
    theme = forms.ChoiceField(label="Theme", choices=Theme.choices)

    @classmethod
    def of(cls, user: User) -> "ProfileForm":
        return cls(initial={"email": user.email, "theme": user.theme})


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
