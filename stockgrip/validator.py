"""Judging a pandas frame before it is written to a file."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from daemon.dry_run import dry_run
from daemon.reading import Rules
from daemon.settings import Settings
from stockgrip.pipeline import chosen, file_error, known_feed, owning, row_error
from stockgrip.results import Validation

_NAME = "frame.csv"


class CSVValidator:
    """Says what would become of a frame if it were delivered."""

    def __init__(self, config: Path | str | None = None, settings: Settings | None = None) -> None:
        """Reads the configuration: time zone, limits and ``feeds.sales.returns`` are part of the judgement.

        Args:
            config: the configuration file; without it ``config.yaml`` in the current folder, if there is one.
            settings: settings instead of a file.

        Raises:
            ConfigError: the configuration is wrong.
        """
        self._rules = Rules.of(chosen(config, settings))

    def validate_schema(self, df: pd.DataFrame, data_type: str) -> Validation:
        """Judges header and rows by the daemon's own rules.

        The frame is judged as the file that ``df.to_csv(index=False)`` writes: what pandas has made of a column counts.
        Integers that became floats for want of a value (``12.0``) are errors, as they would be in the file; read such
        columns with ``dtype=str`` or ``Int64``.

        Args:
            df: rows to judge, shape (rows, columns), in any order of columns. It is not changed.
            data_type: the feed.

        Returns:
            The verdict. A row's ``line`` is that of the written file: ``df.iloc[line - 2]``, as long as no cell
            holds a line break.

        Raises:
            ValueError: there is no such feed.
        """
        rules = owning(self._rules, _NAME, known_feed(data_type, self._rules))
        with TemporaryDirectory(prefix="stockgrip-") as folder:
            path = Path(folder) / _NAME
            # surrogates are no UTF-8: the reader refuses them with a reason, where pandas would raise
            path.write_bytes(df.to_csv(index=False).encode("utf-8", "surrogatepass"))
            verdict = dry_run(path, rules, most=0)
        errors = [row_error(reject) for reject in verdict.rejects]
        if verdict.reason is not None:
            errors.insert(0, file_error(verdict.reason.value, verdict.message))
        unknown = verdict.dialect.unknown if verdict.dialect else ()
        return {
            "valid": verdict.all_well,
            "errors": errors,
            "warnings": [
                f"column {name!r} is none of the feed's and would not be loaded" for name in unknown
            ],
        }
