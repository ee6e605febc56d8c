"""Work that ended its worker again and again, put aside until a person has looked."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class ParkedTask(models.Model):
    """One task with its arguments; while `released_at` is empty it is not begun.

    What it was about is in other rows, which stay as they are: only the work is put aside.
    """

    task = models.CharField(max_length=100)
    arguments = models.CharField(max_length=200, help_text="As JSON.")
    queue = models.CharField(max_length=50)
    parked_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True)
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task", "arguments"],
                condition=Q(released_at__isnull=True),
                name="task_parked_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.task} {self.arguments}"
