"""Paths of the agent API and the seed's paths."""

from django.urls import URLPattern, path

from workflows.api import (
    delivery_views,
    docs,
    event_views,
    policy_views,
    proof_views,
    receipt_views,
    rollback_urls,
    service_views,
    share_urls,
    statistics_views,
    views,
    webhook_views,
)

_ONE = "api/v1/workflows/<str:workflow_id>"
_HOOK = "api/v1/webhooks/<str:webhook_id>"
_POLICY = "api/v1/policies/<str:policy_id>"
_MESSAGE = f"{_HOOK}/messages/<str:message_id>"

urlpatterns: list[URLPattern] = [
    path("api/v1/workflows", views.Workflows.as_view(), name="api-workflows"),
    path(_ONE, views.OneWorkflow.as_view(), name="api-workflow"),
    path(f"{_ONE}/cancel", views.Cancel.as_view(), name="api-cancel"),
    path(f"{_ONE}/events", event_views.Timeline.as_view(), name="api-events"),
    path(f"{_ONE}/export", proof_views.Export.as_view(), name="api-export"),
    path(f"{_ONE}/deliveries", delivery_views.Deliveries.as_view(), name="api-deliveries"),
    path(f"{_ONE}/action-data", views.ActionData.as_view(), name="api-action-data"),
    path(f"{_ONE}/decide", views.Decide.as_view(), name="api-decide"),
    path(f"{_ONE}/settle", views.Settle.as_view(), name="api-settle"),
    path(f"{_ONE}/execution/start", views.StartExecution.as_view(), name="api-start"),
    path(f"{_ONE}/execution/heartbeat", views.Heartbeat.as_view(), name="api-heartbeat"),
    path(f"{_ONE}/execution/complete", views.CompleteExecution.as_view(), name="api-complete"),
    path(f"{_ONE}/execution/fail", views.FailExecution.as_view(), name="api-fail"),
    path(f"{_ONE}/receipt", receipt_views.Issue.as_view(), name="api-receipt"),
    path("api/v1/receipts/verify", receipt_views.Verify.as_view(), name="api-receipt-verify"),
    path("api/v1/receipts/consume", receipt_views.Consume.as_view(), name="api-receipt-consume"),
    *share_urls.urlpatterns,
    *rollback_urls.urlpatterns,
    path(
        "api/v1/deliveries/<str:delivery_id>/retry",
        delivery_views.RetryDelivery.as_view(),
        name="api-retry-delivery",
    ),
    path("api/v1/events", event_views.Feed.as_view(), name="api-feed"),
    path("api/v1/events/stream", event_views.Stream.as_view(), name="api-stream"),
    path("api/v1/webhooks", webhook_views.Webhooks.as_view(), name="api-webhooks"),
    path(_HOOK, webhook_views.OneWebhook.as_view(), name="api-webhook"),
    path(f"{_HOOK}/rotate", webhook_views.RotateWebhook.as_view(), name="api-webhook-rotate"),
    path(f"{_HOOK}/test", webhook_views.TestWebhook.as_view(), name="api-webhook-test"),
    path(f"{_HOOK}/replay", webhook_views.ReplayWebhook.as_view(), name="api-webhook-replay"),
    path(f"{_HOOK}/messages", webhook_views.WebhookMessages.as_view(), name="api-webhook-messages"),
    path(_MESSAGE, webhook_views.OneWebhookMessage.as_view(), name="api-webhook-message"),
    path(
        f"{_MESSAGE}/resend",
        webhook_views.ResendWebhookMessage.as_view(),
        name="api-webhook-resend",
    ),
    path("api/v1/policies", policy_views.Policies.as_view(), name="api-policies"),
    path("api/v1/policies/dry-run", policy_views.TryPolicy.as_view(), name="api-policy-dry-run"),
    path(_POLICY, policy_views.OnePolicy.as_view(), name="api-policy"),
    path(f"{_POLICY}/versions", policy_views.PolicyVersions.as_view(), name="api-policy-versions"),
    path("api/v1/rules", policy_views.Rules.as_view(), name="api-rules"),
    path("api/v1/rules/dry-run", policy_views.TryRules.as_view(), name="api-rules-dry-run"),
    path("api/v1/statistics", statistics_views.Statistics.as_view(), name="api-statistics"),
    path("api/v1/action-types", views.ActionTypes.as_view(), name="api-action-types"),
    path(".well-known/jwks.json", receipt_views.Jwks.as_view(), name="jwks"),
    path("api/schema/", docs.Schema.as_view(), name="api-schema"),
    path("api/docs/", docs.Browse.as_view(), name="api-docs"),
    # The seed's paths, to the letter, and what supervisors ask.
    path("workflows/create", views.SeedCreate.as_view(), name="seed-create"),
    path("ping", service_views.Ping.as_view(), name="ping"),
    path("healthz", service_views.Health.as_view(), name="healthz"),
]
