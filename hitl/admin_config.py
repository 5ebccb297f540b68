"""Makes our admin site the one that `django.contrib.admin` serves."""

from django.contrib.admin.apps import AdminConfig


class HitlAdminConfig(AdminConfig):
    """Stands in INSTALLED_APPS in place of `django.contrib.admin`."""

    default_site = "hitl.admin_site.HitlAdminSite"
