"""What the peers' scripts share: they say how long the work alone took, without the start of Python and its imports."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def work(**checked: int) -> Iterator[dict[str, int]]:
    """Times what is done inside, and prints it as the last line.

    Args:
        checked: totals that cannot be read from a database; may be added to inside.
    """
    begun = time.perf_counter()
    yield checked
    print(json.dumps({"work_seconds": time.perf_counter() - begun, **checked}))
