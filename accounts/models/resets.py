"""Second factors that support is asked to take away: two of the staff, never one."""

from django.conf import settings
from django.db import models


class FactorReset(models.Model):
    """One of the staff asks, with a reason; another one approves. Done or lapsed, the row stays."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="factor_resets"
    )
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    reason = models.CharField(max_length=200)
    asked_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=models.Q(done_at=None), name="factor_reset_one_open"
            ),
            models.CheckConstraint(
                condition=models.Q(approved_by=None) | ~models.Q(approved_by=models.F("asked_by")),
                name="factor_reset_by_two",
            ),
            models.CheckConstraint(
                condition=models.Q(done_at=None) | ~models.Q(approved_by=None),
                name="factor_reset_done_is_approved",
            ),
        ]

    def __str__(self) -> str:
        return f"factor reset of user {self.user_id}"
