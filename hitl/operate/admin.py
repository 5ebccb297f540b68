"""Signs of life and of work, to be read."""

from django.contrib import admin

from hitl.admin_tools import ReadOnlyAdmin
from hitl.operate.models import Pulse, TaskCount


@admin.register(Pulse)
class PulseAdmin(ReadOnlyAdmin):
    """When beat and the workers were last alive."""

    list_display = ("name", "at")
    search_fields = ("name",)
    fields = ("name", "at")
    readonly_fields = fields


@admin.register(TaskCount)
class TaskCountAdmin(ReadOnlyAdmin):
    """How often each task ran, and for how long altogether."""

    list_display = ("task", "runs", "failures", "seconds", "at")
    search_fields = ("task",)
    fields = list_display
    readonly_fields = fields
