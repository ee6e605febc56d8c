"""Client order ids, ours and the venue's. The same in, the same out: a mapping needs no table.

Ours are 32 hex digits, or a text of the user's own. A venue takes fewer: what it does not take as
it is becomes a name-based UUID, which nothing but our own orders can turn back.
"""

import re
import uuid
from collections.abc import Iterable

from trading.brokers.ccxt.venues import Venue
from trading.models import Order

_HEX = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SPACE = uuid.UUID("5f3c2c0e-8f0a-5f55-9a55-53b7d5ab1a0d")  # ours alone


def venue_id(venue: Venue, client_order_id: str) -> str:
    """What the venue is told for an id of ours."""
    if _HEX.fullmatch(client_order_id):
        return str(uuid.UUID(client_order_id)) if venue.cid_dashes else client_order_id
    # A UUID written with dashes would come back as one of ours without them.
    dashed = venue.cid_dashes and _UUID.fullmatch(client_order_id)
    if not dashed and re.fullmatch(venue.cid_text, client_order_id):
        return client_order_id
    return str(uuid.uuid5(_SPACE, client_order_id))


def our_id(venue: Venue, told: str) -> str:
    """The id of ours that a venue's id stands for, where the id alone says so."""
    if venue.cid_dashes and _UUID.fullmatch(told):
        return uuid.UUID(told).hex
    return told


def our_ids(venue: Venue, account_id: int, told: Iterable[str]) -> dict[str, str]:
    """Venue id -> ours, also for texts of the user's own: those are looked for in our orders."""
    found = {one: our_id(venue, one) for one in told if one}
    named = {one for one in found if _UUID.fullmatch(one) and uuid.UUID(one).version == 5}
    if named:
        ours = Order.objects.filter(brokerage_account_id=account_id)
        for client_order_id in ours.exclude(client_order_id__regex="^[0-9a-f]{32}$").values_list(
            "client_order_id", flat=True
        ):
            theirs = venue_id(venue, client_order_id)
            if theirs in named:
                found[theirs] = client_order_id
    return found
