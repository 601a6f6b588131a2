"""`rebuild` in every direction and with every file gone once: what takes minutes of it."""

from contextlib import contextmanager

import pytest
from support.copies import killed_and_resumed, one_delivery

from daemon.rebuild.verify import verify
from daemon.store.schema import LIVE, REJECTS

MANY = 120_000


@contextmanager
def no_bar(_of):
    yield lambda _done, _total: None


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def target(request, databases, tmp_path):
    """The URL of an empty database."""
    return databases.make(request.param, tmp_path)


@pytest.mark.timeout(600)
def test_two_kills_in_the_middle_and_on_it_goes(service, target, tmp_path):
    made = service()
    one_delivery(made, sales=MANY, rejects=MANY)
    killed_and_resumed(made, target, tmp_path, REJECTS, LIVE["sales"])


@pytest.mark.timeout(600)
def test_each_file_that_is_gone_is_named_and_the_rest_is_still_compared(site):
    loaded = [row for row in site.ledger() if row["status"] in ("success", "partial")]
    for row in loaded:
        path = site.service.folders.data_dir / row["archive_path"]
        content = path.read_bytes()
        path.unlink()
        found = verify(site.service.settings, None, no_bar)
        (remark,) = found.not_replayed
        assert (remark.delivery, remark.file) == (row["id"], row["file_name"])
        assert remark.why == f"{row['archive_path']} is missing"
        assert found.examples == []
        assert not found.is_equal
        path.write_bytes(content)
