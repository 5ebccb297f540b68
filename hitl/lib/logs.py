"""How a line of the log is written. A personal link's token opens a door, so none gets in."""

import logging
import re

# Paths of links, wherever they stand: in an address, a traceback, a request line.
_TOKEN = re.compile(r"(/l/|/me/confirm/)[^/\s\"'?]+")


class Line(logging.Formatter):
    """A line of text, tracebacks included, with the tokens of personal links left out."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name == "django.security.DisallowedHost":
            # Scanners ask for any name all day: the line says all there is to say.
            record.exc_info = record.exc_text = None
        return _TOKEN.sub(r"\1…", super().format(record))
