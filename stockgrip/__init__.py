"""The Python API: the daemon's own steps, for a script or a notebook.

    from stockgrip import CSVIngestionPipeline

    with CSVIngestionPipeline() as pipeline:
        result = pipeline.process_csv_file("sales_data_20260105.csv", "sales")

It works on the same folders, database and ledger as the daemon, and may be used while the daemon runs. ``docs/api.md``
is its reference. Its log lines go to the standard library's logger ``stockgrip``.
"""

from daemon.config import load_settings
from daemon.errors import ConfigError, DatabaseUnavailable, TransientError
from daemon.settings import Settings
from daemon.store import create_database, get_session
from stockgrip.fallback import Estimate, FallbackDataHandler
from stockgrip.features import LiveFeatureEngineer
from stockgrip.pipeline import CSVIngestionPipeline
from stockgrip.quality import DataQualityMonitor, QualityReport, QualityResult
from stockgrip.results import DrainResult, FileResult, RowError, Validation
from stockgrip.tester import LiveDataTester
from stockgrip.validator import CSVValidator
from stockgrip.workflow import WorkflowOrchestrator

__all__ = [
    "CSVIngestionPipeline",
    "CSVValidator",
    "ConfigError",
    "DataQualityMonitor",
    "DatabaseUnavailable",
    "DrainResult",
    "Estimate",
    "FallbackDataHandler",
    "FileResult",
    "LiveDataTester",
    "LiveFeatureEngineer",
    "QualityReport",
    "QualityResult",
    "RowError",
    "Settings",
    "TransientError",
    "Validation",
    "WorkflowOrchestrator",
    "create_database",
    "get_session",
    "load_settings",
]
