"""Keys of broker accounts at rest: the one place that seals them and the one that opens them."""

from dataclasses import asdict
from datetime import datetime

from django.db import IntegrityError, transaction

from accounts.keys import BrokerKey
from accounts.models import BrokerageAccount, BrokerCredential
from speedtrade.lib.crypto import Unreadable, fingerprint, fingerprints, seal, unseal
from speedtrade.lib.errors import DomainError

HINT_LENGTH = 4
HINT_FROM = 12  # of a shorter api key nothing is shown
_UNIQUE = "credential_key_once"


class CredentialUnreadable(DomainError):
    """There is no key for this account, or none that this installation can open."""

    code, status = "credential_unreadable", 409


class AlreadyConnected(DomainError):
    """The key serves an account of this user already."""

    code, status = "already_connected", 422


def credential_put(*, account: BrokerageAccount, key: BrokerKey, now: datetime) -> None:
    """Keep this key for the account, in place of an older one; in the caller's transaction.

    Raises AlreadyConnected where another account of this user has the same key for the same market:
    both would count the same fills.
    """
    others = BrokerCredential.objects.exclude(brokerage_account=account)
    if others.filter(fingerprint__in=fingerprints(_marked(account, key), purpose="key")).exists():
        raise AlreadyConnected
    twin = False
    try:
        with transaction.atomic():
            BrokerCredential.objects.update_or_create(
                brokerage_account=account, defaults={**_sealed(account, key), "created_at": now}
            )
    except IntegrityError as error:
        diagnosis = getattr(error.__cause__, "diag", None)
        twin = getattr(diagnosis, "constraint_name", None) == _UNIQUE
        if not twin:
            raise
    if twin:  # raised out here: the database's own words hold the fingerprint
        raise AlreadyConnected


def credential_read(account: BrokerageAccount) -> BrokerKey:
    """The key of an account, in the clear; raises CredentialUnreadable where there is none.

    The ciphertext opens only for the account, the user and the market that it was sealed for.
    """
    row = BrokerCredential.objects.filter(brokerage_account=account).first()
    if row is None:
        raise CredentialUnreadable("No key is stored for this account.")
    return _opened(row, account)


def credential_forget(account: BrokerageAccount) -> None:
    """Delete the key of an account; nothing brings it back."""
    BrokerCredential.objects.filter(brokerage_account=account).delete()


def credentials_rotate(*, now: datetime) -> tuple[int, list[int]]:
    """Seal every key anew with the first of FIELD_KEYS; (how many, ids of those left as they were).

    One transaction for each: what was done stays done. A row that cannot be opened is not touched.
    """
    done, unreadable = 0, []
    for pk in BrokerCredential.objects.order_by("id").values_list("pk", flat=True):
        with transaction.atomic():
            rows = BrokerCredential.objects.select_for_update().filter(pk=pk)
            row = rows.first()
            if row is None:
                continue  # disconnected in the meantime
            account = BrokerageAccount.objects.get(pk=row.brokerage_account_id)
            try:
                fresh = _sealed(account, _opened(row, account))
            except CredentialUnreadable:
                unreadable.append(account.pk)
                continue
            rows.update(**fresh, rotated_at=now)
            done += 1
    return done, unreadable


def credentials_unreadable() -> tuple[int, list[int]]:
    """(how many keys are stored, ids of the accounts whose key none of FIELD_KEYS opens)."""
    total, unreadable = 0, []
    rows = BrokerCredential.objects.select_related("brokerage_account").order_by("id")
    for row in rows.iterator(chunk_size=500):
        total += 1
        try:
            _opened(row, row.brokerage_account)
        except CredentialUnreadable:
            unreadable.append(row.brokerage_account_id)
    return total, unreadable


def _opened(row: BrokerCredential, account: BrokerageAccount) -> BrokerKey:
    try:
        return BrokerKey(**unseal(row.ciphertext, owner=_owner(account)))
    except Unreadable:
        pass
    raise CredentialUnreadable


def _sealed(account: BrokerageAccount, key: BrokerKey) -> dict[str, str]:
    hint = key.api_key[-HINT_LENGTH:] if len(key.api_key) >= HINT_FROM else ""
    return {
        "ciphertext": seal(asdict(key), owner=_owner(account)),
        "fingerprint": fingerprint(_marked(account, key), purpose="key"),
        "key_hint": hint,
    }


def _owner(account: BrokerageAccount) -> dict[str, object]:
    return {
        "account": account.pk,
        "user": account.user_id,
        "broker": account.broker,
        "exchange": account.exchange,
        "mode": account.mode,
    }


def _marked(account: BrokerageAccount, key: BrokerKey) -> str:
    """What one user may connect once. Another user who has the key sees the same account by it."""
    market = (str(account.user_id), account.broker, account.exchange, account.mode)
    return "\n".join((*market, key.api_key, key.secret_key))
