"""What is old is compressed, and then removed: files that were filed, and rows that nothing needs."""

from daemon.retention.run import Retained, retain

__all__ = ["Retained", "retain"]
