"""The export of one request's log, as a file to keep."""

import io
from typing import cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from events.proof import export
from hitl.accounts.models import User
from hitl.lib.errors import HitlError, NotFound
from workflows import selectors
from workflows.api.proof_views import LIMIT_BYTES


@login_required
@require_safe
def download(request: HttpRequest, workflow_id: UUID) -> HttpResponse:
    """The bundle; where it cannot be made, the request's page says why."""
    file = io.BytesIO()
    try:
        workflow = selectors.get(workflow_id, cast(User, request.user))
        export.write_workflow(file, workflow.pk, limit=LIMIT_BYTES)
    except NotFound as error:
        raise Http404(str(error)) from None
    except HitlError as error:
        messages.error(request, str(error))
        return redirect("workflow", workflow_id)
    return HttpResponse(
        file.getvalue(), content_type=export.MEDIA_TYPE, headers=export.headers(workflow.pk)
    )
