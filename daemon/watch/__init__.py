"""Watching the inbox: hints where to look, as soon as something happens. The listing of the folder is the truth."""

from daemon.watch.watcher import Watcher

__all__ = ["Watcher"]
