"""When a file counts as complete: real files in a folder, a clock of the test's own."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.inbox import Inbox
from daemon.inbox import folder as inbox_module
from daemon.inbox.beside import ALONE_SECONDS
from daemon.inbox.evidence import Expectations
from daemon.settings import Settings
from daemon.source import Look, stamp
from handlers.band import Band, learn

NAME = "sales_data_20250301.csv"
WHOLE = b"date,product_id\n2025-03-01,P\n"
QUIET, GRACE = 2.0, 10.0


class Place:
    """An inbox whose clock a test sets."""

    def __init__(
        self, folder: Path, rule: object = None, band: Callable[[str], Band | None] | None = None, **settle
    ):
        self.folder, self.now = folder, 100.0
        settings = Settings(
            settle={"quiet_seconds": QUIET, "grace_seconds": GRACE} | settle,
            feeds={"sales": {"complete_when": rule}},
        )
        expected = Expectations(settings, band or (lambda _slot: None))
        self.inbox = Inbox(folder, settings.settle, clock=lambda: self.now, expected=expected)

    def put(self, name: str = NAME, content: bytes = WHOLE) -> Path:
        (self.folder / name).write_bytes(content)
        return self.folder / name

    def after(self, seconds: float = 0.0) -> list[str]:
        """What is complete when so much time has passed, at another look."""
        self.now += seconds
        self.inbox.scan()
        return list(self.inbox.ready())

    def evidence(self, name: str = NAME) -> tuple[str, ...]:
        return self.inbox.arrival(name).evidence

    def waited(self, name: str = NAME) -> tuple[str, ...]:
        return self.inbox.arrival(name).waited


@pytest.fixture
def place(tmp_path: Path) -> Callable[..., Place]:
    return lambda *arguments, **settings: Place(tmp_path, *arguments, **settings)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """The waits and the lonely companions that were logged: event, file, reason."""
    lines: list[tuple[str, str, str]] = []

    def note(event: str, **fields: object) -> None:
        if event in ("delivery_waiting", "companion_alone"):
            lines.append((str(event), str(fields["file"]), str(fields.get("reason") or fields["belongs_to"])))

    for module in (inbox_module, pytest.importorskip("daemon.inbox.beside")):
        monkeypatch.setattr(module, "emit", note)
    return lines


# ---- without a rule: as settle says


def test_quiet_and_lease_by_default(place):
    here = place()
    here.put()
    assert here.after() == here.after(QUIET - 0.1) == []
    assert here.after(0.2) == [NAME]
    assert here.evidence() == ("quiet", "lease")
    assert here.waited() == ()


def test_close_needs_the_lease_alone(place):
    here = place(ready_on="close")
    here.put()
    assert here.after() == [NAME]
    assert here.evidence() == ("lease",)


def test_a_cut_file_is_taken_after_the_grace_period_and_the_lease_is_no_evidence(place):
    here = place()
    here.put(content=WHOLE[:-1])
    assert here.after() == here.after(QUIET + 1) == here.after(GRACE - QUIET - 2) == []
    assert here.after(2) == [NAME]
    assert (here.evidence(), here.waited()) == (("quiet",), ("no_final_newline",))


def test_a_change_begins_the_wait_anew_but_not_the_story(place):
    here = place()
    here.put(content=WHOLE[:-1])
    here.after(QUIET + 1)
    first = here.inbox.arrival(NAME).seen_at
    here.after(QUIET + 1)
    here.put(content=WHOLE * 2)
    assert here.after() == here.after(QUIET - 0.1) == []
    assert here.inbox.next_look() == pytest.approx(0.1)
    assert here.after(0.2) == [NAME]
    assert here.inbox.arrival(NAME).seen_at == first
    assert here.waited() == ("no_final_newline",)


def test_a_file_whose_time_came_while_others_were_loaded_is_looked_at_at_once(place):
    here = place()
    path = here.put()
    assert here.after() == here.after(QUIET - 0.1) == []
    here.now += 0.5
    assert here.inbox.next_look() == 0
    with path.open("ab"):  # its writer is still there
        assert here.after() == []
        assert here.inbox.next_look() == pytest.approx(0.25), "from now on it is asked about now and then"


def test_a_quiet_period_begins_when_a_file_came_and_not_when_there_was_time_to_look(place):
    here = place()
    came = Look(stamp(here.put().lstat()), here.now)
    here.now += 0.7
    here.inbox.look([NAME], looks={NAME: came})
    assert here.inbox.next_look() == pytest.approx(QUIET - 0.7)
    assert here.after(QUIET - 0.8) == []
    assert here.after(0.1) == [NAME]


def test_what_changed_before_there_was_time_to_look_is_quiet_from_the_look_on(place):
    here = place()
    path = here.put()
    came = Look(stamp(path.lstat()), here.now)
    with path.open("ab") as file:
        file.write(WHOLE)
    here.now += 0.7
    here.inbox.look([NAME], looks={NAME: came})
    assert here.after(QUIET - 0.1) == []
    assert here.after(0.1) == [NAME]


# ---- with a rule


@pytest.mark.parametrize("rule", ["all [quiet, lease]", {"all": ["lease", "quiet"]}])
def test_the_default_written_out(place, rule):
    here = place(rule)
    here.put()
    assert here.after() == []
    assert here.after(QUIET) == [NAME]


@pytest.mark.parametrize("ending", [".done", ".ok"])
def test_a_marker_lets_a_file_in_at_once(place, said, ending):
    here = place("any [marker, manifest]")
    here.put(content=WHOLE[:-1])
    assert here.after() == here.after(QUIET - 1) == []
    assert said == []
    assert here.after(2) == here.after(1000) == []
    assert said == [("delivery_waiting", NAME, "no_marker")], (
        "said once, and not for a marker that is on its way"
    )
    assert here.inbox.held == {NAME: "no_marker"}
    assert here.inbox.waiting == {}
    assert here.inbox.next_look() is None
    here.put(NAME + ending, b"")
    assert here.after() == [NAME]
    assert here.evidence() == ("quiet", "marker")
    assert here.waited() == ("no_marker",)


def test_a_marker_that_came_first_waits_for_its_file(place):
    here = place("any [marker]")
    here.put(NAME + ".done", b"")
    assert here.after() == []
    assert here.inbox.waiting == {}
    here.put()
    assert here.after() == [NAME]
    assert here.evidence() == ("lease", "marker")


def test_all_means_all(place, said):
    here = place("all [quiet, marker, manifest]")
    here.put()
    here.put(NAME + ".done", b"")
    assert here.after() == here.after(QUIET) == []
    assert said == [("delivery_waiting", NAME, "no_manifest")]
    here.put(NAME + ".manifest.json", b'{"rows": 1}')
    assert here.after() == [NAME]
    assert here.evidence() == ("quiet", "lease", "marker", "manifest")


def test_all_with_quiet_still_waits_for_quiet(place):
    here = place("all [quiet, marker]")
    here.put()
    here.put(NAME + ".done", b"")
    assert here.after() == here.after(QUIET - 0.1) == []
    assert here.after(0.1) == [NAME]


def test_an_open_writer_blocks_whatever_the_evidence(place, said):
    here = place("any [marker]")
    with here.put().open("ab"):
        here.put(NAME + ".done", b"")
        assert here.after() == here.after(1000) == []
    assert said == [("delivery_waiting", NAME, "open_for_writing")]
    assert here.after() == [NAME]


def test_where_no_lease_is_to_be_had_quiet_stands_for_it(place, monkeypatch):
    def denied(*_arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(fcntl, "fcntl", denied)
    here = place("any [lease]")
    here.put()
    assert here.after() == here.after(QUIET - 0.1) == []
    assert here.after(0.1) == [NAME]
    assert here.evidence() == ("quiet",)


def test_the_marker_vouches_for_the_end_also_without_a_rule(place):
    here = place()
    here.put(content=WHOLE[:-1])
    here.put(NAME + ".done", b"")
    assert here.after() == []
    assert here.after(QUIET) == [NAME]


def test_names_of_no_feed_and_rejects_files_go_by_settle(place):
    here = place("any [marker]")
    names = ["nobodys.csv", f"{NAME}.rejects.csv"]
    for name in names:
        here.put(name)
    assert here.after() == []
    assert sorted(here.after(QUIET)) == names


# ---- manifests


def test_half_a_manifest_is_waited_for(place, said):
    here = place("any [manifest]")
    here.put()
    here.put(NAME + ".manifest.json", b'{"ro')
    assert here.after() == here.after(GRACE - 1) == []
    assert said == [("delivery_waiting", NAME, "manifest_unfinished")]
    here.put(NAME + ".manifest.json", b'{"rows": 1}')
    assert here.after() == [NAME]
    assert here.waited() == ("manifest_unfinished",)


def test_a_broken_manifest_is_taken_after_the_grace_period(place):
    here = place("all [manifest]")
    here.put()
    here.put(NAME + ".sha256", b"nonsense")
    assert here.after() == here.after(GRACE - 1) == []
    assert here.after(1) == [NAME]


def test_half_a_manifest_is_waited_for_also_without_a_rule(place):
    here = place()
    here.put()
    here.put(NAME + ".sha256", b"")
    assert here.after() == here.after(QUIET) == []
    here.put(NAME + ".sha256", b"a" * 64)
    assert here.after() == [NAME]


# ---- renames


@pytest.mark.parametrize("how", ["rename", "link"])
@pytest.mark.parametrize("old", [f".{NAME}", f"{NAME}.part", "upload.7"])
def test_a_rename_within_the_folder_is_known_by_the_inode(place, old, how):
    here = place("all [rename]")
    here.put(old, WHOLE[:-1])
    here.after()
    if how == "rename":
        (here.folder / old).rename(here.folder / NAME)
    else:
        os.link(here.folder / old, here.folder / NAME)
        here.inbox.look([NAME])
        (here.folder / old).unlink()
    assert here.after() == [NAME]
    assert here.evidence() == ("rename",)


def test_a_file_that_grew_under_its_temporary_name_is_known_by_its_birth(place):
    here = place("all [rename]")
    here.put(f"{NAME}.part", b"")
    here.after()
    with (here.folder / f"{NAME}.part").open("ab") as writer:
        writer.write(WHOLE)
    (here.folder / f"{NAME}.part").rename(here.folder / NAME)
    assert here.after() == [NAME]


def test_the_inode_of_a_removed_file_is_no_rename(place, said):
    here = place("all [rename]")
    for n in range(50):  # the system gives the number again, though not always at once
        temporary = here.put(f"{NAME}.part", WHOLE * n)
        here.after()
        inode = temporary.stat().st_ino
        temporary.unlink()
        if here.put(content=WHOLE).stat().st_ino == inode:
            break
        (here.folder / NAME).unlink()
        here.after()
    else:
        pytest.skip("this filesystem does not use numbers again")
    assert here.after() == here.after(1000) == []
    assert said == [("delivery_waiting", NAME, "no_rename")]


def test_a_rename_that_the_kernel_told(place):
    here = place("any [rename]")
    here.put()
    here.inbox.look([], renamed=[NAME])
    assert list(here.inbox.ready()) == [NAME]


def test_what_is_written_after_its_rename_was_not_renamed_whole(place):
    here = place("all [rename]")
    here.put(f"{NAME}.part")
    here.after()
    (here.folder / f"{NAME}.part").rename(here.folder / NAME)
    here.inbox.scan()
    here.put(content=WHOLE * 2)
    assert here.after() == []


def test_a_rename_does_not_vouch_for_the_end_without_a_rule(place):
    here = place()
    here.put(f"{NAME}.part", WHOLE[:-1])
    here.after()
    (here.folder / f"{NAME}.part").rename(here.folder / NAME)
    assert here.after() == here.after(QUIET) == []
    assert here.after(GRACE) == [NAME]
    assert here.evidence() == ("quiet", "rename")


# ---- the usual number of rows


def test_the_band_is_learned_from_four_or_more():
    assert learn([10, 20, 30]) is None
    assert learn([10, 20, 30, 8]) == Band(4.0, 60)


@pytest.mark.parametrize(("rows", "few"), [(3, True), (4, False), (500, False)])
def test_a_short_file_waits_the_grace_period_and_no_longer(place, said, rows, few):
    asked: list[str] = []

    def band(slot: str) -> Band:
        asked.append(slot)
        return Band(4, 60)

    here = place(band=band)
    here.put(content=b"date,product_id\n" + b"2025-03-01,P\n" * rows)
    assert here.after() == []
    assert asked == []
    assert here.after(QUIET) == ([] if few else [NAME])
    assert asked == ["sales:2025-03-01:"]
    assert here.after(1) == ([] if few else [NAME])
    assert len(asked) == 1, "once while it stays the same"
    assert here.after(GRACE) == [NAME]
    assert here.waited() == (("fewer_rows_than_usual",) if few else ())


@pytest.mark.parametrize("beside", [".done", ".sha256"])
def test_a_short_file_that_its_sender_vouches_for_is_not_doubted(place, beside):
    here = place(band=lambda _slot: Band(100, 200))
    here.put()
    here.put(NAME + beside, b"a" * 64)
    assert here.after() == []
    assert here.after(QUIET) == [NAME]


def test_no_band_for_packed_files_and_names_without_a_date(place):
    here = place(band=pytest.fail)
    for name in (f"{NAME}.gz", "nobodys.csv", f"{NAME}.rejects.csv"):
        here.put(name)
    here.after()
    assert len(here.after(QUIET)) == 3


# ---- companions alone


def test_a_companion_without_a_file_is_said_once(place, said):
    here = place()
    here.put(f"{NAME}.done", b"")
    here.put("x.csv.sha256", b"")
    here.after()
    here.put("x.csv")
    assert here.after(ALONE_SECONDS - 1) == []
    assert said == []
    here.after(1)
    here.after(ALONE_SECONDS)
    assert said == [("companion_alone", f"{NAME}.done", NAME)]
    (here.folder / "x.csv").unlink()
    here.after(ALONE_SECONDS - 1)
    here.after(ALONE_SECONDS + 1)
    assert [line[1] for line in said if line[0] == "companion_alone"] == [f"{NAME}.done", "x.csv.sha256"]


def test_what_is_taken_takes_its_companions_along(place, said):
    here = place()
    here.put()
    here.put(f"{NAME}.done", b"")
    here.after()
    assert here.after(QUIET) == [NAME]
    for name in (NAME, f"{NAME}.done"):
        (here.folder / name).unlink()
    here.inbox.forget(NAME)
    here.inbox.look([NAME, f"{NAME}.done"])
    here.put()
    assert here.after() == here.after(QUIET - 0.1) == []
    assert here.after(0.1) == [NAME]
    assert "marker" not in here.evidence()


def test_a_companion_that_is_no_file_is_left_alone(place):
    here = place("any [marker]")
    here.put()
    (here.folder / f"{NAME}.done").mkdir()
    assert here.after() == here.after(1000) == []
    assert here.inbox.ignored == [f"{NAME}.done"]


# ---- many


@pytest.mark.parametrize("rule", [None, "all [quiet, marker]"])
def test_ten_times_as_many_waiting_files_cost_ten_times_as_much(place, rule) -> None:
    def seconds(count: int) -> float:
        here = place(rule)
        for old in here.folder.iterdir():
            old.unlink()
        for n in range(count):
            here.put(f"sales_data_20250301_{n}.csv", b"")
        begun = time.process_time()
        here.after()
        here.after(1)
        return time.process_time() - begun

    small, large = (min(seconds(count) for _ in range(2)) for count in (300, 3_000))
    assert large < 25 * small


def test_settle_alone_decides_without_expectations(tmp_path: Path) -> None:
    steady = [0.0]
    found = Inbox(tmp_path, Settings().settle, clock=lambda: steady[0])
    (tmp_path / NAME).write_bytes(WHOLE)
    found.scan()
    steady[0] += 3
    found.scan()
    assert list(found.ready()) == [NAME]
