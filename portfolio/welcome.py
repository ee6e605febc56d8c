"""The first steps of a new user, each ticked from what is really there."""

from dataclasses import dataclass

from django.conf import settings
from django.urls import reverse

from accounts.models import AuditEvent, BrokerageAccount, User
from marketdata.models import WatchlistItem
from portfolio.models import WelcomeDismissal
from portfolio.panels import fact_holds

#: Preferences that only a person changes, never the house on the way.
PERSONAL = ("theme", "palette", "density", "flashes", "paused", "shortcuts")
SECURED = ("user.password_change", "user.password_reset", "user.email_change")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, where, and whether it is done."""

    title: str
    text: str
    url: str
    done: bool


def welcome_steps(user: User, account: BrokerageAccount) -> list[Step]:
    """The steps to show: [] once all are done or the user has put them away."""
    if WelcomeDismissal.objects.filter(user=user).exists():
        return []
    steps = [
        Step(
            "Star a symbol of your own choosing",
            "It joins your watchlist, here and on every device.",
            reverse("marketdata:markets"),
            _starred(user),
        ),
        Step(
            "Place a paper order",
            "One share, or fifty dollars of a coin: the review says what it will cost.",
            reverse("marketdata:symbol", args=[settings.WATCHLIST_DEFAULT[0]]),
            fact_holds("ordered", account),
        ),
        Step(
            "Make the account yours",
            "A theme you like to look at, a password that nobody else has.",
            reverse("accounts:settings"),
            _personal(user) or fact_holds("secured", account),
        ),
    ]
    return [] if all(step.done for step in steps) else steps


def _starred(user: User) -> bool:
    """Whether a list holds a symbol that the house did not put there."""
    items = WatchlistItem.objects.filter(watchlist__user=user)
    return items.exclude(instrument__symbol__in=settings.WATCHLIST_DEFAULT).exists()


def _personal(user: User) -> bool:
    """Whether a preference was changed, or the password or the e-mail address."""
    fresh = User()
    if any(getattr(user, name) != getattr(fresh, name) for name in PERSONAL):
        return True
    return AuditEvent.objects.filter(target=f"user:{user.pk}", action__in=SECURED).exists()
