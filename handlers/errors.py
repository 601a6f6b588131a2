"""Errors, named by what to do next."""

from collections.abc import Mapping
from typing import Any

from handlers.reasons import FileReason


class StockgripError(Exception):
    """Stock GRIP Live could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class FileError(StockgripError):
    """The file is at fault: it goes to ``errors/`` with this reason, and nothing of it is loaded.

    Attributes:
        reason: the stable code, for programs.
        message: what was found in this file, in a sentence, for people.
        details: more about it, for the ledger: values that JSON can hold.
    """

    def __init__(self, reason: FileReason, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.details = dict(details or {})

    @property
    def remedy(self) -> str:
        """What the person who sees this may do about it."""
        return self.reason.remedy
