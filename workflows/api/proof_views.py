"""Proof over the API: one request's log in a file that is verified without this server."""

import io

from django.http import HttpResponse
from rest_framework.request import Request

from events.proof import export
from hitl.accounts.permissions import MayRead
from workflows import selectors
from workflows.api.operations import Endpoint, id_in_path, operation

LIMIT_BYTES = 64 * 1024 * 1024  # of content; what is handed out is packed, and much smaller


class Export(Endpoint):
    """`/api/v1/workflows/{id}/export`."""

    @operation(
        id="exportWorkflow",
        summary="Export the log with proof",
        tag="Workflows",
        permission=MayRead,
        answer={"type": "string", "format": "binary"},
        answer_type=export.MEDIA_TYPE,
        answer_says="A zip file with events, checkpoints, keys and a verifier.",
        answer_examples={"The first two bytes of a zip file": "PK"},
        answer_headers={"Content-Disposition": "Names the file after the workflow."},
        problems=("export-too-large",),
    )
    def get(self, request: Request, workflow_id: str) -> HttpResponse:
        """Everything that happened, and what proves it: `python3 -I verify_bundle.py bundle.zip`.

        Every event is covered by a checkpoint that is signed with one of the keys of
        `/.well-known/jwks.json`. Nothing is told about other workflows.
        """
        workflow = selectors.get(id_in_path(workflow_id), self.caller)
        file = io.BytesIO()
        export.write_workflow(file, workflow.pk, limit=LIMIT_BYTES)
        return HttpResponse(
            file.getvalue(), content_type=export.MEDIA_TYPE, headers=export.headers(workflow.pk)
        )
