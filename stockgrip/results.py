"""What the API's calls return: plain dictionaries, so that they print and go into JSON as they are."""

from typing import Literal, TypedDict

Status = Literal["success", "partial", "failed", "duplicate"]


class RowError(TypedDict):
    """One reject, or the reason why a whole file was refused.

    Attributes:
        line: the physical line in the file, the header being 1; None for the file as a whole.
        column: the column at fault; "" for a row or the file as a whole.
        value: the cell as it stands in the file, trimmed.
        reason: the stable code (docs/reasons.md).
        message: what is wrong, in a sentence.
    """

    line: int | None
    column: str
    value: str
    reason: str
    message: str


class FileResult(TypedDict):
    """What became of one file.

    Attributes:
        status: ``success`` every row loaded; ``partial`` some rejected; ``failed`` refused, nothing loaded;
            ``duplicate`` the same bytes had been loaded before.
        file_name: as delivered, printable.
        data_type: the feed.
        records_processed: data rows in the file; always the sum of the next three.
        records_successful: rows loaded.
        records_failed: rows rejected.
        records_duplicate: rows another delivery had brought with the same values.
        processing_time_seconds: reading, checking and loading.
        delivery_id: its id in ``data_ingestion_log``.
        archive_path: where the file lies now, relative to the data folder.
        errors: the rejects in the order of the file, at most 1 000; of a refused file, first the reason and then
            up to 20 rejects.
    """

    status: Status
    file_name: str
    data_type: str
    records_processed: int
    records_successful: int
    records_failed: int
    records_duplicate: int
    processing_time_seconds: float
    delivery_id: int
    archive_path: str
    errors: list[RowError]


class DrainResult(TypedDict):
    """What became of the files that waited.

    Attributes:
        status: ``success`` nothing was refused or rejected (also if nothing waited); ``failed`` every file was
            refused; else ``partial``.
        deliveries: files taken; always the sum of the next four.
        loaded: every row of them loaded.
        partial: some of their rows rejected.
        duplicate: the same bytes had been loaded before.
        refused: nothing of them loaded.
        rows_loaded: rows loaded, of all files.
        rows_rejected: rows rejected, of the partial ones.
        processing_time_seconds: the whole call, waiting for files to settle included.
    """

    status: Literal["success", "partial", "failed"]
    deliveries: int
    loaded: int
    partial: int
    duplicate: int
    refused: int
    rows_loaded: int
    rows_rejected: int
    processing_time_seconds: float


class Validation(TypedDict):
    """Whether a frame, written as a file, would be loaded whole.

    Attributes:
        valid: every row would be loaded.
        errors: why not: the reason the file would be refused, if it would, and each reject.
        warnings: what would be loaded but deserves a look, such as columns the feed does not know.
    """

    valid: bool
    errors: list[RowError]
    warnings: list[str]
