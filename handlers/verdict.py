"""Whether enough of a file is good."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from handlers.errors import FileError
from handlers.reasons import FileReason


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A file is refused when it has more rejects than the larger of the two.

    Attributes:
        rejects: a number of rows.
        share: of all rows of the file, 0 to 1.
        correction: a correction has at least this share of the rows it replaces, 0 to 1.
        old_transactions: transactions are let in that may have been counted, in rows that are kept no more.
    """

    rejects: int
    share: float
    correction: float = 0.5
    old_transactions: bool = False


FORCED = Tolerance(rejects=2**62, share=1.0, correction=0.0, old_transactions=True)


def judge(valid: int, reasons: Mapping[str, int], tolerance: Tolerance, known: int = 0) -> None:
    """Passes a file, or refuses it as a whole.

    Args:
        valid: rows that may be loaded.
        reasons: refused rows by reason.
        tolerance: how many may be refused.
        known: rows that an earlier delivery has brought.

    Raises:
        FileError: ``empty``, ``no_valid_rows`` or ``too_many_rejects``.
    """
    rejected = sum(reasons.values())
    read = valid + rejected + known
    if read == 0:
        raise FileError(FileReason.EMPTY, "the file has a header and no row")
    most = ", ".join(f"{n} x {reason}" for reason, n in list(reasons.items())[:4])
    if valid + known == 0:
        raise FileError(FileReason.NO_VALID_ROWS, f"all {read} rows were rejected: {most}")
    # a share such as 0.29 is a little less in binary: 29 of 100 rows are still within it
    allowed = max(tolerance.rejects, math.floor(tolerance.share * read + 1e-9))
    if rejected > allowed:
        raise FileError(
            FileReason.TOO_MANY_REJECTS,
            f"{rejected} of {read} rows were rejected ({most}); up to {allowed} are tolerated",
        )
