"""What can be connected here, and what is wrong with a wish: a sentence for each field."""

import re
from dataclasses import dataclass

from django.conf import settings

from accounts.keys import BrokerKey
from accounts.models import BrokerKind, Mode
from accounts.services.accounts import LABEL_MAX
from speedtrade.lib.errors import DomainError, FieldError

#: Exchanges that we could speak to, and why they are not offered all the same.
NOT_YET = {
    "binance": "Binance cannot be connected yet: it keeps accounts in USDT, and here coins are "
    "traded for dollars.",
}
KEY_MAX, SECRET_MAX = 256, 4096
LIVE_WORD = "live"
_BLOCK = re.compile(r"(-----BEGIN [A-Z ]+-----)\s*(.+?)\s*(-----END [A-Z ]+-----)", re.DOTALL)
_LINE = re.compile(r"[!-~]+")  # what may stand in a header
_TEXT = re.compile(r"[ -~\n]+")


class CannotConnect(DomainError):
    """This cannot be connected; `errors` has a sentence for each field."""

    code, status = "cannot_connect", 422


@dataclass(frozen=True, slots=True)
class Wish:
    """An account as somebody asks for it, tidied."""

    broker: str
    mode: str
    exchange: str
    key: BrokerKey
    label: str
    confirm_live: bool


def wish_of(
    *,
    broker: str,
    mode: str,
    exchange: str,
    key: BrokerKey,
    label: str,
    confirm_live: object,
) -> Wish:
    """The wish without blanks around and in our spelling; raises CannotConnect with all errors."""
    wish = Wish(
        broker=broker.strip().lower(),
        mode=mode.strip().lower(),
        exchange=exchange.strip().lower(),
        key=key_tidied(key),
        label=label.strip(),
        confirm_live=live_confirmed(confirm_live),
    )
    if errors := _problems(wish):
        raise CannotConnect(
            " ".join(one.detail for one in errors), code=errors[0].code, errors=errors
        )
    return wish


def live_confirmed(value: object) -> bool:
    """Whether somebody said that they mean real money: JSON true, or the word "live"."""
    return value is True or (isinstance(value, str) and value.strip().lower() == LIVE_WORD)


def key_tidied(key: BrokerKey) -> BrokerKey:
    """The key without blanks around; a PEM block has its lines back, which a form takes away."""
    secret = key.secret_key.strip()
    if block := _BLOCK.search(secret.replace("\\n", "\n")):
        secret = "\n".join((block[1], *block[2].split(), block[3], ""))
    return BrokerKey(key.api_key.strip(), secret, key.passphrase.strip())


def key_problems(key: BrokerKey) -> list[FieldError]:
    """What is wrong with a tidied key, as far as can be seen without the broker."""
    found = []
    for name, text, most, shape in (
        ("api_key", key.api_key, KEY_MAX, _LINE),
        ("secret_key", key.secret_key, SECRET_MAX, _TEXT),
        ("passphrase", key.passphrase, KEY_MAX, _TEXT),
    ):
        if not text:
            if name != "passphrase":
                found.append(FieldError(name, "required", "Paste what the broker shows."))
        elif len(text) > most or not shape.fullmatch(text):
            detail = "This is no key: copy it again, without anything around it."
            found.append(FieldError(name, "invalid", detail))
    return found


def has_test_market(exchange: str) -> bool:
    """Whether an exchange can be traded without real money, or its address was moved for that."""
    return exchange in settings.CCXT_TEST_MARKETS or exchange in settings.CCXT_URLS


def _problems(wish: Wish) -> list[FieldError]:
    found = _broker_problems(wish)
    if found and found[0].field == "broker":
        return found
    found += _mode_problems(wish) + key_problems(wish.key)
    if len(wish.label) > LABEL_MAX or not wish.label.isprintable():
        found.append(FieldError("label", "invalid", f"A label has at most {LABEL_MAX} letters."))
    return found


def _broker_problems(wish: Wish) -> list[FieldError]:
    offered, names = settings.CCXT_EXCHANGES, ", ".join(settings.CCXT_EXCHANGES)
    if wish.broker == BrokerKind.PAPER:
        text = "The paper account is yours from the first day: there is nothing to connect."
        return [FieldError("broker", "broker_not_offered", text)]
    if wish.broker not in (BrokerKind.ALPACA, BrokerKind.CCXT):
        text = "Choose alpaca for stocks or ccxt for a crypto exchange."
        return [FieldError("broker", "broker_not_offered", text)]
    if wish.broker == BrokerKind.ALPACA and wish.exchange:
        text = "Alpaca has no exchange to choose: leave it out."
        return [FieldError("exchange", "exchange_not_offered", text)]
    if wish.broker == BrokerKind.CCXT and wish.exchange not in offered:
        text = f"{NOT_YET.get(wish.exchange, '')} Choose an exchange: {names}.".lstrip()
        return [FieldError("exchange", "exchange_not_offered", text)]
    return []


def _mode_problems(wish: Wish) -> list[FieldError]:
    if wish.mode not in Mode.values:
        return [FieldError("mode", "mode_not_offered", "Choose paper or live.")]
    if wish.mode == Mode.LIVE and not wish.confirm_live:
        text = f'This is real money. Type "{LIVE_WORD}" to say that you mean it.'
        return [FieldError("confirm_live", "live_not_confirmed", text)]
    known = wish.broker == BrokerKind.CCXT and wish.exchange in settings.CCXT_EXCHANGES
    if wish.mode == Mode.PAPER and known and not has_test_market(wish.exchange):
        text = f"{wish.exchange.capitalize()} has no test market: only a live key works there."
        return [FieldError("mode", "mode_not_offered", text)]
    return []
