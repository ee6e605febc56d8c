"""The forms of who forgot the password."""

from django import forms

from accounts.forms import HouseForm, LoginForm, PasswordForm


class ForgottenForm(HouseForm):
    username = LoginForm.base_fields["username"]


class NewPasswordForm(HouseForm):
    password = forms.CharField(
        label="New password",
        help_text="A few words make a good one.",
        widget=PasswordForm.base_fields["new_password"].widget,
        strip=False,
    )
