"""The inbox: which files lie there, and what tells that one is complete. ``folder.py`` looks, ``evidence.py`` judges."""

from daemon.inbox.folder import Inbox
from daemon.inbox.probe import has_writer

__all__ = ["Inbox", "has_writer"]
