"""API keys in every state, and requests that came with one, for the world of hard states."""

from datetime import datetime, timedelta

from accounts.api_keys import key_digest, key_draw
from accounts.models import ApiKey, BrokerageAccount, Scope
from speedtrade.lib.request_log import Call, calls_add

#: name -> (days since it was made, days it lives, whether it was revoked)
STATES = {
    "Rebalancer": (10, 90, False),
    "A notebook that reads the portfolio once a day and mails what moved": (85, 90, False),
    "Old robot": (100, 90, False),
    "Leaked": (20, 90, True),
}
CALLS = (("GET", "portfolio", 200, ""), ("POST", "orders", 403, "scope_missing"))


def keys_make(account: BrokerageAccount, now: datetime) -> None:
    """A key in each state, one of them bound and used; what it asked for is listed."""
    user = account.user
    for name, (ago, days, revoked) in STATES.items():
        raw, prefix = key_draw()
        made = now - timedelta(days=ago)
        key = ApiKey.objects.create(
            user=user,
            name=name[:60],
            prefix=prefix,
            digest=key_digest(raw),
            scope=Scope.READ if len(name) > 20 else Scope.TRADE,
            account=account if ago == 10 else None,
            networks=["203.0.113.0/24", "2001:db8::/32"] if ago == 10 else [],
            created_at=made,
            expires_at=made + timedelta(days=days),
            last_used_at=now if ago == 10 else None,
            last_used_ip="203.0.113.7" if ago == 10 else None,
            revoked_at=now if revoked else None,
        )
        for number, (method, path, status, code) in enumerate(CALLS if ago == 10 else ()):
            at, request_id = now.isoformat(timespec="milliseconds"), f"{number}" * 32
            call = Call(at, method, f"/api/v1/{path}", status, code, key.prefix, 4, request_id)
            calls_add(user.pk, call)
