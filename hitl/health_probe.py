"""Asks this container's own web server whether it is well: exit code 0 or 1. A file to be run.

Standard library only and no settings, because it runs every few seconds.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit


def main() -> int:
    """Ask under the public name, which is the one that is always allowed."""
    host = urlsplit(os.environ.get("PUBLIC_URL", "http://localhost")).netloc
    connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "4000")), timeout=4)
    try:
        connection.request("GET", "/healthz", headers={"Host": host})
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        print(f"no answer: {error}", file=sys.stderr)
        return 1
    finally:
        connection.close()
    print(f"healthz: {status}", file=sys.stderr)
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
