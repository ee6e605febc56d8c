"""Mail that is to be sent to a user: a row in the act's own transaction, sent after it."""

from django.conf import settings
from django.db import models
from django.db.models import Q


class Letter(models.Model):
    """One piece of mail. What it says follows from its kind: no secret and no link rests here."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="letters"
    )
    kind = models.CharField(max_length=30)  # of `services.letters.KINDS`
    to = models.EmailField(max_length=254)  # as it was then: a former address is told too
    about = models.CharField(max_length=60, blank=True, default="")  # a browser in words of ours
    created_at = models.DateTimeField()
    # When it is tried next; None once it was sent, or given up.
    due_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(sent_at=None) | Q(due_at=None), name="letter_sent_is_not_due"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=~Q(due_at=None), name="letter_due"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to user {self.user_id}"
