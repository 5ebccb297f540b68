"""What a fresh server is filled with, so that the inbox is alive: action types and requests.

Requests are written as an agent would send them, because `manage.py demo` sends them that way.
"""

from typing import Any

from workflows.models import Executor, Risk, Semantics

EMAIL_FORM = {
    "fields": [
        {"name": "to", "type": "email", "label": "To", "required": True},
        {"name": "subject", "type": "string", "label": "Subject", "required": True},
        {"name": "body", "type": "text", "label": "Message", "required": True},
    ]
}
REFUND_FORM = {
    "fields": [
        {"name": "orderId", "type": "string", "label": "Order", "readOnly": True},
        {"name": "customer", "type": "string", "label": "Customer", "readOnly": True},
        {"name": "amount", "type": "number", "label": "Amount", "required": True},
        {"name": "currency", "type": "select", "label": "Currency", "options": ["EUR", "USD"]},
        {"name": "note", "type": "text", "label": "Note to the customer"},
    ]
}

ACTION_TYPES: tuple[dict[str, Any], ...] = (
    {
        "name": "payments.refund",
        "title": "Refund a payment",
        "description": "The agent pays the money back. The order number makes repeating it safe.",
        "risk": Risk.MEDIUM,
        "semantics": Semantics.IDEMPOTENT,
        "executor": Executor.AGENT,
        "data_schema": {
            "type": "object",
            "required": ["orderId", "amount", "currency"],
            "properties": {
                "orderId": {"type": "string", "minLength": 1},
                "amount": {"type": "number", "exclusiveMinimum": 0, "maximum": 10000},
                "currency": {"enum": ["EUR", "USD"]},
            },
        },
        "ui_schema": REFUND_FORM,
    },
    {
        # A second copy of a mail cannot be taken back, whatever its Message-ID says.
        "name": "email.send",
        "title": "Send an e-mail",
        "description": "This server sends the mail once it is approved.",
        "risk": Risk.MEDIUM,
        "semantics": Semantics.AT_MOST_ONCE,
        "executor": Executor.EMAIL,
        "data_schema": {
            "type": "object",
            "required": ["to", "subject", "body"],
            "properties": {
                "to": {"type": "string", "format": "email"},
                "subject": {"type": "string", "maxLength": 200},
                "body": {"type": "string", "minLength": 1},
            },
        },
        "ui_schema": EMAIL_FORM,
    },
    {
        "name": "deploy.production",
        "title": "Deploy to production",
        "description": "The agent rolls out a release. Never repeated when its outcome is lost.",
        "risk": Risk.HIGH,
        "semantics": Semantics.AT_MOST_ONCE,
        "executor": Executor.AGENT,
    },
    {
        "name": "data.export",
        "title": "Export a report",
        "description": "This server runs the registered function `echo`, as an example of yours.",
        "risk": Risk.LOW,
        "semantics": Semantics.IDEMPOTENT,
        "executor": Executor.FUNCTION,
        "executor_config": {"function": "echo"},
        "allow_timeout_approval": True,
    },
)

REQUESTS: tuple[dict[str, Any], ...] = (
    {
        "name": "Refund order A-1009",
        "actionType": "payments.refund",
        "reason": "The parcel arrived broken; the customer sent two pictures of it.",
        "actionData": {
            "orderId": "A-1009",
            "customer": "Ada Marsh",
            "amount": 129.9,
            "currency": "EUR",
            "note": "We are sorry about the broken lamp. The money is on its way.",
        },
        "timeoutSeconds": 8 * 3600,
    },
    {
        "name": "Answer Jordan Lee about the delayed order",
        "actionType": "email.send",
        "reason": "Third question about this order, and the carrier has confirmed a date.",
        "actionData": {
            "to": "jordan.lee@example.com",
            "subject": "Your order A-1017 arrives on Thursday",
            "body": "Dear Jordan,\n\nthe carrier has confirmed Thursday, before noon. As an "
            "apology we have taken the shipping costs off your bill.\n\nYour support team",
        },
        "timeoutSeconds": 24 * 3600,
    },
    {
        "name": "Deploy checkout 2.14.0 to production",
        "actionType": "deploy.production",
        "reason": "All 1,284 checks are green and the error budget of this month is untouched.",
        "actionData": {
            "service": "checkout",
            "version": "2.14.0",
            "commit": "9f2c1e7",
            "strategy": "rolling",
            "regions": ["eu-west", "us-east"],
            "changes": [
                {"id": "CH-482", "title": "Show delivery dates in the basket"},
                {"id": "CH-490", "title": "Retry card payments once"},
            ],
        },
        "timeoutSeconds": 2 * 3600,
    },
)
EXTRA: tuple[dict[str, Any], ...] = (
    {
        "name": "Export the orders of last month",
        "actionType": "data.export",
        "reason": "Accounting asks for it on the first of every month.",
        "actionData": {"report": "orders", "month": "2026-10", "columns": ["id", "date", "total"]},
        "timeoutSeconds": 12 * 3600,
    },
)
