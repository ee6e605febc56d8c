"""No page and no list of the API reads a table that grows from its first row to its last.

Every statement that a GET of the route table sends is explained with the ways that read all made as
dear as they can be (sequential scans, and joins that sort or hash a whole table): one that is still
there has no index to go by. A walk along a whole index, which has no condition, is the same thing
in another order.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client

from speedtrade.testing.routes import ROUTES
from tests.test_queries import FEW, NOON, PAGES, prices_put, somebody

#: Tables with a row for each order, fill, booking, minute or event of each user.
GROWING = {
    "accounts_auditevent",
    "accounts_tokenfamily",
    "marketdata_alertfiring",
    "marketdata_bar",
    "portfolio_equitysnapshot",
    "portfolio_hold",
    "portfolio_journalentry",
    "portfolio_lot",
    "portfolio_transfer",
    "trading_fill",
    "trading_order",
    "trading_orderevent",
    "trading_paperfill",
    "trading_paperorder",
    "trading_submission",
}
WHOLE_WAYS = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
LISTS = [
    case.address
    for cases in ROUTES.values()
    for case in cases
    if case.json and case.answer("GET")[1] == 200
]
#: Everything of one user, in the order of its keys: of a small house that may be every second row.
WHOLE_ON_PURPOSE = {"/settings/export"}
#: (positions, working orders, orders in all) of somebody else, or one user's rows were all rows.
CROWD = (10, 5, 3000)
LOG_INS = 200  # of somebody else: of a table that was analyzed empty, a plan may go anywhere


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan and all below it."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def whole_reads(plan: dict[str, Any]) -> set[str]:
    """The growing tables that a plan reads from end to end."""
    return {
        node["Relation Name"]
        for node in nodes(plan)
        if node.get("Relation Name") in GROWING
        and (node["Node Type"] == "Seq Scan" or _walks(node))
    }


def _walks(node: dict[str, Any]) -> bool:
    return node["Node Type"] in {"Index Scan", "Index Only Scan"} and "Index Cond" not in node


def rows_in(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - a name of ours
        return int(cursor.fetchone()[0])


class Explainer:
    """Explains every SELECT on its way; `found` has (table, statement) of whole reads."""

    def __init__(self) -> None:
        self.found: set[tuple[str, str]] = set()
        self.explained = 0
        self._filled = {table for table in GROWING if rows_in(table)}  # of none, all is nothing

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(("SELECT", "WITH")) and not many:
            with connection.connection.cursor() as cursor:
                for way in WHOLE_WAYS:
                    cursor.execute(f"SET {way} = off")
                cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
                plan = cursor.fetchone()[0]
                for way in WHOLE_WAYS:
                    cursor.execute(f"RESET {way}")
            plan = json.loads(plan) if isinstance(plan, str) else plan
            self.explained += 1
            for table in whole_reads(plan[0]["Plan"]) & self._filled:
                self.found.add((table, f"{sql[-400:]}\n{json.dumps(plan[0]['Plan'])}"))
        return execute(sql, params, many, context)


@pytest.mark.django_db
@time_machine.travel(NOON)  # the table names months and years
def test_no_list_reads_a_growing_table_from_end_to_end() -> None:
    from accounts.models import AuditEvent, User
    from accounts.tokens import tokens_issue
    from marketdata.services.instruments import instruments_load

    instruments_load()
    prices_put()
    who = somebody("few", FEW)
    somebody("crowd", CROWD)
    users = User.objects.in_bulk(["few", "crowd"], field_name="username")
    for _ in range(LOG_INS):
        tokens_issue(user=users["crowd"], now=NOON)
    AuditEvent.objects.bulk_create(
        AuditEvent(at=NOON, action="user.login", target=f"user:{n % 50 + 10**6}")
        for n in range(10 * LOG_INS)
    )
    token = tokens_issue(user=users["few"], now=NOON).access_token
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # of small tables too: their sizes decide how others are read
    program = {"client": Client(headers={"Authorization": f"Bearer {token}"})}
    wrong, explainer = [], Explainer()
    for path, client in [
        *((path, who["client"]) for path in PAGES),
        *((path, program["client"]) for path in LISTS),
    ]:
        missing = set(re.findall(r"{(\w+)}", path)) - who["names"].keys()
        if missing or path in WHOLE_ON_PURPOSE:
            continue  # of a thing that this user has not got
        explainer.found.clear()
        with connection.execute_wrapper(explainer):
            answer = client.get(path.format(**who["names"]))
            b"".join(answer.streaming_content) if answer.streaming else answer.content
        assert answer.status_code < 500, path
        wrong += [f"{path}: {table}: {sql}" for table, sql in sorted(explainer.found)]
    assert explainer.explained > 200
    assert not wrong, "\n\n".join(wrong)
