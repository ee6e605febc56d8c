"""Symbols a person keeps an eye on."""

from django.conf import settings
from django.db import models

from marketdata.models.instruments import Instrument

NAME_MAX = 60


class Watchlist(models.Model):
    """A named, ordered list of one user. The positions of a user's lists are 0, 1, 2, ….

    They are unique at the end of each transaction, so that a move may pass through a clash.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="watchlists"
    )
    name = models.CharField(max_length=NAME_MAX)
    position = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "name"], name="watchlist_name_unique"),
            models.UniqueConstraint(
                fields=["user", "position"],
                name="watchlist_position_unique",
                deferrable=models.Deferrable.DEFERRED,
            ),
        ]

    def __str__(self) -> str:
        return self.name


class WatchlistItem(models.Model):
    """A symbol of a list. The positions of a list's items are 0, 1, 2, …."""

    watchlist = models.ForeignKey(Watchlist, on_delete=models.CASCADE, related_name="items")
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="+")
    position = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["watchlist", "instrument"], name="watchlist_item_once"),
            models.UniqueConstraint(
                fields=["watchlist", "position"],
                name="watchlist_item_position_unique",
                deferrable=models.Deferrable.DEFERRED,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.watchlist_id}:{self.instrument_id}"
