"""E-mail over any Django mail backend: real SMTP by EMAIL_URL, the sandbox without it."""

from deliveries.channels.base import Channel


class EmailChannel(Channel):
    """Asks by mail with one link per choice; the link opens a page, the page's POST decides."""

    name = "email"
    label = "E-mail"
    contact_kind = "email"
