"""The sandbox plays the providers of channels without an account: embedded mode only.

What they were given to deliver is kept as `SandboxMessage`; what people do with it comes back as
posts that are signed as the real ones are, and verified by the same code.
"""

from deliveries.sandbox.mail import EmailBackend

__all__ = ("EmailBackend",)
