"""Tell browsers that something changed: ids only, on commit, harmless when lost.

Publishers call `live_publish`. The consumer of `/ws` turns an event into a message with the
renderer that the owning app registered, so that each message is built under one permission path.
A page that missed an event finds the truth when it refetches.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypedDict

from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction

from speedtrade.lib.later import later, redis_tell

Kind = Literal["order", "portfolio", "alert", "account", "halt", "logout"]
EVERYONE = "everyone"  # the group of every socket: for what is nobody's own
#: (user id, id of the thing) -> the message to send, or None where it is not theirs (any more).
Renderer = Callable[[int, int], dict[str, Any] | None]

_RENDERERS: dict[str, Renderer] = {}


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a user holds: symbols whose prices matter, and a book only its valuer understands.

    From `over_at` on another session counts as today, and the book must be read anew.
    """

    symbols: tuple[str, ...]
    book: Any
    over_at: datetime | None = None


#: (user id, now, account id) -> the holdings of this account of the user, of the default one for
#: None; or None where there is nothing or it is not theirs. Reads the database.
HoldingsLoader = Callable[[int, datetime, int | None], Holdings | None]
#: (book, symbol -> Quote without depth, now) -> {"type": "portfolio", "portfolio": {…}}. Pure and
#: cheap: it runs in the event loop. A held symbol may be missing from the quotes.
HoldingsValuer = Callable[[Any, Mapping[str, Any], datetime], dict[str, Any]]

_PORTFOLIO: list[tuple[HoldingsLoader, HoldingsValuer]] = []


class LiveEvent(TypedDict):
    """What travels over the channel layer; `account` is one whose portfolio has changed as well."""

    type: Literal["live.event"]
    kind: Kind
    id: int
    account: int | None


def user_group(user_id: int) -> str:
    return f"user.{user_id}"


def register_renderer(kind: Kind, renderer: Renderer) -> None:
    """Called once per kind, from AppConfig.ready() of the app that owns it."""
    _RENDERERS[kind] = renderer


def render_event(kind: str, user_id: int, thing_id: int) -> dict[str, Any] | None:
    """The message for a socket of `user_id`, or None where there is nothing to say."""
    renderer = _RENDERERS.get(kind)
    return renderer(user_id, thing_id) if renderer else None


def register_portfolio(loader: HoldingsLoader, valuer: HoldingsValuer) -> None:
    """Called once, from AppConfig.ready() of the portfolio: how its message is made."""
    _PORTFOLIO[:] = [(loader, valuer)]


def holdings_load(user_id: int, now: datetime, account_id: int | None = None) -> Holdings | None:
    """What the user holds, from the database; None where nobody registered or there is nothing."""
    return _PORTFOLIO[0][0](user_id, now, account_id) if _PORTFOLIO else None


def holdings_value(
    holdings: Holdings, quotes: Mapping[str, Any], now: datetime
) -> dict[str, Any] | None:
    """The portfolio message at these quotes; None where nobody registered."""
    return _PORTFOLIO[0][1](holdings.book, quotes, now) if _PORTFOLIO else None


def live_publish(*, user_id: int, kind: Kind, thing_id: int, account_id: int | None = None) -> None:
    """After the commit of the running transaction, tell every socket of this user.

    With `account_id` the portfolio of that account has changed too: one event says both.
    """
    _publish(user_group(user_id), kind, thing_id, account_id)


def live_publish_all(*, kind: Kind, thing_id: int) -> None:
    """After the commit of the running transaction, tell every socket there is. For rare things."""
    _publish(EVERYONE, kind, thing_id, None)


def _publish(group: str, kind: Kind, thing_id: int, account_id: int | None) -> None:
    transaction.on_commit(lambda: later(_send, group, kind, thing_id, account_id), robust=True)


def _send(group: str, kind: Kind, thing_id: int, account_id: int | None) -> None:
    """As `group_send` of the layer does, without a loop of its own for one command.

    A group of a layer that publishes is a channel of Redis; its name is the layer's business and
    has been the same since channels-redis 4.0.
    """
    event: LiveEvent = {"type": "live.event", "kind": kind, "id": thing_id, "account": account_id}
    layer = get_channel_layer()
    if layer is not None:
        redis_tell("PUBLISH", f"{settings.LAYER_PREFIX}__group__{group}", layer.serialize(event))
