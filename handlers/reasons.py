"""Why a file or a row was refused: stable codes, each with its meaning and what to do about it.

Codes are part of the contract: they stand in the ledger, in ``rejected_rows`` and in the logs, and never change
their meaning.
"""

from enum import StrEnum
from typing import Self


class _Reason(StrEnum):
    """A code with its explanation."""

    meaning: str
    remedy: str

    def __new__(cls, code: str, meaning: str = "", remedy: str = "") -> Self:
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        member.remedy = remedy
        return member


class FileReason(_Reason):
    """Why a whole file was refused."""

    UNROUTABLE = (
        "unroutable",
        "no feed owns the file's name, or more than one does",
        "Rename the file to match one of the patterns in config.yaml (feeds), then drop it again.",
    )
    UNREADABLE = (
        "unreadable",
        "the daemon may not read the file",
        "Let the sender upload with mode 0640, so that the group may read; chmod the file, then retry it.",
    )
    NOT_REGULAR = (
        "not_regular",
        "it is no regular file any more: a link, a pipe or a device took the place of one",
        "Find out who put it there; only regular files are read, and links are never followed.",
    )
    TOO_LARGE = (
        "too_large",
        "the file is larger than limits.max_file_bytes",
        "Split the file, or raise limits.max_file_bytes in config.yaml.",
    )
    EMPTY = (
        "empty",
        "the file has no bytes, only white space, or a header and no row",
        "Ask the sender for the file again; on a day without data no file is needed.",
    )
    ENCODING = (
        "encoding",
        "the bytes are neither UTF-8 nor UTF-16 with a byte order mark, nor what the feed's config names",
        "Export the file as UTF-8, or name the sender's encoding in config.yaml (feeds.<feed>.encoding).",
    )
    NUL_TAIL = (
        "nul_tail",
        "the file ends in NUL bytes, as after a crash or a broken transfer",
        "The transfer broke: ask the sender to send the whole file again.",
    )
    UNBALANCED_QUOTES = (
        "unbalanced_quotes",
        "a quoted cell never ends, or text follows its closing quote",
        'Close the quote; inside a quoted cell a quote is written twice ("").',
    )
    MISSING_COLUMN = (
        "missing_column",
        "there is no header line, or a required column is not in it",
        "The first line must name the feed's required columns; correct the header, then retry the file.",
    )
    DUPLICATE_COLUMN = (
        "duplicate_column",
        "a header name occurs twice (upper and lower case are equal)",
        "Rename or remove one of the two columns, then retry the file.",
    )
    NO_VALID_ROWS = (
        "no_valid_rows",
        "every row was rejected",
        "Look at the first rejects: usually one column has another format than the feed expects.",
    )
    TOO_MANY_REJECTS = (
        "too_many_rejects",
        "more rows were rejected than limits.max_rejects and limits.max_reject_share allow",
        "Look at the first rejects, correct the file, then retry it.",
    )
    GZIP_CORRUPT = (
        "gzip_corrupt",
        "the compressed file is damaged, cut short, or not compressed at all",
        "Ask the sender to send the file again.",
    )
    GZIP_TOO_BIG = (
        "gzip_too_big",
        "the compressed file unpacks to more than limits.max_unpacked_bytes or limits.max_ratio allow",
        "If the file is genuine, raise the limit in config.yaml; if not, find out who sent it.",
    )
    SUM_TOO_LARGE = (
        "sum_too_large",
        "the money in one file adds up to more than can be added exactly",
        "Check the revenues: their unit is probably wrong. Else split the file.",
    )
    SHRUNK = (
        "shrunk",
        "the correction has less than limits.min_correction_share of the rows it would replace: held for a person",
        "Look at what it would change (stockgrip explain, with its name). If the smaller file is right: stockgrip retry --force, with its name.",
    )
    STALE_REJECTS = (
        "stale_rejects",
        "rejected rows came back under another name, or their delivery is unknown, was replaced, was taken out, or is so old that they were removed",
        "Keep the name a rejects file has in errors/. If its delivery was replaced, correct the newer one's rejects instead; if it is too old, correct the whole file.",
    )
    MANIFEST_MISMATCH = (
        "manifest_mismatch",
        "the file is not what the manifest beside it says: other bytes, size, rows or totals",
        "Ask the sender which is right. If the file is, remove its manifest from errors/ and retry; else let it be sent again.",
    )
    BAD_MANIFEST = (
        "bad_manifest",
        "the manifest beside the file cannot be read",
        "Correct or remove the manifest in errors/, then retry the file; docs/senders.md shows how one is written.",
    )
    ROWS_REMOVED = (
        "rows_removed",
        "it corrects a file whose rows are so old that they were removed (retention.data_days)",
        "Send only what is missing, under a name of its own. To replace the whole day, docs/retention.md says how.",
    )
    OLD_TRANSACTIONS = (
        "old_transactions",
        "it names transactions of days whose rows were removed: whether they were counted before is not known any more",
        "Look up whether they were delivered before. If they are new: stockgrip retry --force, with its name.",
    )
    CUT_BEFORE = (
        "cut_before",
        "the file begins with one that was loaded although its last line was cut off; both together would count twice",
        "Take the cut one out (stockgrip unload, with the delivery that the message names), then stockgrip retry this one.",
    )
    TOO_SLOW = (
        "too_slow",
        "it took longer than limits.max_processing_time_minutes: abandoned, and nothing of it was loaded",
        "If the host or the database was busy, retry it when it is not. Else split the file, or raise the limit in config.yaml and retry it.",
    )
    INTERNAL_ERROR = (
        "internal_error",
        "the program failed on this file: a defect of the program, not of the file",
        "Report the traceback from the log; the file is kept; retry it after an upgrade.",
    )


class RowReason(_Reason):
    """Why one row was refused."""

    COLUMN_COUNT = (
        "column_count",
        "the row has more or fewer cells than the header",
        "Check for a delimiter inside an unquoted cell, or a row that was cut.",
    )
    CONTROL_CHARACTER = (
        "control_character",
        "a cell holds a control character (code below 32)",
        "Remove line breaks, tabs and other control characters from the cell.",
    )
    MISSING_VALUE = ("missing_value", "a required cell is empty", "Fill the cell in.")
    BAD_DATE = (
        "bad_date",
        "not a date in an accepted form",
        "Write dates as YYYY-MM-DDTHH:MM:SS (or YYYY-MM-DD).",
    )
    DATE_OUT_OF_RANGE = (
        "date_out_of_range",
        "the date is before 2000-01-01 or more than one day ahead",
        "Correct the date; check the clock and time zone of the sender.",
    )
    BAD_INTEGER = (
        "bad_integer",
        "not a plain integer",
        "Write digits only: no decimals, thousands separators or exponents.",
    )
    BAD_DECIMAL = (
        "bad_decimal",
        "not a plain finite decimal, or too many decimals",
        "Write digits, a full stop and digits: no decimal comma, thousands separators or currency signs.",
    )
    OUT_OF_RANGE = ("out_of_range", "a number outside of its bounds", "Correct the number.")
    BAD_ENUM = ("bad_enum", "not one of the listed words", "Use one of the listed words.")
    TOO_LONG = ("too_long", "the text is longer than allowed", "Shorten the text.")
    DUPLICATE_KEY = (
        "duplicate_key",
        "a later row of the same file has the same key; the later one was loaded",
        "Nothing to do if the later row is right.",
    )
    NO_SUCH_REJECT = (
        "no_such_reject",
        "reject_line names no row that was rejected, or names one twice",
        "Keep the column reject_line as it was written; drop rows that are new in a file of their own.",
    )
    RESERVED_OVER_STOCK = (
        "reserved_over_stock",
        "reserved_stock is more than stock_level",
        "Correct one of the two.",
    )
    REORDER_AFTER_DATE = (
        "reorder_after_date",
        "last_reorder_date is after date",
        "Correct one of the two.",
    )
    MIN_OVER_MAX = (
        "min_over_max",
        "min_order_quantity is more than max_order_quantity",
        "Correct one of the two.",
    )
