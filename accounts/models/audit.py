"""Who did what to whom, and why. Append-only (trigger)."""

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models


class AuditEvent(models.Model):
    """One act of a person or of the house that support must be able to explain later."""

    at = models.DateTimeField()
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    action = models.CharField(max_length=60)  # "order.cancel", "instrument.halt"
    target = models.CharField(max_length=100)  # "order:12"
    reason = models.CharField(max_length=500, blank=True, default="")
    request_id = models.CharField(max_length=64, blank=True, default="")
    data = models.JSONField(default=dict, blank=True, encoder=DjangoJSONEncoder)

    class Meta:
        indexes = [
            models.Index(fields=["target", "-at"], name="audit_target"),
            models.Index(fields=["-at"], name="audit_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"


class AuditSeal(models.Model):
    """The next link of the chain: this event, and by `previous` all before it. Append-only.

    Two links cannot follow one, so two sealers at once make no fork: the second is refused.
    """

    event = models.OneToOneField(AuditEvent, on_delete=models.PROTECT, related_name="seal")
    previous = models.CharField(max_length=64, unique=True)  # "" of the first
    digest = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(digest__regex="^[0-9a-f]{64}$"), name="audit_seal_is_a_digest"
            )
        ]

    def __str__(self) -> str:
        return f"seal {self.pk} of event {self.event_id}"
