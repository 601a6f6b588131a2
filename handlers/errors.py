"""Errors, named by what to do next."""

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
    """

    def __init__(self, reason: FileReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    @property
    def remedy(self) -> str:
        """What the person who sees this may do about it."""
        return self.reason.remedy
