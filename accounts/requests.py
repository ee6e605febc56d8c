"""Who is asking, as the type checker wants to know it."""

from django.http import HttpRequest
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from accounts.models import User
from speedtrade.lib.htmx import HtmxHttpRequest


class UserRequest(HtmxHttpRequest):
    """A page's request behind the log-in: LoginDoorMiddleware has let nobody else through."""

    user: User


def user_of(request: Request | HttpRequest) -> User:
    """The user of a request behind a closed door; raises NotAuthenticated for anybody else."""
    user = request.user
    if not isinstance(user, User):
        raise NotAuthenticated
    return user
