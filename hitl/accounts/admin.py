"""Admin pages of people, teams, agents and keys. A key is shown once, its digest never."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm

from hitl.accounts import contacts, factors, kinds, services
from hitl.accounts.forms import ContactPointForm, NewKeyForm, NewUserForm, UserForm
from hitl.accounts.models import Absence, Agent, ApiKey, ContactPoint, Group, Membership, Team, User
from hitl.admin_tools import (
    Admin,
    ReadOnlyAdmin,
    ReadOnlyInline,
    change_url,
    gone,
    link,
    no_store,
    person,
)
from hitl.lib.errors import HitlError

POWERS = ("is_staff", "is_superuser", "groups")


class MembershipInline(TabularInline):
    """Who is in the team, or in which teams a person is."""

    model = Membership
    extra = 0
    autocomplete_fields = ("team", "user")
    tab = True


class ContactPointInline(TabularInline):
    """Where a person can be reached. An address is marked as verified on its own page."""

    model = ContactPoint
    form = ContactPointForm
    fields = ("kind", "address", "use", "position", "verified_at")
    readonly_fields = ("verified_at",)
    extra = 0
    tab = True
    show_change_link = True


@admin.register(User)
class UserAdmin(DjangoUserAdmin, Admin):  # type: ignore[type-arg]  # generic in the stubs only
    """People. Only superusers hand out or take away powers, or touch other superusers."""

    form = UserForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "name", "team_names", "is_staff", "is_active", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser", "teams")
    search_fields = ("email", "name", "contact_points__address")
    ordering = ("email",)
    readonly_fields = ("id", "last_login", "date_joined")
    filter_horizontal = ()
    autocomplete_fields = ("groups",)
    actions = ("reset_second_factors",)
    inlines = (MembershipInline, ContactPointInline)
    fieldsets = (
        (None, {"fields": ("email", "name", "password", "is_active")}),
        ("Powers in this admin", {"fields": POWERS, "classes": ("tab",)}),
        ("Dates", {"fields": ("last_login", "date_joined", "id"), "classes": ("tab",)}),
    )
    add_fieldsets = (
        (None, {"fields": ("email", "name", "usable_password", "password1", "password2")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("teams")

    @display(description="Teams")
    def team_names(self, user: User) -> str:
        return ", ".join(str(team) for team in user.teams.all())

    @admin.action(description="Take their second factors away", permissions=["change"])
    def reset_second_factors(self, request: HttpRequest, people: QuerySet[User]) -> None:
        """For who lost phone and recovery codes: the password alone is then enough."""
        chosen = list(people)
        if not all(_may_touch(request, user) for user in chosen):
            raise PermissionDenied
        for user in chosen:
            if factors.reset(user):
                self.log_change(request, user, "Took all second factors away.")
        self.message_user(request, "They log in with the password alone.", messages.SUCCESS)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        own = tuple(super().get_readonly_fields(request, obj))
        return own if request.user.is_superuser else (*own, *POWERS)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return _may_touch(request, obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return _may_touch(request, obj) and bool(super().has_delete_permission(request, obj))


def _may_touch(request: HttpRequest, user: User | None) -> bool:
    """Else a helper with the right to edit people could take over a superuser's account."""
    return user is None or not user.is_superuser or bool(request.user.is_superuser)


@admin.register(Team)
class TeamAdmin(Admin):
    """Teams: the boundary of what people and agents see."""

    list_display = (
        "name", "slug", "people", "agent_count", "link_decisions", "allow_guests", "created_at",
    )  # fmt: skip
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("id", "created_at")
    inlines = (MembershipInline,)
    fields = ("name", "slug", "link_decisions", "allow_guests", "id", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Team]:
        counts = {
            "people_count": Count("memberships", distinct=True),
            "agents_count": Count("agents", distinct=True),
        }
        rows: QuerySet[Team] = super().get_queryset(request).annotate(**counts)
        return rows

    @display(description="People", ordering="people_count")
    def people(self, team: Any) -> int:
        return int(team.people_count)

    @display(description="Agents", ordering="agents_count")
    def agent_count(self, team: Any) -> int:
        return int(team.agents_count)


@admin.register(Membership)
class MembershipAdmin(Admin):
    """One person in one team with one role."""

    list_display = ("user", "team", "role", "created_at")
    list_filter = ("role", "team")
    list_select_related = ("user", "team")
    search_fields = ("user__email", "user__name", "team__name")
    autocomplete_fields = ("user", "team")
    id_fields = ("user", "team")


@admin.register(Group)
class GroupAdmin(Admin):
    """Groups that policies ask. Deleting one that is asked would leave requests stuck."""

    list_display = ("name", "slug", "team", "created_at")
    list_filter = ("team",)
    list_select_related = ("team",)
    search_fields = ("name", "slug", "team__name")
    autocomplete_fields = ("team", "members")
    fields = ("team", "name", "slug", "members", "created_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        return ("created_at",) if obj is None else ("team", "slug", "created_at")

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return False


@admin.register(Absence)
class AbsenceAdmin(Admin):
    """Who is away, and who stands in."""

    list_display = ("user", "delegate", "start", "end", "reason")
    list_select_related = ("user", "delegate")
    search_fields = ("user__email", "user__name", "delegate__email")
    autocomplete_fields = ("user", "delegate")
    fields = ("user", "delegate", "start", "end", "reason")
    id_fields = ("user", "delegate")


@admin.register(ContactPoint)
class ContactPointAdmin(Admin):
    """Where people can be reached. Only verified addresses are used."""

    form = ContactPointForm
    list_display = ("address", "kind_label", "user", "use", "position", "verified_at")
    list_filter = ("kind", "use", ("verified_at", admin.EmptyFieldListFilter))
    list_select_related = ("user",)
    search_fields = ("address", "user__email", "user__name")
    autocomplete_fields = ("user",)
    readonly_fields = ("verified_at",)
    fields = ("user", "kind", "address", "use", "position", "verified_at")
    id_fields = ("user",)
    actions = ("verify_selected",)
    actions_detail = ("verify",)

    @display(description="Kind", ordering="kind")
    def kind_label(self, point: ContactPoint) -> str:
        return kinds.label(point.kind)

    def has_change_permission(self, request: HttpRequest, obj: ContactPoint | None = None) -> bool:
        mine = _may_touch(request, obj.user if obj else None)
        return mine and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: ContactPoint | None = None) -> bool:
        mine = _may_touch(request, obj.user if obj else None)
        return mine and bool(super().has_delete_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: ContactPoint, form: Any, change: bool) -> None:
        """Nobody else gives an address to a superuser."""
        if not _may_touch(request, obj.user):
            raise PermissionDenied
        super().save_model(request, obj, form, change)

    def has_verify_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("accounts.change_contactpoint"))

    @admin.action(description="Mark as verified", permissions=["verify"])
    def verify_selected(self, request: HttpRequest, rows: QuerySet[ContactPoint]) -> None:
        """Vouch for the addresses, and say why for each that cannot be."""
        for point in rows.select_related("user"):
            self._verify(request, point)

    @action(description="Mark as verified", icon="verified", permissions=["verify"])
    def verify(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask once, then messages go there."""
        point = self.get_object(request, object_id)
        if point is None:
            return gone(self, request, object_id)
        if request.method != "POST":
            warning = (
                f"You vouch that {point.address} is {point.user}'s: requests go there, and answers "
                "from there count as theirs."
            )
            page = {"title": "Mark as verified", "button": "Mark as verified"}
            return self.confirm(request, point, forms.Form(), warning=warning, **page)
        self._verify(request, point)
        return HttpResponseRedirect(change_url(point))

    def _verify(self, request: HttpRequest, point: ContactPoint) -> None:
        if not self.has_change_permission(request, point):
            raise PermissionDenied
        try:
            contacts.prove(point)
        except HitlError as error:
            messages.warning(request, f"{point.address}: {error}")
            return
        self.log_change(request, point, "Marked as verified.")
        messages.success(request, f"{point.address} is used from now on.")


class KeyInline(ReadOnlyInline):
    """The agent's keys."""

    model = ApiKey
    fields = ("prefix", "name", "scopes", "created_at", "last_used_at", "expires_at", "revoked_at")
    readonly_fields = fields


@admin.register(Agent)
class AgentAdmin(Admin):
    """Programs that ask. Their keys are issued here."""

    list_display = ("name", "team", "owner", "is_active", "usable_keys", "created_at")
    list_filter = ("is_active", "team")
    list_select_related = ("team", "owner")
    search_fields = ("name", "description", "team__name", "owner__email", "api_keys__prefix")
    autocomplete_fields = ("team", "owner")
    readonly_fields = ("id", "created_at")
    fields = ("name", "team", "owner", "description", "is_active", "id", "created_at")
    inlines = (KeyInline,)
    actions_detail = ("issue_key",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        usable = Q(api_keys__revoked_at=None) & (
            Q(api_keys__expires_at=None) | Q(api_keys__expires_at__gt=timezone.now())
        )
        rows: QuerySet[Agent] = super().get_queryset(request)
        return rows.annotate(key_count=Count("api_keys", filter=usable, distinct=True))

    @display(description="Usable keys", ordering="key_count")
    def usable_keys(self, agent: Any) -> int:
        return int(agent.key_count)

    def has_issue_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("accounts.add_apikey"))

    @action(description="Issue a key", icon="key", permissions=["issue"])
    def issue_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask what the key is for, then show it once; it is stored as a digest only."""
        agent = self.get_object(request, object_id)
        if agent is None:
            return gone(self, request, object_id)
        form = NewKeyForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            return self.confirm(request, agent, form, title="Issue a key", button="Issue the key")
        row, secret = services.issue_key(agent, created_by=person(request), **form.key_values())
        self.log_change(request, agent, f"Issued the key {row.prefix}…")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.model._meta,
            "original": agent,
            "title": "The new key",
            "key": row,
            "secret": secret,
            "back": change_url(agent),
        }
        page = TemplateResponse(request, "admin/accounts/key_issued.html", context)
        return no_store(page)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """Keys. Issued on the agent's page; revoking one works at once and for ever."""

    list_display = ("prefix", "state", "agent_link", "name", "created_at", "last_used_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), "agent__team")
    list_select_related = ("agent__team",)
    search_fields = ("prefix", "name", "agent__name")
    id_fields = ("pk", "agent")
    fields = (
        "prefix", "state", "agent_link", "name", "scopes", "created_by", "created_at",
        "last_used_at", "expires_at", "revoked_at", "id",
    )  # fmt: skip
    readonly_fields = fields
    actions_detail = ("revoke",)

    @display(description="State", label={"usable": "success", "revoked": "danger"})
    def state(self, key: ApiKey) -> str:
        if key.revoked_at:
            return "revoked"
        return "usable" if key.is_usable else "expired or off"

    @display(description="Agent", ordering="agent__name")
    def agent_link(self, key: ApiKey) -> str:
        return link(key.agent, f"{key.agent} ({key.agent.team})")

    def has_revoke_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("accounts.change_apikey"))

    @action(
        description="Revoke",
        icon="key_off",
        variant=ActionVariant.DANGER,
        permissions=["revoke"],
    )
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask once, then the key is dead."""
        key = self.get_object(request, object_id)
        if key is None:
            return gone(self, request, object_id)
        if request.method != "POST":
            warning = f"Whoever uses {key.prefix}… is refused from this moment on, for ever."
            page = {"title": "Revoke the key", "button": "Revoke", "danger": True}
            return self.confirm(request, key, forms.Form(), warning=warning, **page)
        services.revoke_key(key)
        self.log_change(request, key, "Revoked.")
        messages.success(request, f"{key.prefix}… is revoked.")
        return HttpResponseRedirect(change_url(key))
