"""Feed files for tests: small, written out, and dropped the way a careful sender does."""

from collections.abc import Iterable
from pathlib import Path

from daemon.sample.files import HEADERS

SALES = HEADERS["sales"]
SALES_WITH_TRANSACTION = f"{SALES},transaction_id"
INVENTORY = HEADERS["inventory"]
DEMAND = HEADERS["demand"]
PRODUCTS = HEADERS["products"]


def csv_bytes(header: str, rows: Iterable[str]) -> bytes:
    """A CSV file of these lines."""
    return "".join(f"{line}\n" for line in (header, *rows)).encode()


def drop(inbox: Path, name: str, content: bytes) -> Path:
    """Puts a file into a folder under a temporary name and renames it, so that nobody sees half of it."""
    inbox.mkdir(parents=True, exist_ok=True)
    temporary = inbox / f".{name[:200]}.tmp"
    temporary.write_bytes(content)
    return temporary.rename(inbox / name)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder: its path, relative, and its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
