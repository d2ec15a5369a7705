"""Receivers of messages: each has ``publish(message)``, which returns at once, and ``close(timeout)``.

The messages are those of ``LiveView.subscribe``.
"""
