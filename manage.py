#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from hitl.command_line import export_options


def main() -> None:
    """Run one command; a setting that is missing or wrong is a sentence, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hitl.settings")
    sys.argv[2:] = export_options(sys.argv[2:])
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"hitl: {error}")


if __name__ == "__main__":
    main()
