"""Work that was put aside, for the support desk."""

from datetime import datetime

from django.contrib import admin

from accounts.models import User
from speedtrade.lib.admin import SupportAdmin, support_action
from trading.models import ParkedTask
from trading.services.parking import task_release


def _release(row: ParkedTask, actor: User, reason: str, now: datetime) -> str:
    task_release(parked=row, actor=actor, reason=reason, now=now)
    return "it is tried again."


@admin.register(ParkedTask)
class ParkedTaskAdmin(SupportAdmin):
    """What ended its worker each time it was begun. The log of the worker says how."""

    list_display = ("id", "task", "arguments", "parked_at", "released_at", "released_by")
    list_filter = (("released_at", admin.EmptyFieldListFilter), "task")
    list_select_related = ("released_by",)
    search_fields = ("task", "=arguments")
    ordering = ("-id",)
    fields = ("task", "arguments", "queue", "parked_at", ("released_at", "released_by"))
    actions = (
        support_action(
            name="release",
            label="Try it again",
            question="It ended its worker each time. Find out why first: the worker begins it "
            "again, and puts it aside again after as many ends.",
            perform=_release,
            fits=lambda row: row.released_at is None,
        ),
    )

    def owner_of(self, row: ParkedTask) -> None:
        """Work is the house's, whoever's order it was about."""
        return None
