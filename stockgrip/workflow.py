"""The daily workflow from Python, under the names of the first description."""

from types import TracebackType
from typing import Any, Self

from daemon.config import load_settings
from daemon.settings import Settings
from daemon.store import Store
from daemon.workflow.daily import daily
from daemon.workflow.schedule import next_run
from daemon.workflow.status import status_of
from daemon.workflow_settings import clock_time


class WorkflowOrchestrator:
    """Runs what is left to do at a day's end. Use it as a context manager, or ``close`` it.

    Args:
        settings: of the site; by default those that ``load_settings`` finds.

    Raises:
        ConfigError: the configuration is wrong.
        DatabaseUnavailable: the database does not answer.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings()
        busy = self.settings.database.busy_timeout_seconds
        self._store = Store.open(self.settings.database_url, busy_timeout_seconds=busy)

    def run_daily_workflow(self) -> dict[str, Any]:
        """Does all steps now.

        Returns:
            ``id``, ``day``, ``status`` (``ok``, or ``failed`` if any step did), ``started_at``, ``ended_at``, ``seconds`` and
            ``steps``: each with ``name``, ``status``, ``seconds``, ``details`` and ``error``.

        Raises:
            TransientError: another run is under way, or the database does not answer.
        """
        return daily(self.settings, self._store).run()

    def schedule_daily_workflow(self, time_str: str = "02:00") -> dict[str, Any]:
        """Chooses the time for this object, and says when that is next. The daemon reads its own from ``workflow.at``.

        Args:
            time_str: a time of day in the business time zone.

        Raises:
            ValueError: it is none.
        """
        chosen = self.settings.workflow.model_copy(update={"at": clock_time(time_str)})
        self.settings = self.settings.model_copy(update={"workflow": chosen})
        upcoming = next_run(self.settings)
        return {"scheduled_at": time_str, "next_run": upcoming.isoformat() if upcoming else None}

    def get_workflow_status(self) -> dict[str, Any]:
        """The last run, whether one is under way, and when the next is: ``last_run``, ``under_way``, ``scheduled_at``, ``next_run``."""
        return status_of(self.settings, self._store, next_run(self.settings))

    def close(self) -> None:
        """Gives the connections back."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
