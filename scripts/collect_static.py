#!/usr/bin/env python3
"""Collect the static files into a folder of the caller's choice, as production would.

`manage.py collectstatic` writes to STATIC_ROOT, from where an embedded server would go on serving
yesterday's style sheet; CI only wants to know whether every file that a style sheet names exists.
"""

import os
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command


def main() -> None:
    """Collect into the folder named by the only argument, or end with the missing file's name."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hitl.settings")
    settings.STATIC_ROOT = sys.argv[1]
    django.setup()
    call_command("collectstatic", interactive=False, verbosity=0)
    print(f"collected into {sys.argv[1]}")


if __name__ == "__main__":
    main()
