"""Who may work at the support desk: one group with what the settings name, given with a reason."""

from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from accounts.models import User
from accounts.services.accounts import reason_required
from accounts.services.audit import audit_record
from speedtrade.lib.errors import Conflict

SUPPORT_GROUP = "Support"


@transaction.atomic
def support_group_ensure() -> Group:
    """The group of support staff: sees every row of our apps, does the acts of SUPPORT_ACTS.

    Raises ImproperlyConfigured for an act that no app has.
    """
    group, _ = Group.objects.get_or_create(name=SUPPORT_GROUP)
    ours = Permission.objects.filter(content_type__app_label__in=settings.SUPPORT_APPS)
    known = {f"{p.content_type.app_label}.{p.codename}": p for p in ours.select_related()}
    if missing := set(settings.SUPPORT_ACTS) - known.keys():
        raise ImproperlyConfigured(f"SUPPORT_ACTS names what no app has: {sorted(missing)}")
    sees = {name for name in known if name.partition(".")[2].startswith("view_")}
    group.permissions.set(known[name] for name in sees | set(settings.SUPPORT_ACTS))
    return group


@transaction.atomic
def support_grant(*, user: User, actor: User | None, reason: str, now: datetime) -> User:
    """Let a user work at the support desk; `actor` None is the command line.

    Raises InvalidInput without a reason, Conflict where the user is support staff already.
    """
    reason = reason_required(reason)
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    group = support_group_ensure()
    if user.is_staff and user.groups.filter(pk=group.pk).exists():
        raise Conflict(f"{user.username} is support staff already.")
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    user.groups.add(group)
    _audit(actor, user, "user.support_grant", reason, now)
    return user


@transaction.atomic
def support_revoke(*, user: User, actor: User | None, reason: str, now: datetime) -> User:
    """Close the support desk to a user, at once. Raises as `support_grant`."""
    reason = reason_required(reason)
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if not user.is_staff:
        raise Conflict(f"{user.username} is no support staff.")
    user.is_staff = False
    user.save(update_fields=["is_staff"])
    user.groups.remove(*Group.objects.filter(name=SUPPORT_GROUP))
    _audit(actor, user, "user.support_revoke", reason, now)
    return user


def _audit(actor: User | None, user: User, action: str, reason: str, now: datetime) -> None:
    audit_record(actor=actor, action=action, target=f"user:{user.pk}", reason=reason, now=now)
