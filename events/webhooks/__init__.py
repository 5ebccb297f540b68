"""Posts to the outside (Standard Webhooks 1.0): one stored message per endpoint and event.

`outbox` writes messages in the transaction that records the event, `sending` claims, posts and
settles them, `schedule` says when to try again, `endpoints` and `replays` are what people do.
"""
