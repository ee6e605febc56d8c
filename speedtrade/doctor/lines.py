"""Who could read along on a line, by where it leads."""

import ipaddress
from collections.abc import Iterable

from speedtrade.doctor.verdicts import Verdict, bad, doubtful, good


def line_judge(encrypted: bool, addresses: Iterable[str], remedy: str) -> Verdict:
    """`addresses`: all that a line may lead to, none for a socket of this machine.

    By address and not by name: a name without a dot may be a container beside us or, by a search
    domain, a server far away.
    """
    if encrypted:
        return good("Encrypted.")
    found = [ipaddress.ip_address(address) for address in addresses]
    if all(address.is_loopback for address in found):
        return good("Within this machine.")
    if all(address.is_private for address in found):
        return doubtful("Plain, within a private network.", f"Use {remedy} where others share it.")
    return bad("Plain, over a public network.", f"Use {remedy}.")
