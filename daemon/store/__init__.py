"""The database: the only place that talks SQL.

``commit.py`` reads downwards as the one transaction of a delivery. ``schema.py`` has the tables, ``staging.py``
where rows wait until their file is judged, ``engine.py`` the two databases' manners.
"""

from daemon.store.engine import create_database, get_session, is_worlds_fault, open_engine, translated
from daemon.store.store import Store

__all__ = ["Store", "create_database", "get_session", "is_worlds_fault", "open_engine", "translated"]
