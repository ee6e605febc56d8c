"""The request as the pages of a user see it."""

from accounts.models import User
from speedtrade.lib.htmx import HtmxHttpRequest


class UserRequest(HtmxHttpRequest):
    """A request behind the log-in: LoginDoorMiddleware has let nobody else through."""

    user: User
