"""Errors of the daemon, named by what to do next. Each docstring is the default message."""

from handlers.errors import StockgripError


class TransientError(StockgripError):
    """The world is at fault, not the file: leave the file where it is and try again."""


class DatabaseUnavailable(TransientError):  # noqa: N818  (named by what is so; its base says what to do)
    """The database cannot be reached or is locked: check that it runs; the work goes on by itself."""


class OutcomeUnknown(DatabaseUnavailable):
    """The database went away while it committed: what became of it stands in the ledger, to be read later."""


class ConfigError(StockgripError):
    """The configuration is wrong: correct config.yaml or the STOCKGRIP_ variables and start again."""


class GaveWay(StockgripError):  # noqa: N818  (named by what is so)
    """A change was broken off before its commit, for something more urgent waits: nothing of it is done, do it again later."""
