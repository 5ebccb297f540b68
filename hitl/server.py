"""How uvicorn serves us: in one process with everything else, or as a role of its own."""

import warnings

import uvicorn

LONGEST_SOCKET_MESSAGE = 64 * 1024


def config(*, grace: int, host: str = "", port: int = 0) -> uvicorn.Config:
    """Uvicorn's settings. At a stop, requests get `grace` seconds; then long polls are cut off."""
    # WhiteNoise reads files the synchronous way. They are small, and Django warns at every start.
    warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous")
    return uvicorn.Config(
        "hitl.asgi:application",
        host=host,
        port=port,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws_max_size=LONGEST_SOCKET_MESSAGE,
        timeout_graceful_shutdown=grace,
    )
