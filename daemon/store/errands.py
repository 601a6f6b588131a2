"""Work that a thread does while others go on, in the order in which it is handed over."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Errands:
    """A thread, and the short queue before it.

    Args:
        name: of the thread.
        most: so many may wait; whoever hands over one more waits.
    """

    def __init__(self, name: str, most: float) -> None:
        self._most = most
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._handed_over: deque[Future[None]] = deque()

    def hand_over(self, errand: Callable[[], None]) -> None:
        """Has one more done; raises what went wrong with an earlier one."""
        self._look_after(self._most)
        self._handed_over.append(self._pool.submit(errand))

    def finish(self) -> None:
        """Waits until all are done; raises what went wrong."""
        self._look_after(0)

    def close(self) -> None:
        """Ends the thread; what waits is not done any more."""
        self._pool.shutdown(cancel_futures=True)

    def _look_after(self, most: float) -> None:
        while self._handed_over and (len(self._handed_over) > most or self._handed_over[0].done()):
            self._handed_over.popleft().result()
