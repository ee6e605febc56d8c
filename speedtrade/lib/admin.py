"""The admin as a support desk: everything is shown, nothing is saved, people act through services.

An act has a page of its own that lists what it will touch and asks for a reason. Each row is acted
on by itself, so that a refusal of one does not stop the others, and each answer is said in words.
The audit row is written by the service, in the transaction of the act.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import flatten_fieldsets, quote, unquote
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.db import OperationalError
from django.db.models import Model, QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponseBase,
    HttpResponseRedirect,
    QueryDict,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from speedtrade.lib.admin_rules import lookups_of, may_touch
from speedtrade.lib.errors import DomainError
from speedtrade.lib.money import plain

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
    _TabularInline = admin.TabularInline[Any, Any]
else:
    _ModelAdmin, _TabularInline = admin.ModelAdmin, admin.TabularInline

logger = logging.getLogger(__name__)
REASON_MAX = 200
CONFIRMED = "confirmed"  # set by the page that asked for the reason

#: (row, actor, reason, now) -> what happened, in words; raises DomainError for a refusal.
RowPerform = Callable[[Any, Any, str, datetime], str]
#: (actor, reason, now) -> what happened, in words.
DeskPerform = Callable[[Any, str, datetime], str]


class ReasonForm(forms.Form):
    """Why somebody acts; there is no act without it."""

    reason = forms.CharField(
        max_length=REASON_MAX,
        help_text="It stays in the audit, and the user may read it too.",
        widget=forms.TextInput({"autocomplete": "off", "class": "vTextField"}),
    )


@dataclass(frozen=True, slots=True)
class DeskAct:
    """An act on the whole house and not on a row: its own address under its model's list."""

    name: str
    label: str
    question: str
    permission: str  # "trading.add_tradinghalt"
    perform: DeskPerform


def support_action(
    *,
    name: str,
    label: str,
    question: str,
    perform: RowPerform,
    permission: str = "act",
    fits: Callable[[Any], bool] = lambda row: True,
) -> Callable[..., Any]:
    """An admin action that asks for a reason first; `permission` names a has_…_permission.

    The page of a row offers it where it `fits`; the service has the last word.
    """

    def act(
        modeladmin: "SupportAdmin", request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponseBase | None:
        return modeladmin.act_on_rows(request, queryset, name, label, question, perform)

    act.__name__ = name
    act.fits = fits  # type: ignore[attr-defined]
    decorated: Callable[..., Any] = admin.action(description=label, permissions=[permission])(act)
    return decorated


class ReadOnly:
    """Nobody writes through a form of the admin, whatever permissions they have."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return flatten_fieldsets(self.get_fieldsets(request, obj))  # type: ignore[attr-defined]


class SupportInline(ReadOnly, _TabularInline):
    """Rows that belong to the one on the page."""

    extra = 0
    max_num = 0
    can_delete = False
    related: Sequence[str] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related(*self.related)


class SupportAdmin(ReadOnly, _ModelAdmin):
    """A list and a page to read, with acts. Who sees a row is written down (`AdminSite.seen`)."""

    list_per_page = 50
    list_max_show_all = settings.ADMIN_ACTION_LIMIT
    show_full_result_count = False  # one count of a large table is enough
    show_facets = admin.ShowFacets.NEVER
    view_on_site = False
    change_form_template = "admin/support_object.html"
    change_list_template = "admin/support_list.html"
    desk_acts: Sequence[DeskAct] = ()
    link_fields: Sequence[str] = ()  # what links of ours filter this list by, beside its filters

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """What this list filters by and what our pages link with; nothing else of any field."""
        filters = self.list_filter if request is None else self.get_list_filter(request)
        return lookup in lookups_of(
            self.model,
            filters=filters,
            date_hierarchy=self.date_hierarchy,
            links=self.link_fields,
        )

    def to_field_allowed(self, request: HttpRequest, to_field: str) -> bool:
        """No page of ours picks rows for another form; a row is found by its key alone."""
        return False

    def has_act_permission(self, request: HttpRequest) -> bool:
        """To change a model in the admin is to act on it through a service."""
        return self._may(request, f"{self.opts.app_label}.change_{self.opts.model_name}")

    @staticmethod
    def _may(request: HttpRequest, permission: str) -> bool:
        return bool(request.user.has_perm(permission))

    def row_words(self, row: Any) -> str:
        """How a row is called on the page that asks for a reason."""
        return f"{self.opts.verbose_name} {row}"

    def owner_of(self, row: Any) -> Any:
        """The user whose row it is, or None for the house's: who acts on rows must say."""
        raise NotImplementedError(f"Whose is a {self.opts.verbose_name}?")

    def audit_target(self, row: Any) -> str:
        """The audit's name of a row: 'order:12'. The services use the same names."""
        return f"{self.opts.model_name}:{row.pk}"

    def row_links(self, request: HttpRequest, row: Any) -> list[dict[str, str]]:
        """More pages about a row, as {label, url}, that its page offers beside the acts."""
        return []

    # ── pages ───────────────────────────────────────────────────────────────
    def get_urls(self) -> list[URLPattern]:
        """Acts on the house stand before the pages of rows."""
        own = [
            path(
                f"{act.name}/",
                self.admin_site.admin_view(partial(self.desk_act_view, act=act)),
                name=self._url_name(act.name),
            )
            for act in self.desk_acts
        ]
        return own + super().get_urls()

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        if request.method == "POST":
            self._check_post(request)
        acts = [
            {"label": act.label, "url": reverse(f"admin:{self._url_name(act.name)}")}
            for act in self.desk_acts
            if self._may(request, act.permission)
        ]
        response = super().changelist_view(request, {"desk_acts": acts, **(extra_context or {})})
        if "cl" in (getattr(response, "context_data", None) or {}):  # whatever the method was
            self._seen(request, f"{self.opts.model_name}:*")
        return response

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        row = self.get_object(request, unquote(object_id)) if object_id else None
        acts = [
            {"name": name, "label": label}
            for function, name, label in filter(None, self.get_actions(request).values())
            if row is not None and getattr(function, "fits", bool)(row)
        ]
        links = self.row_links(request, row) if row is not None else []
        context = {"row_acts": acts, "row_links": links, **(extra_context or {})}
        response = super().changeform_view(request, object_id, form_url, context)
        if response.status_code == 200 and row is not None:
            self._seen(request, self.audit_target(row))
        return response

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """What happened to a row is in the audit, not in a log of forms."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        self._seen(request, self.audit_target(row))  # the address alone says that it is there
        query = urlencode({"target": self.audit_target(row), "kind": "all"})
        return HttpResponseRedirect(f"{reverse('admin:accounts_auditevent_changelist')}?{query}")

    def _url_name(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def _seen(self, request: HttpRequest, target: str, rows: Sequence[str] = ()) -> None:
        self.admin_site.seen(request, target, rows)  # type: ignore[attr-defined]  # our own site

    def _named(self, request: HttpRequest, rows: list[Any]) -> None:
        """Write down the rows that an act names, whether it is asked for, done or refused."""
        if len(rows) == 1:
            self._seen(request, self.audit_target(rows[0]))
        elif rows:
            self._seen(request, f"{self.opts.model_name}:*", [str(row.pk) for row in rows])

    # ── acts ────────────────────────────────────────────────────────────────
    def _check_post(self, request: HttpRequest) -> None:
        """A list takes no POST but an act that this person may do; raises PermissionDenied.

        The list's own form has an `index`: who chose no act there is told so, and led back.
        """
        allowed = self.get_actions(request)
        asked = {name for name in request.POST.getlist("action") if name}
        if not allowed or asked - allowed.keys() or "_save" in request.POST:
            raise PermissionDenied
        chosen = asked and ACTION_CHECKBOX_NAME in request.POST
        if not chosen and "index" not in request.POST:
            raise PermissionDenied
        key = self.opts.pk
        try:
            for value in request.POST.getlist(ACTION_CHECKBOX_NAME):
                key.to_python(value)
        except ValidationError as error:
            raise BadRequest("A selected row has no valid id.") from error

    def act_on_rows(
        self,
        request: HttpRequest,
        queryset: QuerySet[Any],
        name: str,
        label: str,
        question: str,
        perform: RowPerform,
    ) -> HttpResponseBase | None:
        """Ask for the reason, then act on each row by itself."""
        rows = list(queryset[: settings.ADMIN_ACTION_LIMIT + 1])
        if len(rows) > settings.ADMIN_ACTION_LIMIT:
            words = f"Choose at most {settings.ADMIN_ACTION_LIMIT} rows at once; nothing was done."
            self.message_user(request, words, messages.ERROR)
            return None
        self._named(request, rows)
        confirmed = request.POST.get(CONFIRMED) == "yes"
        form = ReasonForm(request.POST if confirmed else None)
        back, single = self._back(request, rows, confirmed)
        if confirmed and form.is_valid():
            for row in rows:
                act = partial(self._act, perform, row, request.user, form.cleaned_data["reason"])
                self._try(request, self.row_words(row), act)
            return HttpResponseRedirect(back)
        hidden = [("action", name), (CONFIRMED, "yes"), ("single", single)]
        hidden += [(ACTION_CHECKBOX_NAME, row.pk) for row in rows]
        hidden += [("back", request.POST.get("back", "") if confirmed else request.GET.urlencode())]
        return self._ask(request, label, question, form, back, hidden, rows)

    def _act(self, perform: RowPerform, row: Any, actor: Any, reason: str, now: datetime) -> str:
        """Act on a row of somebody whom this person may act on."""
        may_touch(self.owner_of(row), actor)
        return perform(row, actor, reason, now)

    def desk_act_view(self, request: HttpRequest, act: DeskAct) -> HttpResponseBase:
        """The page of an act on the house: GET asks, POST acts."""
        if not self._may(request, act.permission):
            raise PermissionDenied
        back = reverse(f"admin:{self._url_name('changelist')}")
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            perform = partial(act.perform, request.user, form.cleaned_data["reason"])
            self._try(request, act.label, perform)
            return HttpResponseRedirect(back)
        return self._ask(request, act.label, act.question, form, back, [], [])

    def _try(self, request: HttpRequest, what: str, perform: Callable[[datetime], str]) -> None:
        try:
            done = perform(timezone.now())
        except DomainError as error:
            self.message_user(request, f"{what}: {error.detail} ({error.code})", messages.ERROR)
        except OperationalError:
            logger.exception("support_act_failed")
            words = "The database was busy and nothing was done. Try again."
            self.message_user(request, f"{what}: {words}", messages.ERROR)
        else:
            self.message_user(request, f"{what}: {done}", messages.SUCCESS)

    def _back(self, request: HttpRequest, rows: list[Any], confirmed: bool) -> tuple[str, str]:
        """(where to go afterwards, whether the act began on the page of one row)."""
        if request.POST.get("single") == "yes" and len(rows) == 1:
            page = f"admin:{self._url_name('change')}"
            return reverse(page, args=[quote(rows[0].pk)]), "yes"
        query = request.POST.get("back", "") if confirmed else request.GET.urlencode()
        # Through a QueryDict: whatever was sent, it stays the query of this list.
        query = QueryDict(query).urlencode()
        return f"{request.path}?{query}" if query else request.path, ""

    def _ask(
        self,
        request: HttpRequest,
        label: str,
        question: str,
        form: ReasonForm,
        back: str,
        hidden: list[tuple[str, Any]],
        rows: Iterable[Any],
    ) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": label,
            "opts": self.opts,
            "question": question,
            "form": form,
            "back": back,
            "hidden": hidden,
            "rows": [self.row_words(row) for row in rows],
            "action_url": request.path,
        }
        request.current_app = self.admin_site.name  # Django's own way
        status = 422 if form.is_bound else 200
        return TemplateResponse(request, "admin/support_confirm.html", context, status=status)


# ── columns ─────────────────────────────────────────────────────────────────
def figure(name: str, label: str = "") -> Any:
    """A column of a number field: exact, without the zeros behind that the column is wide.

    A callable (row) -> text. Typed loosely: the stubs know only names as fields, Django both.
    """

    @admin.display(description=label or name.replace("_", " "), ordering=name)
    def shown(row: Any) -> str:
        value: Decimal | None = getattr(row, name)
        return "–" if value is None else plain(value)

    shown.__name__ = f"{name}_figure"
    return shown


def row_link(row: Model | None, text: str = "") -> SafeString | str:
    """A link to the admin's page of a row, or a dash where there is none."""
    if row is None:
        return "–"
    url = reverse(
        f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[quote(str(row.pk))]
    )
    return format_html('<a href="{}">{}</a>', url, text or str(row))


def list_link(page: str, text: str, **query: str | int) -> SafeString:
    """A link to a list of the admin, filtered: list_link("trading_order", "Orders", …)."""
    url = reverse(f"admin:{page}_changelist")
    return format_html('<a href="{}?{}">{}</a>', url, urlencode(query), text)
