"""Who you are."""

import hashlib
from collections.abc import Iterator

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.validators import MinLengthValidator
from django.db import models
from django.db.models.functions import Lower

from speedtrade.lib.fields import MoneyField

NAME_TAKEN = "This name is taken."
EMAIL_TAKEN = "This e-mail address has an account already."
TOASTS = ("fills", "ends", "alerts", "connection")
USERNAME_MIN, USERNAME_MAX = 3, 30


class Theme(models.TextChoices):
    SYSTEM = "system", "As the device"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class Palette(models.TextChoices):
    """Which colours say gain and loss; sign, arrow and word say it too."""

    STANDARD = "", "Green up, red down"
    BLUE = "cb", "Blue up, orange down (colour-blind)"
    RED_UP = "red-up", "Red up, green down (East Asia)"


class Density(models.TextChoices):
    """How much room the rows of tables and lists take where a mouse points at them."""

    COMFORTABLE = "", "Comfortable"
    COMPACT = "compact", "Compact"


class OrderUnit(models.TextChoices):
    """What the amount of a new ticket counts."""

    SHARES = "shares", "Shares or coins"
    DOLLARS = "dollars", "Dollars"


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
    # When its owner followed a link that was sent there; a new address begins anew.
    email_verified_at = models.DateTimeField("e-mail verified", null=True, editable=False)
    # The last one that was verified, while `email` is not: it is told of what happens meanwhile.
    email_former = models.EmailField(
        "former e-mail", max_length=254, blank=True, default="", db_default="", editable=False
    )
    email_round = models.PositiveIntegerField(
        default=0, db_default=0, editable=False, help_text="Counts up to void links to an address."
    )
    theme = models.CharField(max_length=8, choices=Theme.choices, default=Theme.SYSTEM)
    palette = models.CharField(
        max_length=8, choices=Palette.choices, default=Palette.STANDARD, blank=True
    )
    density = models.CharField(
        max_length=8, choices=Density.choices, default=Density.COMFORTABLE, blank=True
    )
    flashes = models.BooleanField("flash a price that moves", default=True)
    paused = models.BooleanField("pause live prices", default=False)
    shortcuts = models.BooleanField("single-key shortcuts", default=True)
    # What a toast may tell; what has none is still spoken to a screen reader.
    toast_fills = models.BooleanField(default=True, db_default=True)
    toast_ends = models.BooleanField(default=True, db_default=True)
    toast_alerts = models.BooleanField(default=True, db_default=True)
    toast_connection = models.BooleanField(default=True, db_default=True)
    order_unit = models.CharField(max_length=8, choices=OrderUnit.choices, default=OrderUnit.SHARES)
    # A paper order worth less than this is placed without a review; 0: each one is reviewed.
    review_below = MoneyField(default=0, db_default=0)
    # A live order worth this or more is confirmed on purpose; empty: as the house has it.
    hold_from = MoneyField(null=True, blank=True)
    order_type = models.CharField("last order type", max_length=16, default="market")
    indicators = models.JSONField("lines on the price chart", default=list, blank=True)
    columns = models.JSONField("columns of tables", default=dict, blank=True)
    session_round = models.PositiveIntegerField(
        default=0, editable=False, help_text="Counts up to end every session and token."
    )

    #: Set on the instance that an API key bound to one account let in: what looks up accounts,
    #: orders and positions of a user shows it nothing of the others.
    only_account_id: int | None = None

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(
                Lower("email"), name="user_email_unique", violation_error_message=EMAIL_TAKEN
            ),
            models.UniqueConstraint(
                Lower("username"), name="user_name_unique", violation_error_message=NAME_TAKEN
            ),
            models.CheckConstraint(
                condition=models.Q(review_below__gte=0), name="user_review_not_below"
            ),
            models.CheckConstraint(
                condition=models.Q(hold_from__isnull=True) | models.Q(hold_from__gte=0),
                name="user_hold_from_not_below",
            ),
        ]

    @property
    def quiet(self) -> str:
        """What pages show no toast of, as `data-quiet` has it: words of `static/js/ui.js`."""
        return " ".join(about for about in TOASTS if not getattr(self, f"toast_{about}"))

    def get_session_auth_hash(self) -> str:
        """What a session and a token family must still match: the password, and the round."""
        return self._in_round(super().get_session_auth_hash())

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        yield from map(self._in_round, super().get_session_auth_fallback_hash())

    def _in_round(self, hashed: str) -> str:
        if not self.session_round:
            return hashed
        return hashlib.sha256(f"{hashed}:{self.session_round}".encode()).hexdigest()
