"""Makes of a release's wheels another release, with newer tables: ``broken.py WHEELS TARGET [--works]``.

The one that does not work migrates the tables and ends.
"""

import hashlib
import shutil
import sys
import zipfile
from pathlib import Path

MIGRATION = """
from alembic import op

revision, down_revision = "0099", {head!r}


def upgrade():
    op.execute("CREATE TABLE of_a_newer_release (id INTEGER)")
"""


def main(wheels: str, target: str, *options: str) -> None:
    works = "--works" in options
    place = Path(target)
    shutil.copytree(wheels, place)
    wheel = next(place.glob("stockgrip_live-*.whl"))
    with zipfile.ZipFile(wheel) as old:
        files = {name: old.read(name) for name in old.namelist()}
    migrate = files["daemon/store/migrate.py"].decode()
    head = migrate.partition('HEAD = "')[2][:4]
    files["daemon/store/migrate.py"] = migrate.replace(f'HEAD = "{head}"', 'HEAD = "0099"').encode()
    files["daemon/store/migrations/versions/0099_newer.py"] = MIGRATION.format(head=head).encode()
    if not works:
        files["daemon/watch/__init__.py"] += b"\nfrom daemon.watch import watcher as _w\n"
        files["daemon/watch/__init__.py"] += b"def _broken(*_): raise RuntimeError('broken on purpose')\n"
        files["daemon/watch/__init__.py"] += b"_w.Watcher.start = _broken\n"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in files.items():
            new.writestr(name, content)
    (place / "RELEASE").write_text("9.9.9-newer\n" if works else "9.9.9-broken\n")
    names = sorted(
        path.name for path in place.iterdir() if path.suffix == ".whl" or path.name in ("RELEASE", "PYTHON")
    )
    sums = [f"{hashlib.sha256((place / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (place / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    main(*sys.argv[1:])
