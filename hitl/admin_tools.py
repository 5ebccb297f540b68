"""What our admin pages share: records that only show, links between them, JSON fit to be read."""

import json
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django.contrib.admin.utils import quote
from django.db.models import Model, Q, QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline

from hitl.accounts.models import User
from hitl.lib.text import visible

NOTHING = "–"
LINK = "text-primary-600 hover:underline dark:text-primary-400"


class Admin(ModelAdmin):
    """A list that stays fast on large tables, and in which a pasted id finds its row."""

    list_per_page = 50
    show_full_result_count = False
    warn_unsaved_form = True
    id_fields: Sequence[str] = ("pk",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        try:
            wanted = UUID(search_term.strip())
        except ValueError:
            found: tuple[QuerySet[Any], bool] = super().get_search_results(
                request, queryset, search_term
            )
            return found
        query = Q()
        for field in self.id_fields:
            query |= Q(**{field: wanted})
        return queryset.filter(query), False

    def confirm(
        self, request: HttpRequest, row: Model, form: Form, **context: Any
    ) -> TemplateResponse:
        """A page that says what a button will do, and asks for what it needs."""
        opts = self.model._meta
        values = {
            **self.admin_site.each_context(request),
            "opts": opts,
            "original": row,
            "form": form,
            "back": change_url(row),
            **context,
        }
        template = [f"admin/{opts.app_label}/confirm.html", "admin/confirm.html"]
        return TemplateResponse(request, template, values)


class ReadOnlyAdmin(Admin):
    """Records that are to be found and read; nobody adds, changes or deletes them here."""

    warn_unsaved_form = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyInline(TabularInline):
    """Rows of another table on a record's page, each with a link to its own."""

    extra = 0
    max_num = 0
    can_delete = False
    show_change_link = True
    tab = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def change_url(row: Model) -> str:
    """The admin page of a row."""
    opts = row._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[quote(row.pk)])


def link(row: Model | None, text: object = "") -> SafeString | str:
    """A link to the admin page of a row."""
    if row is None:
        return NOTHING
    return format_html('<a href="{}" class="{}">{}</a>', change_url(row), LINK, text or row)


def json_block(value: Any) -> SafeString | str:
    """JSON on several lines, with everything that hides or reorders text written out."""
    if value is None:
        return NOTHING
    text = visible(json.dumps(value, indent=2, ensure_ascii=False))
    return format_html('<pre class="hitl-json">{}</pre>', text)


def code(text: str) -> SafeString | str:
    """A digest or an id, in letters of one width."""
    return format_html('<code class="hitl-code">{}</code>', text or NOTHING)


def person(request: HttpRequest) -> User:
    """Who is at the keyboard; the site lets nobody in who has not logged in."""
    return cast(User, request.user)


def gone(model_admin: ModelAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """Django's own answer to an id that nobody has: back to the start, with a word about it."""
    answer: HttpResponse = model_admin._get_obj_does_not_exist_redirect(
        request, model_admin.opts, object_id
    )
    return answer


def no_store(response: HttpResponse) -> HttpResponse:
    """For pages that show a secret: nothing on the way or in the browser keeps them."""
    response.headers["Cache-Control"] = "no-store"
    return response
