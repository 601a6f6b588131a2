"""Checking the installed program from Python, under the names of the first description."""

from typing import Any

from daemon.config import load_settings
from daemon.selftest import PARTS, selftest
from daemon.settings import Settings


class LiveDataTester:
    """Runs made-up files through the program on a scratch site, and compares what comes of them with plain arithmetic.

    Each call has folders and a database of its own, which are removed at its end; the site's are not touched. What does
    not agree is a result, not an exception.

    Args:
        settings: of the site; by default those that ``load_settings`` finds. Its time zone and its filesystem are used.

    Raises:
        ConfigError: the configuration is wrong.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings()

    def test_csv_ingestion(self) -> dict[str, Any]:
        """Whether files are loaded exactly once, each row with each cell, and what is wrong with them is said.

        Returns:
            ``name``, ``status`` (``pass`` or ``fail``), ``seconds``, ``checks`` (each with ``name``, ``expected``, ``found``,
            ``ok`` and ``hint``) and ``failed``, the names of those that did not agree.
        """
        return self._part("csv_ingestion")

    def test_data_quality_monitoring(self) -> dict[str, Any]:
        """Whether the metrics of a day are what its rows say; returns the same."""
        return self._part("data_quality_monitoring")

    def test_feature_engineering(self) -> dict[str, Any]:
        """Whether the features of products are what their days make of them; returns the same."""
        return self._part("feature_engineering")

    def test_daily_workflow(self) -> dict[str, Any]:
        """Whether the daily workflow does its steps, and none twice; returns the same."""
        return self._part("daily_workflow")

    def run_comprehensive_test(self) -> dict[str, Any]:
        """All four, on one scratch site.

        Returns:
            ``status``, ``seconds``, ``checked`` and ``failed`` (how many checks), ``parts`` (each as above) and ``kept`` (None).
        """
        return selftest(self.settings).as_dict()

    def _part(self, name: str) -> dict[str, Any]:
        assert name in PARTS
        (part,) = selftest(self.settings, (name,)).parts
        return part.as_dict()
