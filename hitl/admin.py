"""Admin pages of what other packages brought: the schedule, permission groups, the admin's log.

Their own registrations are imported first, so that ours replace them whatever the order of apps.
"""

from typing import Any

from allauth.account.admin import EmailAddress
from allauth.mfa.admin import Authenticator
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth import admin as auth_admin
from django.contrib.auth.models import Group, Permission
from django_celery_beat import admin as beat_admin
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from hitl.admin_tools import NOTHING, Admin, ReadOnlyAdmin

# allauth's table of addresses is not used, and who may see a factor's row could copy it.
admin.site.unregister([EmailAddress, Authenticator])
admin.site.unregister(
    [Group, PeriodicTask, IntervalSchedule, CrontabSchedule, SolarSchedule, ClockedSchedule]
)


@admin.register(Group)
class GroupAdmin(auth_admin.GroupAdmin, Admin):
    """What staff who are no superusers may do in this admin."""

    filter_horizontal = ()
    autocomplete_fields = ("permissions",)


@admin.register(Permission)
class PermissionAdmin(ReadOnlyAdmin):
    """What there is to be allowed; looked up by the page of a group."""

    list_display = ("name", "content_type", "codename")
    list_filter = ("content_type",)
    list_select_related = ("content_type",)
    search_fields = ("name", "codename", "content_type__model")


class TaskSelect(UnfoldAdminSelectWidget, beat_admin.TaskSelectWidget):
    """The registered tasks, in the theme's clothes."""


class PeriodicTaskForm(beat_admin.PeriodicTaskForm):
    """The package's form with the theme's widgets."""

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self.fields["task"].widget = UnfoldAdminTextInputWidget()
        self.fields["regtask"].widget = TaskSelect()


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(beat_admin.PeriodicTaskAdmin, ModelAdmin):
    """The sweeps. Beat resets their interval from the settings; `enabled` is yours."""

    form = PeriodicTaskForm


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(beat_admin.CrontabScheduleAdmin, ModelAdmin):
    """Times of day for tasks of your own."""


@admin.register(IntervalSchedule, SolarSchedule, ClockedSchedule)
class ScheduleAdmin(ModelAdmin):
    """The other ways to say when."""


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """Who did what in this admin."""

    list_display = ("action_time", "user", "content_type", "object_repr", "shown_message")
    list_filter = ("action_flag", "content_type")
    list_select_related = ("user", "content_type")
    search_fields = ("object_repr", "change_message", "user__email")
    id_fields = ("object_id",)
    fields = ("action_time", "user", "content_type", "object_repr", "shown_message")
    readonly_fields = fields

    @display(description="What")
    def shown_message(self, entry: LogEntry) -> str:
        return entry.get_change_message() or NOTHING
