"""What may be asked of a list: an answer of one row or none spells out what no page shows."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import flatten, flatten_fieldsets
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from accounts.models import ApiKey, AuditEvent, BrokerageAccount, TokenFamily, User
from speedtrade.lib.admin import SupportAdmin
from speedtrade.testing.cast import make_superuser, page_client
from speedtrade.tests import test_admin
from speedtrade.tests.test_admin import LABELS, MODELS, page
from trading.models import Order
from trading.tests.desk import Desk

desk, support, everything = test_admin.desk, test_admin.support, test_admin.everything

SECRET = re.compile("password|secret|digest|hash|fingerprint|ciphertext|token|current|session|key")
OPEN = {"intent_key"}  # said on the page of an order
ASKED = ("", "__exact", "__startswith", "__regex", "__gte", "__lt", "__in")


def secret_fields(model: type[Model]) -> set[str]:
    """Fields that hold what nobody may read, or might, by their name."""
    names = {field.name for field in model._meta.concrete_fields if not field.is_relation}
    return {name for name in names if SECRET.search(name)} - OPEN


def paths(model: type[Model], before: str = "", depth: int = 2) -> Iterator[str]:
    """Every secret that a lookup on `model` can name, through so many relations at most."""
    yield from (before + name for name in sorted(secret_fields(model)))
    for field in model._meta.get_fields() if depth else []:
        if field.is_relation and field.related_model is not None:
            yield from paths(field.related_model, f"{before}{field.name}__", depth - 1)


def test_the_search_for_secrets_finds_those_that_there_are():
    assert {"password"} <= secret_fields(User)
    assert {"digest"} <= secret_fields(ApiKey)
    assert {"auth_hash", "current"} <= secret_fields(TokenFamily)
    reached = set(paths(BrokerageAccount))
    assert {"user__password", "credential__ciphertext", "user__api_keys__digest"} <= reached


@pytest.mark.parametrize("label", LABELS)
def test_no_list_takes_a_lookup_of_a_secret(label: str):
    model = next(model for model in MODELS if model._meta.label_lower == label)
    desk_of = admin.site._registry[model]
    assert isinstance(desk_of, SupportAdmin)
    taken = {
        path + end
        for path in paths(model)
        for end in ASKED
        if desk_of.lookup_allowed(path + end, "a")
    }
    assert taken == set()


@pytest.mark.parametrize("label", LABELS)
def test_a_list_takes_its_filters_and_links_and_no_other_field(label: str):
    model = next(model for model in MODELS if model._meta.label_lower == label)
    desk_of: Any = admin.site._registry[model]
    named = {one[0] if isinstance(one, tuple) else one for one in desk_of.list_filter}
    named |= set(desk_of.link_fields)
    for field in model._meta.concrete_fields:
        for end in ("", "__exact", "__startswith", "__regex", "__contains"):
            fits = field.name in named and end in ("", "__exact")
            assert desk_of.lookup_allowed(f"{field.name}{end}", "a") is fits, f"{field}{end}"


def named_on_pages(desk_of: Any) -> set[str]:
    """Every field that a list, a page, its inlines, the order or the search name."""
    parts = [desk_of, *desk_of.inlines]
    names = [*desk_of.list_display, *desk_of.search_fields, *(desk_of.ordering or ())]
    names += [name for part in parts for name in flatten(part.fields or ())]
    names += flatten_fieldsets(desk_of.fieldsets or ())
    return {str(name).lstrip("=^@-").rpartition("__")[2] for name in names if not callable(name)}


@pytest.mark.parametrize("label", LABELS)
def test_no_page_and_no_search_names_a_secret(label: str):
    """What is searched is spelled out like what is filtered."""
    model = next(model for model in MODELS if model._meta.label_lower == label)
    desk_of = admin.site._registry[model]
    secrets = set().union(*(secret_fields(one) for one in apps.get_models()))
    assert desk_of.fields or desk_of.fieldsets, "a page that names no field shows all of them"
    assert all(inline.fields for inline in desk_of.inlines)
    assert named_on_pages(desk_of) & secrets == set()


def test_a_hash_is_not_spelled_out_by_asking(desk: Desk, support: Client):
    test_admin.make_key(desk.user)
    test_admin._family()
    root = page_client(make_superuser())
    before = AuditEvent.objects.filter(action="admin.view").count()
    for model in (User, ApiKey, TokenFamily):
        for name in secret_fields(model):
            row = model.objects.latest("pk")
            for value in (str(getattr(row, name))[:8], "no such"):
                for client in (support, root):
                    asked = {f"{name}__startswith": value}
                    assert client.get(page(model, "changelist"), asked).status_code == 400
                    through = {f"user__{name}__startswith": value}
                    assert client.get(page(ApiKey, "changelist"), through).status_code == 400
    assert AuditEvent.objects.filter(action="admin.view").count() == before


@pytest.mark.parametrize("name", ["id", "username", "password"])
def test_no_page_finds_a_row_by_a_field_of_the_askers_choice(
    desk: Desk, support: Client, name: str
):
    asked = {"_to_field": name, "_popup": "1"}
    assert support.get(page(User, "changelist"), asked).status_code == 400
    one = page(User, "change", getattr(desk.user, name))
    assert support.get(one, asked).status_code == 400


# ── what is linked ──────────────────────────────────────────────────────────
def links_of(client: Client, address: str) -> set[str]:
    """Addresses with a query on a page of the desk, one of each path and set of names."""
    shown = client.get(address).content.decode()
    found: dict[Any, str] = {}
    for link in map(unescape, re.findall(r'href="((?:/admin/[^"?]*)?\?[^"]+)"', shown)):
        path, _, query = link.partition("?")
        names = tuple(name for name, _ in parse_qsl(query, keep_blank_values=True))
        found.setdefault((path or address, names), f"{path or address}?{query}")
    return set(found.values())


def test_every_link_to_a_filtered_list_still_works(everything: dict[Any, Any], support: Client):
    found = links_of(support, "/admin/")
    for model, row in everything.items():
        for address in (page(model, "changelist"), page(model, "change", row.pk)):
            found |= links_of(support, address)
        history = support.get(page(model, "history", row.pk))["Location"]
        assert support.get(history).status_code == 200
    said = " ".join(found)
    for needed in ("brokerage_account__user__id__exact", "source__id__exact", "actor__id__exact"):
        assert needed in said, f"the search for links has lost {needed}"
    wrong = {link: code for link in found if (code := support.get(link).status_code) != 200}
    assert wrong == {}


def test_the_orders_of_a_user_are_one_click_away(desk: Desk, support: Client, charlie: User):
    orders = Order.objects.count()
    shown = support.get(page(User, "change", desk.user.pk)).content.decode()
    for user, count in ((desk.user, orders), (charlie, 0)):
        query = f"?brokerage_account__user__id__exact={user.pk}"
        listed = support.get(reverse("admin:trading_order_changelist") + query)
        assert listed.context["cl"].result_count == count
    assert f"?brokerage_account__user__id__exact={desk.user.pk}" in shown
