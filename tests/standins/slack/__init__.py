"""Slack on loopback: its Web API with a workspace behind it, its signed posts, its Socket Mode.

Written from Slack's published protocol and sharing no code with the channel that it tests.
"""

from tests.standins.slack import block_kit
from tests.standins.slack.posts import Post, click, close, sign, submit, tampered
from tests.standins.slack.server import SlackServer, slack_server
from tests.standins.slack.sockets import SocketServer, socket_server
from tests.standins.slack.workspace import Call, Posted, View, Workspace

__all__ = (
    "Call",
    "Post",
    "Posted",
    "SlackServer",
    "SocketServer",
    "View",
    "Workspace",
    "block_kit",
    "click",
    "close",
    "sign",
    "slack_server",
    "socket_server",
    "submit",
    "tampered",
)
