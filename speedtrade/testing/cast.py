"""The cast: Alice trades, Bob is support staff, Charlie is a stranger.

Everybody is made by the services that make real users, so each has a funded paper account.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.models import BrokerageAccount, User
from accounts.second_factor import app_add, app_offer, has_factor
from accounts.selectors import account_for_user
from accounts.services.users import user_register
from accounts.sessions import CONFIRMED_AT, FACTOR_AT
from accounts.tokens import tokens_issue

PASSWORD = "correct-horse-9-battery"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday, when a test needs some time and no other


def make_user(username: str, *, staff: bool = False, **fields: Any) -> User:
    """A registered user `<username>@example.com` with PASSWORD; `fields` are set afterwards."""
    user = user_register(
        username=username,
        email=f"{username}@example.com",
        password=PASSWORD,
        now=timezone.now(),
    )
    changes = {"is_staff": True, **fields} if staff else fields
    for name, value in changes.items():
        setattr(user, name, value)
    if changes:
        user.save(update_fields=list(changes))
    return user


def make_superuser(username: str = "root") -> User:
    return make_user(username, staff=True, is_superuser=True)


def account_of(user: User) -> BrokerageAccount:
    """The user's default account."""
    return account_for_user(user=user)


def page_client(user: User | None = None, **options: Any) -> Client:
    """A browser without JavaScript, logged in as `user`; `options` are those of Django's Client."""
    client = Client(**options)
    if user is not None:
        client.force_login(user)
        session = client.session
        session_confirm(session, user)
        session.save()
    return client


def session_confirm(session: Any, user: User) -> None:
    """As if its person had just logged in, with the second factor of who has or must have one."""
    session[CONFIRMED_AT] = timezone.now().timestamp()
    if user.is_staff and not has_factor(user):
        give_app(user)
    if has_factor(user):
        session[FACTOR_AT] = timezone.now().timestamp()


def give_app(user: User) -> str:
    """An authenticator app for this user; its secret, for `app_code`."""
    with transaction.atomic():
        offer = app_offer(user)
        now = timezone.now() - timedelta(minutes=5)  # so that the code of now was not used
        assert app_add(user, sealed=offer.sealed, code=app_code(offer.secret, now), now=now)
    return offer.secret


def app_code(secret: str, now: datetime | None = None) -> str:
    """What an app with this secret shows at `now`."""
    counter = int((now or timezone.now()).timestamp()) // 30
    return format_hotp_value(hotp_value(secret, counter))


@dataclass
class ApiClient:
    """A script: JSON in and out, with a bearer token of its user."""

    user: User | None = None
    token: str = ""

    def __post_init__(self) -> None:
        self.client = Client()
        if self.user is not None and not self.token:
            self.token = tokens_issue(user=self.user, now=timezone.now()).access_token

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Django's test response to `method path` with `body` as JSON; paths start at /api/v1."""
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        return self.client.generic(
            method,
            path if path.startswith("/api/") else f"/api/v1/{path.lstrip('/')}",
            "" if body is None else _json(body),
            content_type="application/json",
            headers=headers,
        )

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, None, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("POST", path, body, **headers)


def _json(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body)
