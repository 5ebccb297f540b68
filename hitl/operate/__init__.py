"""For those who run the server: is it ready, what does it measure, and a watchdog over its parts.

Reads all floors and changes nothing in them. What it says is worked out from rows, so that it is
true on every process and with Redis gone.
"""
