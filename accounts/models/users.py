"""Who you are."""

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.validators import MinLengthValidator
from django.db import models
from django.db.models.functions import Lower

NAME_TAKEN = "This name is taken."
EMAIL_TAKEN = "This e-mail address has an account already."
USERNAME_MIN, USERNAME_MAX = 3, 30


class Theme(models.TextChoices):
    SYSTEM = "system", "As the device"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class User(AbstractUser):
    """A person. Name and e-mail are unique whatever their case; the id is an integer."""

    username = models.CharField(
        "name",
        max_length=USERNAME_MAX,
        unique=True,
        validators=[UnicodeUsernameValidator(), MinLengthValidator(USERNAME_MIN)],
        error_messages={"unique": NAME_TAKEN},
    )
    email = models.EmailField("e-mail", max_length=254)
    theme = models.CharField(max_length=8, choices=Theme.choices, default=Theme.SYSTEM)

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(
                Lower("email"), name="user_email_unique", violation_error_message=EMAIL_TAKEN
            ),
            models.UniqueConstraint(
                Lower("username"), name="user_name_unique", violation_error_message=NAME_TAKEN
            ),
        ]
