"""Who the password belongs to: a name or an e-mail address, whatever its case."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest

from accounts.models import User
from accounts.selectors import user_by_login


class NameOrEmailBackend(ModelBackend):
    """Django's own, with our look-up. Doors come through `services.logins`, which counts tries."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        if not username or password is None:
            return None
        user = user_by_login(username)
        if user is None:
            make_password(password)  # unknown names take as long as wrong passwords
            return None
        if user.check_password(password) and self.user_can_authenticate(user):
            return user
        return None
