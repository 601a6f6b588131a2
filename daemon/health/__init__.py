"""How the daemon is, for whoever asks over HTTP: ``/healthz``, ``/readyz`` and ``/metrics`` (docs/health.md).

``server.py`` is the thread that answers, ``app.py`` what it answers, ``state.py`` judges the loop's vital signs, ``known.py``
asks the database and the disks without ever waiting long, ``metrics.py`` has the numbers. Nothing here changes anything,
and nothing waits for it. The web server is imported by its thread, so that a daemon without it does not pay for it.
"""

from daemon.health.server import Health

__all__ = ["Health"]
