"""Uvicorn's reader of requests, with an end to how long a request's head may be.

The parser under it takes lines for as long as somebody sends them, and keeps them in memory.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD = 64 * 1024
MOST_FIELDS = 100


class TooLong(Exception):
    """The head, or what follows a body in pieces, has grown beyond the limits."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. What is too long is answered 400, and the connection closed."""

    _is_in_head = False
    _bytes = _fields = 0

    def data_received(self, data: bytes) -> None:
        """Also notices a line that does not end: the parser tells of whole ones only."""
        super().data_received(data)
        if self._is_in_head:
            self._bytes += len(data)
            if self._bytes > LONGEST_HEAD and not self.transport.is_closing():
                self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        self._is_in_head, self._bytes, self._fields = True, 0, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Whole fields; those after a body's last piece come here, too."""
        self._fields += 1
        self._bytes += len(name) + len(value)
        if self._fields > MOST_FIELDS or self._bytes > LONGEST_HEAD:
            raise TooLong
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()
