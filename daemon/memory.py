"""Memory that is free, given back to the system: after a large file an idle daemon is as small as it was."""

import ctypes
from typing import Final

_MALLOC_TRIM: Final = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's


def give_back() -> None:
    """Gives back what Arrow and the C library keep for later; some milliseconds."""
    import pyarrow as pa  # noqa: PLC0415

    pa.default_memory_pool().release_unused()
    if _MALLOC_TRIM is not None:
        _MALLOC_TRIM(0)
