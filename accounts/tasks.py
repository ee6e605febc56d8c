"""Periodic duties of this app."""

from celery import shared_task
from django.utils import timezone

from accounts.tokens import families_expire


@shared_task
def families_clean() -> int:
    """Delete token families that are long dead; harmless twice."""
    return families_expire(now=timezone.now())
