"""The API's description to download and to browse, served from here without foreign scripts."""

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import AllowAny


class Schema(SpectacularAPIView):
    """The OpenAPI document, as YAML or, with `?format=json`, as JSON."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    content_negotiation_class = DefaultContentNegotiation


class Browse(SpectacularSwaggerSplitView):
    """The document as a page on which operations can be tried."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    url_name = "api-schema"
    template_name = "workflows/api_docs.html"
