"""The doctor's judgements, each by itself: what cannot be had on every host is given as a value or as files."""

import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.config import DEFAULT_FILE
from daemon.doctor import ALL, Check, Finding, Site, is_well
from daemon.doctor.filesystem import heard, of_kind, of_options
from daemon.doctor.finding import NotLooked, Remark, examined, fail, ok, warn
from daemon.doctor.mounts import Mount, options_of
from daemon.doctor.names import owned_twice, samples_of
from daemon.doctor.processes import Processes, Watching
from daemon.doctor.report import report
from daemon.doctor.trial import Trial
from daemon.doctor.words import listed, size, span
from daemon.filesystems import Filesystem
from daemon.settings import Settings, SettleSettings
from handlers import HANDLERS

PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text("utf-8")


def site(tmp_path: Path, config: str = "", **variables: str) -> Site:
    """A site whose configuration file says this."""
    (tmp_path / DEFAULT_FILE).write_text(config)
    return Site(tmp_path / DEFAULT_FILE, variables, etc=tmp_path / "etc", run=tmp_path / "run")


def look(name: str, at: Site) -> list[Finding]:
    """What a check finds; of two with one name the first."""
    return examined(next(check for check in ALL if check.name == name), at)


def states(name: str, at: Site) -> list[str]:
    return [finding.state for finding in look(name, at)]


def mount(kind: str, *options: str) -> Mount:
    return Mount(7, Filesystem(kind, "/srv", "nas:/export"), frozenset(options))


# ---- the list


def test_the_page_lists_each_check() -> None:
    rows = [re.split(r" *(?<!\\)\| *", line)[1:-1] for line in PAGE.splitlines() if line.startswith("| ")]
    found = [tuple(row) for row in rows if len(row) == 4 and row[0] != "area"]
    assert found == [(check.area, check.name, check.looks, check.remedy) for check in ALL]


def test_checks_have_names_of_their_own_and_areas_stand_together() -> None:
    assert len({(check.area, check.name) for check in ALL}) == len(ALL)
    areas = [check.area for check in ALL]
    assert areas == sorted(areas, key=areas.index)


# ---- a check


def test_a_check_that_breaks_is_a_finding(tmp_path: Path) -> None:
    def breaks(_site: Site) -> Iterator[Remark]:
        yield ok("this much")
        raise ZeroDivisionError("no")

    findings = examined(Check("area", "name", "", "", breaks), site(tmp_path))
    assert [(f.state, f.said) for f in findings] == [
        ("ok", "this much"),
        ("fail", "could not be looked at: ZeroDivisionError: no"),
    ]
    assert findings[-1].remedy


@pytest.mark.parametrize(("why", "expected"), [("there is none", ["skip"]), ("", [])])
def test_a_check_without_an_object_is_skipped_or_says_nothing(
    why: str, expected: list[str], tmp_path: Path
) -> None:
    def looks(_site: Site) -> Iterator[Remark]:
        raise NotLooked(why)
        yield

    assert [f.state for f in examined(Check("area", "name", "", "", looks), site(tmp_path))] == expected


def test_warnings_alone_are_well() -> None:
    def finding(remark: Remark) -> Finding:
        return Finding("area", "name", remark.state, remark.said, remark.remedy, remark.command)

    assert is_well([finding(ok("a")), finding(warn("b", "do"))])
    assert not is_well([finding(ok("a")), finding(fail("b", "do"))])


# ---- the report

FINDINGS = [
    Finding("one", "good", "ok", "all is well " * 12, "", ""),
    Finding("one", "bad", "fail", "it is not\nand this neither", "Do what is to be done. " * 8, "x" * 120),
    Finding("two", "a", "skip", "no reason", "", ""),
    Finding("two", "b", "warn", "odd", "Look.", ""),
    Finding("two", "c", "skip", "no reason", "", ""),
]


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_lines_fit_and_commands_stay_whole(columns: int) -> None:
    lines = list(report(FINDINGS, columns, colour=False))
    assert [line for line in lines if len(line) > columns] == [
        line for line in lines if "xxx" in line and columns < 200
    ]
    assert any(line.endswith(f"  {'x' * 120}") for line in lines)
    end = len(lines) - lines[::-1].index("")
    assert " ".join(lines[end:]) == "1 ok, 1 to look at (warn), 1 wrong (fail), 2 not looked at (skip)"


def test_what_is_skipped_for_one_reason_is_one_line() -> None:
    lines = list(report(FINDINGS, 80, colour=False))
    assert [line for line in lines if "no reason" in line] == ["  skip  a     no reason (also: c)"]


def test_colours_change_nothing_else() -> None:
    plain, colourful = (list(report(FINDINGS, 80, colour=colour)) for colour in (False, True))
    assert plain != colourful
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in colourful] == plain


def test_what_could_move_the_cursor_is_escaped() -> None:
    lines = list(report([Finding("a", "b", "warn", "x\x1b[2Jy", "", "rm \x1b[2J")], 80, colour=False))
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize(
    ("seconds", "text"), [(45, "45 s"), (600, "10 min"), (7200, "2 h"), (260_000, "3 days")]
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(5, "5 B"), (2048, "2.0 KiB"), (3 * 2**20, "3.0 MiB"), (2**31, "2.0 GiB"), (2**51, "2,048.0 TiB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


def test_lists_are_short() -> None:
    assert listed([f"{n}" for n in range(9)]) == "0, 1, 2, 3, 4 and 4 more"


# ---- filesystems


@pytest.mark.parametrize(
    ("kind", "nature", "state"),
    [
        ("ext4", "local", "ok"),
        ("xfs", "local", "ok"),
        ("tmpfs", "volatile", "fail"),
        ("overlay", "layered", "warn"),
        ("nfs4", "network", "warn"),
        ("cifs", "network", "warn"),
        ("fuse.sshfs", "network", "warn"),
        ("fuseblk", "foreign", "warn"),
        ("vfat", "foreign", "warn"),
        ("newfs", "unknown", "warn"),
    ],
)
def test_kinds_of_filesystems(kind: str, nature: str, state: str) -> None:
    assert mount(kind).nature == nature
    assert of_kind(mount(kind)).state == state


@pytest.mark.parametrize(
    ("kind", "options", "state"),
    [
        ("ext4", {"rw", "noexec", "nosuid"}, "ok"),
        ("ext4", {"ro"}, "fail"),
        ("ext4", {"rw", "nobarrier"}, "warn"),
        ("nfs4", {"rw", "soft"}, "warn"),
        ("ext4", {"rw", "soft"}, "ok"),
    ],
)
def test_mount_options(kind: str, options: set[str], state: str) -> None:
    assert of_options(mount(kind, *options)).state == state


@pytest.mark.parametrize(
    ("kind", "watch", "error", "state"),
    [
        ("ext4", "auto", None, "ok"),
        ("ext4", "auto", "Too many open files", "warn"),
        ("ext4", "poll", "Too many open files", "ok"),
        ("nfs4", "auto", None, "ok"),
        ("nfs4", "inotify", None, "warn"),
        ("nfs4", "poll", None, "ok"),
    ],
)
def test_events(kind: str, watch: str, error: str | None, state: str) -> None:
    settle = SettleSettings.model_validate({"watch": watch})
    assert heard(mount(kind), settle, lambda: Trial(event=error, event_seconds=0.001)).state == state


def test_options_are_those_of_the_mount_and_of_its_filesystem() -> None:
    text = (
        "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
        "36 27 0:40 /feeds /srv/a\\040b ro,nosuid shared:7 - nfs4 nas:/x rw,vers=4.2,soft\nbroken\n"
    )
    assert options_of(36, text) == {"ro", "nosuid", "rw", "vers=4.2", "soft"}
    assert options_of(99, text) == frozenset()


# ---- names


@pytest.mark.parametrize(
    ("pattern", "samples"),
    [
        (r"sales_data_(?P<date>\d{8})(?:_(?P<suffix>.+))?", ["sales_data_20250115", "sales_data_20250115_x"]),
        (r"(?i:pos|shop)-[a-z]+-(?P<date>[0-9]{8})", ["pos-a-20250115", "shop-a-20250115"]),
        (r"[^_]+_v\d", ["x_v0"]),
        (r"a(?=b)b+$", ["ab"]),
        (r"(?P<a>x)(?P=a)", []),
        (r"x{100000000}", []),
    ],
)
def test_samples_of_patterns(pattern: str, samples: list[str]) -> None:
    assert samples_of(pattern) == samples


def defaults() -> dict[str, tuple[str, ...]]:
    return {name: feed.patterns for name, feed in dict(Settings().feeds).items()}


@pytest.mark.parametrize(
    ("changes", "owners"),
    [
        ({}, []),
        ({"sales": (".*",)}, [["sales", other] for other in ("inventory", "demand", "products")]),
        (
            {"sales": ("sales_.*",), "inventory": (".*_daily",), "demand": (), "products": ()},
            [["sales", "inventory"]],
        ),
        ({"inventory": (".*_daily",), "sales": ()}, [["inventory", "demand"], ["inventory", "products"]]),
        ({"sales": (), "inventory": ("sales_.*",)}, []),
    ],
)
def test_names_with_two_owners(changes: dict[str, tuple[str, ...]], owners: list[list[str]]) -> None:
    assert list(owned_twice(defaults() | changes).values()) == owners


# ---- configuration


def test_a_wrong_configuration_is_one_failure_and_the_host_is_still_looked_at(tmp_path: Path) -> None:
    at = site(tmp_path, "quiet: 3\n")
    findings = [finding for check in ALL for finding in examined(check, at)]
    assert [(f.area, f.name) for f in findings if f.state == "fail"] == [("configuration", "file")]
    assert "did you mean" in look("file", at)[0].said
    assert {f.name for f in findings if f.state != "skip"} >= {
        "inotify",
        "open files",
        "time",
        "NTP",
        "packages",
    }


def test_broken_yaml_is_said_once(tmp_path: Path) -> None:
    at = site(tmp_path, "a: [\n")
    findings = [finding for check in ALL for finding in examined(check, at)]
    assert [f.name for f in findings if f.state == "fail"] == ["file"]


@pytest.mark.parametrize(
    ("name", "config", "state"),
    [
        ("feeds", "", "ok"),
        ("feeds", "feeds: {sales: {patterns: []}}", "warn"),
        (
            "feeds",
            f"feeds: {{{', '.join(f'{feed.name}: {{patterns: []}}' for feed in HANDLERS)}}}",
            "fail",
        ),
        ("patterns", "", "ok"),
        (
            "patterns",
            "feeds: {sales: {patterns: ['.*data.*']}, demand: {patterns: []}, products: {patterns: []}}",
            "warn",
        ),
        ("settle", "", "ok"),
        ("settle", "settle: {quiet_seconds: 0}", "warn"),
        ("settle", "settle: {quiet_seconds: 40, grace_seconds: 50}", "warn"),
        ("settle", "settle: {grace_seconds: 1}", "warn"),
        ("corrections", "", "ok"),
        ("corrections", "limits: {min_correction_share: 0}", "warn"),
        ("largest file", "", "ok"),
        ("largest file", "limits: {max_file_bytes: 999999999999999999}", "warn"),
        ("log level", "", "ok"),
        ("log level", "log: {level: debug}", "warn"),
        ("log level", "log: {level: error}", "warn"),
        ("time zone", "", "warn"),
        ("time zone", "timezone: UTC", "ok"),
        ("time zone", "timezone: Europe/Berlin", "ok"),
        ("data_dir", "data_dir: d", "ok"),
        ("place", "database: {url: sqlite:///data/live_feeds/x.db}", "fail"),
        ("place", "database: {url: sqlite:///data/errors/x.db}", "warn"),
    ],
)
def test_odd_settings(name: str, config: str, state: str, tmp_path: Path) -> None:
    findings = look(name, site(tmp_path, config))
    assert [f.state for f in findings] == [state]
    assert bool(findings[0].remedy) == (state != "ok")


def test_a_variable_before_the_file_is_said_unless_both_say_the_same(tmp_path: Path) -> None:
    config = "log: {level: warning}\nretry: {attempts: 3}\n"
    [over] = look("environment", site(tmp_path, config, STOCKGRIP_LOG__LEVEL="info"))
    assert (over.state, "log.level" in over.said) == ("warn", True)
    [section] = look("environment", site(tmp_path, config, STOCKGRIP_RETRY='{"attempts": 4}'))
    assert (section.state, "retry.attempts" in section.said) == ("warn", True)
    for variables in (
        {"STOCKGRIP_LOG__LEVEL": "warning"},
        {"STOCKGRIP_RETRY": '{"attempts": 3}'},
        {"STOCKGRIP_TIMEZONE": "UTC"},
    ):
        assert states("environment", site(tmp_path, config, **variables)) == ["ok"], variables


def test_data_dir_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert states("data_dir", Site(None, {})) == ["warn"]
    assert states("data_dir", Site(None, {"STOCKGRIP_DATA_DIR": str(tmp_path)})) == ["ok"]


def test_a_password_that_everybody_may_read(tmp_path: Path) -> None:
    at = site(tmp_path, "database: {url: 'postgresql://a:geheim@h/d'}")
    (tmp_path / DEFAULT_FILE).chmod(0o644)
    [finding] = look("password", at)
    assert finding.state == "warn"
    assert "geheim" not in finding.said
    (tmp_path / DEFAULT_FILE).chmod(0o640)
    assert states("password", at) == ["ok"]


def test_an_installed_service_is_not_mistaken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --config and the unit's variables, another site is looked at."""
    monkeypatch.chdir(tmp_path)
    etc = tmp_path / "etc"
    etc.mkdir()
    assert states("file", Site(None, {}, etc=etc)) == ["ok"]
    (etc / "config.yaml").write_text("")
    (etc / "environment").write_text("# secret\nSTOCKGRIP_DATABASE__URL=postgresql://a:b@c/d\nOTHER=1\n")
    [file] = look("file", Site(None, {}, etc=etc))
    assert (file.state, file.command) == ("warn", f"stockgrip --config {etc}/config.yaml doctor")
    [service] = look("service", Site(None, {}, etc=etc))
    assert (service.state, "STOCKGRIP_DATABASE__URL" in service.said) == ("warn", True)
    assert states("service", Site(None, {"STOCKGRIP_DATABASE__URL": "x"}, etc=etc)) == ["ok"]


# ---- the kernel's tables, as files


def make_proc(folder: Path, *, instances: int = 128, watches: int = 1000, leases: int = 1) -> Path:
    """A /proc with one process of ours, 41, that has two inotify instances."""
    proc = folder / "proc"
    for name, value in (
        ("inotify/max_user_instances", instances),
        ("inotify/max_user_watches", watches),
        ("leases-enable", leases),
        ("lease-break-time", 45),
    ):
        (proc / "sys/fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (proc / "sys/fs" / name).write_text(f"{value}\n")
    process = proc / "41"
    for fd, target in (("3", "anon_inode:inotify"), ("4", "anon_inode:inotify"), ("5", "/dev/null")):
        (process / "fd").mkdir(parents=True, exist_ok=True)
        (process / "fd" / fd).symlink_to(target)
        (process / "fdinfo").mkdir(exist_ok=True)
        (process / "fdinfo" / fd).write_text("pos:\t0\n")
    (process / "fdinfo" / "3").write_text(
        "flags:\t02004000\ninotify wd:2 ino:1f sdev:fe00000 mask:fc6\ninotify wd:1 ino:abc sdev:fe00000 mask:fc6\n"
    )
    (process / "comm").write_text("stockgrip\n")
    (process / "status").write_text("Name:\tstockgrip\nCapEff:\t0000000010000000\n")
    (process / "limits").write_text("Limit  Soft\nMax open files            64   4096   files\n")
    (proc / "locks").write_text(
        "1: FLOCK  ADVISORY  WRITE 41 fe:00:777 0 EOF\n2: POSIX  ADVISORY  WRITE 41 fe:00:778 0 EOF\n"
    )
    (proc / "self").symlink_to("41")
    return proc


def test_the_kernels_tables_are_read(tmp_path: Path) -> None:
    processes = Processes(make_proc(tmp_path))
    assert sorted(processes.watching, key=lambda w: -len(w.inodes)) == [
        Watching(41, os.geteuid(), (0x1F, 0xABC)),
        Watching(41, os.geteuid(), ()),
    ]
    assert processes.locked == {777}
    assert processes.may_lease(41) is True
    assert processes.open_files(41) == 64
    assert processes.name(41) == "stockgrip (41)"
    assert processes.number("fs/leases-enable") == 1
    gone = Processes(tmp_path / "none")
    assert (gone.locked, gone.may_lease(), gone.open_files(), gone.number("fs/x")) == (None, None, None, None)


def test_our_own_proc_is_read() -> None:
    """The real one, whatever is in it."""
    processes = Processes()
    assert processes.may_lease() in (True, False)
    assert processes.locked is not None
    assert processes.open_files() is None or processes.open_files() > 0


@pytest.mark.parametrize(
    ("limits", "state"),
    [({}, "ok"), ({"instances": 2}, "warn"), ({"instances": 9}, "warn"), ({"watches": 2}, "warn")],
)
def test_inotify_limits(limits: dict[str, int], state: str, tmp_path: Path) -> None:
    at = Site(tmp_path / "none.yaml", {}, proc=make_proc(tmp_path, **limits))
    [finding] = look("inotify", at)
    assert finding.state == state
    assert "2 of" in finding.said


def test_no_leases_on_this_host(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("")
    [finding] = look("lease", Site(tmp_path / "c.yaml", {}, proc=make_proc(tmp_path, leases=0)))
    assert (finding.state, "leases-enable" in finding.said) == ("warn", True)


def test_few_open_files(tmp_path: Path) -> None:
    assert states("open files", Site(tmp_path / "none.yaml", {}, proc=make_proc(tmp_path))) == ["warn"]


@pytest.mark.parametrize(
    ("group", "space", "expected"),
    [
        ("max", "unlimited", ["ok"]),
        ("1073741824", "unlimited", ["ok"]),
        ("400000000", "unlimited", ["warn"]),
        ("100000000", "unlimited", ["fail"]),
        ("max", "2000000000", ["warn"]),
    ],
)
def test_memory_that_the_daemon_may_use(group: str, space: str, expected: list[str], tmp_path: Path) -> None:
    proc, groups = make_proc(tmp_path), tmp_path / "cgroup"
    (proc / "41/cgroup").write_text("0::/system.slice/stockgrip.service\n")
    with (proc / "41/limits").open("a") as limits:
        limits.write(f"Max address space         {space}   unlimited   bytes\n")
    (groups / "system.slice/stockgrip.service").mkdir(parents=True)
    (groups / "system.slice/memory.max").write_text(f"{group}\n")  # that of a slice counts, too
    (groups / "system.slice/stockgrip.service/memory.max").write_text("max\n")
    at = Site(tmp_path / "none.yaml", {}, proc=proc)
    object.__setattr__(at, "processes", Processes(proc, groups))
    assert states("memory", at) == expected


def test_a_daemon_that_is_seen_is_asked_for_its_rights(tmp_path: Path) -> None:
    """By its watch on the inbox; then its capabilities count, not ours."""
    at = site(tmp_path)
    inbox = tmp_path / "data/live_feeds"
    inbox.mkdir(parents=True)
    proc = make_proc(tmp_path)
    fdinfo = proc / "41/fdinfo/3"
    fdinfo.write_text(f"inotify wd:1 ino:{inbox.stat().st_ino:x} sdev:1\n")
    at = Site(at.config, {}, proc=proc)
    assert at.daemon == 41
    assert states("daemon", at) == ["ok"]
    assert "stockgrip (41)" in look("senders' files", at)[0].said
    (proc / "41/status").write_text("CapEff:\t0000000000000000\n")
    assert states("senders' files", at) == ["warn"]


# ---- the clock


def test_a_clock_before_the_installation(tmp_path: Path) -> None:
    at = site(tmp_path)
    assert states("time", at) == ["ok"]
    past = datetime(2001, 1, 1, tzinfo=UTC).timestamp()
    assert states("time", Site(at.config, {}, clock=lambda: past)) == ["fail"]


def test_a_clock_that_somebody_keeps(tmp_path: Path) -> None:
    at = site(tmp_path)
    assert states("NTP", at) in (["ok"], ["warn"], ["skip"])
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    (tmp_path / "run/systemd/timesync/synchronized").touch()
    assert states("NTP", at) in (["ok"], ["skip"])


def test_the_present_is_believed(tmp_path: Path) -> None:
    assert abs(site(tmp_path).clock() - time.time()) < 60
