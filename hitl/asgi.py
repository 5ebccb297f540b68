"""HTTP and WebSocket routing for the ASGI server."""

import os
from typing import cast

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from channels.sessions import SessionMiddlewareStack
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hitl.settings")
django_application = get_asgi_application()

# These need the app registry.
from dashboard.routing import websocket_urlpatterns  # noqa: E402
from hitl.front_door import AsgiDoor  # noqa: E402
from workflows.api.gateway import Gateway  # noqa: E402
from workflows.api.inner import Application  # noqa: E402
from workflows.api.longpoll import LongPoll  # noqa: E402
from workflows.api.socket import AgentSocket  # noqa: E402
from workflows.api.streaming import Streaming  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": AsgiDoor(Gateway(Streaming(LongPoll(cast(Application, django_application))))),
        "websocket": AgentSocket(
            AllowedHostsOriginValidator(SessionMiddlewareStack(URLRouter(websocket_urlpatterns)))
        ),
    }
)
