"""A check of the installed program from end to end, in a folder and a database of its own that are removed afterwards.

It writes sample files, spoils some of them, has them loaded by a real drain and the daily workflow run, and compares what the
database, the folders, the metrics and the features say with what plain Python makes of the text of the files: ``book.py`` and
``expected.py``, which use nothing of the program. ``trial.py`` does what is then looked at; ``ingestion.py``, ``quality.py``,
``features.py`` and ``workflow.py`` look. Nothing of the site is read but its business time zone, and nothing is changed.
"""

from daemon.selftest.run import PARTS, Part, Report, selftest

__all__ = ["PARTS", "Part", "Report", "selftest"]
