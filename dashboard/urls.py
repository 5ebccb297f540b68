"""Paths of the pages."""

from django.contrib.auth import views as auth
from django.urls import include, path, reverse_lazy

from dashboard import (
    batch,
    insights,
    login,
    proof,
    reconcile,
    states,
    stepup,
    together,
    views,
    watching,
)

urlpatterns = [
    path("", views.inbox, name="inbox"),
    path("fragments/inbox/", views.inbox_fragment, name="inbox-fragment"),
    path("fragments/watch/", watching.fragment, name="watch-fragment"),
    path("batch/", batch.page, name="batch"),
    path("history/", views.history, name="history"),
    path("reconcile/", reconcile.page, name="reconcile"),
    path("insights/", insights.page, name="insights"),
    path("insights/table.csv", insights.table, name="insights-table"),
    path("workflows/<uuid:workflow_id>/", views.workflow, name="workflow"),
    path("workflows/<uuid:workflow_id>/parts/", views.workflow_fragment, name="workflow-parts"),
    path("workflows/<uuid:workflow_id>/events/<int:seq>/", views.event, name="event"),
    path("workflows/<uuid:workflow_id>/states/", states.page, name="states"),
    path("workflows/<uuid:workflow_id>/rollback/", states.roll_back, name="roll-back"),
    path("workflows/<uuid:workflow_id>/export/", proof.download, name="export"),
    path("workflows/<uuid:workflow_id>/decide/", views.decide, name="decide"),
    path("workflows/<uuid:workflow_id>/preview/", views.preview, name="preview"),
    path("workflows/<uuid:workflow_id>/settle/", views.settle, name="settle"),
    path("workflows/<uuid:workflow_id>/withdraw/", together.withdraw, name="withdraw"),
    path("workflows/<uuid:workflow_id>/extend/", together.extend, name="extend"),
    path("workflows/<uuid:workflow_id>/hand-over/", together.hand_over, name="hand-over"),
    path("workflows/<uuid:workflow_id>/claim/", together.claim, name="claim"),
    path("workflows/<uuid:workflow_id>/release/", together.release, name="release"),
    path("workflows/<uuid:workflow_id>/say/", together.say, name="say"),
    path(
        "workflows/<uuid:workflow_id>/deliveries/send/", views.send_all_again, name="send-all-again"
    ),
    path(
        "workflows/<uuid:workflow_id>/deliveries/<uuid:delivery_id>/send/",
        views.send_again,
        name="send-again",
    ),
    path("me/", include("dashboard.me_urls")),
    path("teams/", include("dashboard.team_urls")),
    path("webhooks/", include("dashboard.webhook_urls")),
    path("sandbox/", include("dashboard.sandbox_urls")),
    path("login/", login.login, name="login"),
    path("login/", login.login, name="account_login"),  # allauth's name for it
    path("login/second-factor/", login.second_factor, name="mfa_authenticate"),
    path("stepup/", stepup.page, name="stepup"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path(
        "password/",
        auth.PasswordChangeView.as_view(
            template_name="registration/change_password.html",
            success_url=reverse_lazy("password-changed"),
        ),
        name="password",
    ),
    path(
        "password/changed/",
        auth.PasswordChangeDoneView.as_view(template_name="registration/password_changed.html"),
        name="password-changed",
    ),
]
