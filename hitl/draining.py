"""How a process that is told to stop takes its leave: it says so first, and closes afterwards.

A listener that closes resets connections which the system has accepted already. So for
DRAIN_SECONDS everything is answered as before, but for the proxy's question whether to send more
(`/ping`, `/readyz`): a proxy that asks every second sends nothing more when the door closes.
"""

import mmap

PROBES = ("/ping", "/readyz")
SAYS = "This process stops: ask another."

# Shared with the processes that are forked from this one.
_flag = mmap.mmap(-1, 1)


def begin() -> None:
    """From now on the probes are told to send nothing more."""
    _flag[0] = 1


def has_begun() -> bool:
    """Whether this process, or the one that it was forked from, takes its leave."""
    return _flag[0] == 1


def refuses(path: str) -> bool:
    """Whether a request for this path is to be answered with 503 for that reason."""
    return path in PROBES and has_begun()
