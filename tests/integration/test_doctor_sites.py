"""The doctor at real folders, databases and processes."""

import contextlib
import hashlib
import json
import os
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import psycopg
import pytest
from conftest import Databases
from support.files import SALES, csv_bytes, drop
from support.postgres import Cluster
from support.process import clean_environment, command, environment, run_cli

from daemon import claims
from daemon.doctor import ALL, Finding, Site, examine
from daemon.doctor.finding import examined
from daemon.doctor.words import group_name, user_name
from daemon.files import Folders
from daemon.service import Service
from daemon.store import create_database, open_engine
from daemon.store.migrate import HEAD

_NOBODY = 65_534
ROWS = csv_bytes(SALES, ["2026-01-05,P1,online,2,9.98,regular,,warehouse,L1"])
# what depends on where the tests run: room, a disk or memory, somebody who keeps the clock
_OF_THE_HOST = {"space", "kind", "NTP", "largest file"}


def site_of(
    data_dir: Path, url: str, *, deep: bool = False, later: float = 0.0, patience: float = 1.0
) -> Site:
    """A site that is configured by the environment; seen so many seconds later."""
    return Site(
        Path("/dev/null"),
        {
            "STOCKGRIP_DATA_DIR": str(data_dir),
            "STOCKGRIP_DATABASE__URL": url,
            "STOCKGRIP_DATABASE__BUSY_TIMEOUT_SECONDS": str(patience),
            "STOCKGRIP_TIMEZONE": "UTC",
        },
        deep=deep,
        etc=data_dir.parent / "etc",
        clock=lambda: time.time() + later,
    )


def look(site: Site, name: str) -> list[Finding]:
    """What one check finds."""
    return [finding for check in ALL if check.name == name for finding in examined(check, site)]


def one(site: Site, name: str) -> Finding:
    """The one thing that a check finds."""
    [finding] = look(site, name)
    return finding


def failed(site: Site) -> dict[str, str]:
    """What failed, and what was said, without what depends on the host of the tests."""
    return {f.name: f.said for f in examine(site) if f.state == "fail" and not _is_the_hosts(f)}


def _is_the_hosts(finding: Finding) -> bool:
    return finding.name in _OF_THE_HOST or "in memory" in finding.said


def listing(folder: Path) -> dict[str, str]:
    """Everything below a folder, with its content, but for memory that readers share (-shm)."""
    paths = [path for path in sorted(folder.rglob("*")) if not path.name.endswith("-shm")]
    return {str(path.relative_to(folder)): _digest(path) for path in paths}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (IsADirectoryError, PermissionError) as error:
        return type(error).__name__


def as_nobody(look: Callable[[], list[list[str]]]) -> list[list[str]]:
    """What is found by a user without rights: in a child process, if this one is root's."""
    found = look()  # also: what is imported only then may lie where others have no way
    if os.geteuid() != 0:
        return found
    reading, writing = os.pipe()
    with warnings.catch_warnings(action="ignore"):  # of newer Pythons: no other thread holds a lock here
        child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
            os.write(writing, json.dumps(look()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return list(json.loads(text))


def short(findings: list[Finding]) -> list[list[str]]:
    return [[f.name, f.state, f.said, f.remedy, f.command] for f in findings]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="sgtest-doctor-"))
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(folder)


# ---- sites


def test_nothing_is_made_on_a_fresh_host(tmp_path: Path) -> None:
    env = clean_environment(STOCKGRIP_DATA_DIR=str(tmp_path / "data"), COLUMNS="80")
    asked = run_cli("doctor", "--json", "--deep", env=env, cwd=tmp_path)
    assert asked.stderr == ""
    assert "nothing is there yet" in asked.stdout
    answer = json.loads(asked.stdout)
    assert asked.returncode == (0 if answer["well"] else 1)
    assert [
        f for f in answer["findings"] if f["state"] == "fail" and f["name"] not in _OF_THE_HOST | {"place"}
    ] == []
    assert listing(tmp_path) == {}


@pytest.fixture
def _durable(request: pytest.FixtureRequest) -> Iterator[None]:
    """A PostgreSQL server that waits for the disk, which that of the tests does not."""
    if request.node.callspec.params["database_kind"] == "sqlite":
        yield
        return
    with request.getfixturevalue("postgres").durable():
        yield


@pytest.mark.usefixtures("_durable")
def test_a_site_that_works_is_well(
    service: Callable[..., Service], database_url: str, tmp_path: Path
) -> None:
    load_one(service())
    site = site_of(tmp_path / "data", database_url, deep=True)
    before = listing(tmp_path / "data")
    assert failed(site) == {}
    assert listing(tmp_path / "data") == before
    assert f"revision {HEAD}" in one(site, "tables").said
    well = {
        "answers",
        "version",
        "unfiled",
        "exist",
        "rights",
        "moves",
        "locks",
        "one mount",
        "events",
        "last delivery",
    }
    states = {(f.area, f.name): f.state for f in examine(site) if f.name in well}
    assert {name for _, name in states} == well
    assert set(states.values()) == {"ok"}, states


def load_one(made: Service) -> None:
    """Drops a file and loads it."""
    drop(made.folders.inbox, "sales_data_20260105.csv", ROWS)
    assert made.drain().loaded == 1


def test_an_empty_database_is_not_migrated(
    database_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if database_kind == "sqlite":
        url = f"sqlite:///{tmp_path}/new.db"
        sqlite3.connect(tmp_path / "new.db").close()
    else:
        cluster = request.getfixturevalue("postgres")
        name = cluster.create()
        request.addfinalizer(lambda: cluster.drop(name))
        url = cluster.url(name)
    for _ in range(2):
        tables = one(site_of(tmp_path / "data", url), "tables")
        assert (tables.state, "no tables yet" in tables.said) == ("warn", True)
    create_database(url).dispose()
    assert one(site_of(tmp_path / "data", url), "tables").state == "ok"


def test_the_command_says_it_on_lines_that_fit(
    service: Callable[..., Service], database_url: str, tmp_path: Path
) -> None:
    load_one(service())
    env = environment(tmp_path / "data", database_url, COLUMNS="80")
    done = run_cli("doctor", env=env, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    commands = {finding.command for finding in examine(site_of(tmp_path / "data", database_url))}
    assert [line for line in lines if len(line) > 80 and line.strip() not in commands] == []
    assert " ok, " in lines[-1]


# ---- folders and files


def test_left_over_files_are_found(
    service: Callable[..., Service], tmp_path: Path, database_url: str
) -> None:
    made = service()
    folders = made.folders
    site = site_of(tmp_path / "data", database_url)
    for name in ("waiting", "temporary", "ignored", "claims", "refused"):
        assert one(site, name).state == "ok", name
    drop(folders.inbox, "sales_data_20260106.csv", ROWS)
    (folders.inbox / "big.csv.part").touch()
    (folders.inbox / "sub").mkdir()
    (folders.inbox / "link.csv").symlink_to("/etc/passwd")
    (folders.errors / "old.csv").touch()
    (folders.errors / "old.csv.reason.txt").touch()
    (folders.errors / "new.csv.rejects.csv").touch()
    (folders.work / "claim-dead" / "file").mkdir(parents=True)
    (folders.work / "claim-dead" / "file" / "half.csv").touch()
    held = claims.take(folders, "sales_data_20260106.csv")
    drop(folders.inbox, "sales_data_20260107.csv", ROWS)
    assert held is not None
    assert one(site, "waiting").state == "ok"
    assert one(site, "temporary").state == "ok"
    later = site_of(tmp_path / "data", database_url, later=3 * 86_400)
    assert "sales_data_20260107.csv" in one(later, "waiting").said
    assert "big.csv.part" in one(later, "temporary").said
    assert "link.csv, sub" in one(later, "ignored").said
    orphans = one(later, "claims")
    assert "1 of a process that died" in orphans.said
    assert "half.csv" in orphans.said
    assert "1 refused files and 1 files of rejects" in one(later, "refused").said
    (folders.errors / "old.csv").unlink()
    left, rest = look(later, "refused")
    assert (left.state, left.command) == ("warn", f"rm {folders.errors / 'old.csv.reason.txt'}")
    assert "1 left over in errors" in left.said
    assert "0 refused files and 1 files of rejects" in rest.said
    claims.drop(held)


def test_a_missing_inbox_fails(service: Callable[..., Service], database_url: str, tmp_path: Path) -> None:
    made = service()
    made.folders.inbox.rmdir()
    site = site_of(tmp_path / "data", database_url)
    finding = one(site, "exist")
    assert finding.state == "fail"
    subprocess.run(finding.command.removeprefix("sudo ").split(), check=True)
    assert site_of(tmp_path / "data", database_url).folders.inbox.stat().st_mode & 0o7777 == 0o2770
    assert [f.state for f in look(site_of(tmp_path / "data", database_url), "exist")] == ["ok"]


def test_a_file_in_the_place_of_a_folder_fails(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "data")
    folders.make()
    folders.errors.rmdir()
    folders.errors.touch()
    finding = one(site_of(tmp_path / "data", f"sqlite:///{tmp_path}/x.db"), "exist")
    assert (finding.state, "is no folder" in finding.said) == ("fail", True)


@pytest.mark.parametrize(
    ("mode", "state", "said"),
    [
        (0o2770, "ok", "may drop files"),
        (0o755, "warn", "may drop files"),
        (0o770, "warn", "get the group of their sender"),
        (0o777, "warn", "every user"),
        (0o3777, "ok", "may drop files"),
    ],
)
def test_senders(mode: int, state: str, said: str, open_folder: Path) -> None:
    folders = Folders(open_folder / "data")
    folders.make()
    folders.inbox.chmod(mode)
    for finding in look(site_of(open_folder / "data", "sqlite:////x.db"), "senders"):
        assert (finding.state, said in finding.said) == (state, True), finding


def test_sftp_log(open_folder: Path) -> None:
    """Not followed, not there, not to be read, and well."""
    site = site_of(open_folder / "data", "sqlite:////x.db")
    Folders(open_folder / "data").make()
    assert one(site, "sftp log").state == "skip"
    log, states = open_folder / "sftp.log", []
    on = {**site.environ, "STOCKGRIP_SETTLE__SFTP_LOG": str(log)}
    for change in (lambda: None, lambda: log.touch(0o600), lambda: log.chmod(0o644)):
        change()
        states += as_nobody(lambda: [one(Site(Path("/dev/null"), on), "sftp log").state])
    assert states == (["warn", "fail", "ok"] if os.geteuid() == 0 else ["warn", "ok", "ok"])


def test_outbox(open_folder: Path) -> None:
    """Off, not made yet, well, closed to senders, behind, and no folder."""
    folders = Folders(open_folder / "data")
    folders.make()
    outbox, url = folders.data_dir / "outbox", "sqlite:////x.db"
    assert one(site_of(folders.data_dir, url), "outbox").state == "skip"
    on = {**site_of(folders.data_dir, url).environ, "STOCKGRIP_OUTBOX__ENABLED": "true"}
    seen = []
    for change in (
        lambda: None,
        lambda: outbox.mkdir(0o750),
        lambda: outbox.chmod(0o700),
        (folders.work / "ack-7").touch,
        lambda: (outbox.rmdir(), outbox.touch()),
    ):
        change()
        seen.append(one(Site(Path("/dev/null"), on), "outbox").state)
    assert seen == ["ok", "ok", "warn", "warn", "fail"]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to others")
def test_senders_never_get_the_group_of_root(open_folder: Path) -> None:
    folders = Folders(open_folder / "data")
    folders.make()
    for ours, expected in ((_NOBODY, group_name(_NOBODY)), (0, "senders")):
        os.chown(folders.work, -1, ours)
        finding = one(site_of(open_folder / "data", "sqlite:////x.db"), "senders")
        assert finding.state == "warn"
        assert f"chgrp {expected} " in finding.command
        assert f"usermod -aG {expected} SENDER" in finding.command
        assert "-aG root" not in finding.command
        assert finding.command.startswith("sudo groupadd senders; ") == (ours == 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to others")
def test_what_may_not_be_looked_at_is_no_defect_of_a_check(open_folder: Path) -> None:
    """The folder came back as root's: the daemon's user is told to take it, and nothing more fails for that."""
    folders = Folders(open_folder / "data")
    folders.make()
    for folder in (folders.work, folders.processed, folders.errors, folders.reports):
        os.chown(folder, _NOBODY, _NOBODY)
    folders.inbox.chmod(0o700)
    site = site_of(open_folder / "data", f"sqlite:///{open_folder}/x.db")
    names = ("rights", "waiting", "temporary", "ignored", "files")
    found = {
        name: (state, said, command)
        for name, state, said, _, command in as_nobody(
            lambda: short([f for name in names for f in look(site, name) if f.area != "database"])
        )
    }
    user = user_name(_NOBODY)
    assert found["rights"][0] == "fail"
    assert found["rights"][2] == f"sudo chown -R {user} {folders.inbox}"
    for name in names[1:]:
        assert found[name][0] == "skip", found[name]
        assert "may not be looked at" in found[name][1]


def test_senders_who_cannot_pass(open_folder: Path) -> None:
    folders = Folders(open_folder / "data")
    folders.make()
    folders.inbox.chmod(0o2770)
    folders.data_dir.chmod(0o700)
    findings = look(site_of(open_folder / "data", "sqlite:////x.db"), "senders")
    assert [f.state for f in findings] == ["ok", "warn"]
    assert str(folders.data_dir) in findings[1].said


def test_as_a_user_without_rights(open_folder: Path) -> None:
    """Each failure is a sentence with a remedy, and nothing is left behind or broken."""
    folders = Folders(open_folder / "data")
    folders.make()
    (folders.inbox / "closed.csv").touch(mode=0o600 if os.geteuid() == 0 else 0)
    url = f"sqlite:///{open_folder}/data/x.db"
    create_database(url).dispose()
    if os.geteuid() != 0:
        folders.data_dir.chmod(0o500)
        folders.work.chmod(0o500)
    before = listing(open_folder)
    findings = as_nobody(
        lambda: [list(asdict(f).values()) for f in examine(site_of(open_folder / "data", url))]
    )
    folders.data_dir.chmod(0o755)
    folders.work.chmod(0o755)
    bad = {(area, name): said for area, name, state, said, *_ in findings if state == "fail"}
    assert {
        ("folders", "rights"),
        ("folders", "moves"),
        ("folders", "files"),
        ("database", "rights"),
    } <= bad.keys()
    assert "closed.csv" in bad["folders", "files"]
    assert not any("could not be looked at" in said for said in bad.values()), bad
    assert {
        name: state
        for area, name, state, *_ in findings
        if area == "database" and name in ("tables", "journal")
    } == {
        "tables": "ok",
        "journal": "ok",
    }
    assert listing(open_folder) == before


def test_a_closed_data_folder(open_folder: Path) -> None:
    folders = Folders(open_folder / "data")
    folders.make()
    folders.data_dir.chmod(0o700 if os.geteuid() == 0 else 0)
    url = f"sqlite:///{open_folder}/data/x.db"
    findings = as_nobody(
        lambda: [list(asdict(f).values()) for f in examine(site_of(open_folder / "data", url))]
    )
    folders.data_dir.chmod(0o755)
    bad = {(area, name): said for area, name, state, said, *_ in findings if state == "fail"}
    assert "may not look into" in bad["folders", "exist"]
    assert "may not look into" in bad["database", "answers"]
    assert not any("could not be looked at" in said for said in bad.values()), bad


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root, to mount")
def test_folders_on_two_mounts_and_in_memory(tmp_path: Path) -> None:
    Folders(tmp_path / "data").make()
    env = environment(tmp_path / "data", f"sqlite:///{tmp_path}/x.db")
    here = shlex.quote(f"{tmp_path}/data/processed")
    script = f"mount -t tmpfs none {here} && exec {shlex.join(command('doctor', '--json'))}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount" in done.stderr:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    assert done.returncode == 1
    bad = {f["name"]: f["said"] for f in json.loads(done.stdout)["findings"] if f["state"] == "fail"}
    assert "2 mounts" in bad["one mount"]
    assert "from .work to processed" in bad["moves"]


def test_a_daemon_that_runs_is_seen(database_url: str, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    env = environment(data_dir, database_url, STOCKGRIP_SETTLE__WATCH="inotify")
    running = subprocess.Popen(command("run"), env=env, cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while site_of(data_dir, database_url).daemon is None:
            assert time.monotonic() < deadline, "it is not seen"
            assert running.poll() is None
            time.sleep(0.1)
        site = site_of(data_dir, database_url)
        assert site.daemon == running.pid
        assert one(site, "daemon").state == "ok"
        assert str(running.pid) in one(site, "open files").said
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)
    expected = "warn" if os.geteuid() in (0, data_dir.stat().st_uid) else "skip"
    assert one(site_of(data_dir, database_url), "daemon").state == expected


# ---- databases


def test_deliveries_that_are_not_filed(
    service: Callable[..., Service], database_url: str, tmp_path: Path
) -> None:
    made = service()
    load_one(made)
    with made.store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE data_ingestion_log SET archive_path = NULL")
    assert one(site_of(tmp_path / "data", database_url), "unfiled").said == "1 just now"
    finding = one(site_of(tmp_path / "data", database_url, later=7200), "unfiled")
    assert (finding.state, finding.said.startswith("1 loaded or refused")) == ("warn", True)


def test_a_clock_before_the_last_delivery(
    service: Callable[..., Service], database_url: str, tmp_path: Path
) -> None:
    load_one(service())
    finding = one(site_of(tmp_path / "data", database_url, later=-10_000), "last delivery")
    assert (finding.state, "3 h in the future" in finding.said) == ("fail", True)


@pytest.mark.parametrize(("revision", "state"), [("9999", "fail"), ("0001", "warn")])
def test_other_revisions(revision: str, state: str, database_url: str, tmp_path: Path) -> None:
    engine = open_engine(database_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")
    engine.dispose()
    finding = one(site_of(tmp_path / "data", database_url), "tables")
    assert (finding.state, revision in finding.said, HEAD in finding.said) == (state, True, True)


@pytest.mark.parametrize(
    ("statement", "check"),
    [("BEGIN IMMEDIATE", "lock"), ("BEGIN EXCLUSIVE", "lock")],
    ids=["writer", "exclusive"],
)
def test_a_locked_database_names_who_holds_it(
    statement: str, check: str, databases: Databases, tmp_path: Path
) -> None:
    url = databases.sqlite(tmp_path)
    file = url.removeprefix("sqlite:///")
    script = f"import sqlite3,sys; c=sqlite3.connect({file!r}); c.execute('{statement}'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        site = site_of(tmp_path / "data", url)
        finding = one(site, check)
        holder.communicate()
    assert (finding.state, "locked" in finding.said) == ("fail", True)
    assert f"({holder.pid})" in finding.remedy
    assert one(site_of(tmp_path / "data", url), "lock").state == "ok"


def test_a_database_that_nobody_may_read_now(tmp_path: Path, databases: Databases) -> None:
    """Locked for readers, too: it does not answer, and the rest is skipped."""
    url = databases.sqlite(tmp_path)
    file = url.removeprefix("sqlite:///")
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("PRAGMA journal_mode=DELETE")
    holder.execute("BEGIN EXCLUSIVE")
    site = site_of(tmp_path / "data", url, patience=0.1)
    assert (one(site, "answers").state, "locked" in one(site, "answers").said) == ("fail", True)
    assert one(site, "tables").state == "skip"
    holder.execute("ROLLBACK")
    holder.close()
    assert one(site_of(tmp_path / "data", url), "journal").state == "warn"


def test_sqlite_files_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    url = f"sqlite:///{file}"
    file.write_bytes(os.urandom(40_000))
    assert "not a database" in one(site_of(tmp_path / "data", url), "answers").said
    file.unlink()
    file.mkdir()
    assert one(site_of(tmp_path / "data", url), "answers").state == "fail"
    file.rmdir()
    assert one(site_of(tmp_path / "data", url), "answers").state == "warn"
    (tmp_path / "data/processed/2026/01").mkdir(parents=True)
    (tmp_path / "data/processed/2026/01/sales.csv").touch()
    assert one(site_of(tmp_path / "data", url), "answers").state == "fail"
    assert not file.exists()


def test_a_damaged_database_is_found_by_reading_it_all(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    url = f"sqlite:///{file}"
    create_database(url).dispose()
    with contextlib.closing(sqlite3.connect(file)) as connection:
        root, size = connection.execute(
            "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_master WHERE name = 'products'"
        ).fetchone()
    content = bytearray(file.read_bytes())
    content[(root - 1) * size : (root - 1) * size + 200] = b"\xff" * 200
    file.write_bytes(bytes(content))
    assert one(site_of(tmp_path / "data", url), "integrity").state == "skip"
    assert one(site_of(tmp_path / "data", url), "answers").state == "ok"
    damaged = one(site_of(tmp_path / "data", url, deep=True), "integrity")
    assert (damaged.state, damaged.said.startswith("damaged: ")) == ("fail", True)


@pytest.mark.postgres
def test_a_server_that_is_away(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    site = site_of(tmp_path / "data", f"postgresql://me:geheim@127.0.0.1:{port}/db")
    findings = [f for f in examine(site) if f.area == "database"]
    assert [f.name for f in findings if f.state == "fail"] == ["answers"]
    assert {f.state for f in findings} == {"fail", "skip"}
    assert "geheim" not in json.dumps(short(findings))


@pytest.mark.postgres
def test_a_server_that_promises_too_little(databases: Databases, postgres: Cluster, tmp_path: Path) -> None:
    url = databases.postgresql()
    name = url.rpartition("/")[2]
    names = ("durability", "encoding", "privileges", "connections", "idle sessions")
    assert "off: fsync, full_page_writes" in one(site_of(tmp_path / "data", url), "durability").said
    with postgres.durable():
        assert [one(site_of(tmp_path / "data", url), check).state for check in names] == ["ok"] * 5
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for setting in ("synchronous_commit = off", "default_transaction_read_only = on"):
            connection.execute(f"ALTER DATABASE {name} SET {setting}")  # type: ignore[arg-type]
    site = site_of(tmp_path / "data", url)
    assert (one(site, "durability").state, "synchronous_commit" in one(site, "durability").said) == (
        "fail",
        True,
    )
    assert "standby" in one(site, "privileges").said


@pytest.mark.postgres
def test_a_user_without_privileges(
    databases: Databases, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = databases.postgresql()
    name, role = url.rpartition("/")[2], f"doctor_{os.getpid()}"
    server = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
    request.addfinalizer(server.close)
    request.addfinalizer(lambda: server.execute(f"DROP OWNED BY {role}; DROP ROLE {role}"))
    server.execute(f"CREATE ROLE {role} LOGIN; REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
    server.execute(f"GRANT SELECT ON alembic_version, data_ingestion_log TO {role}")
    site = site_of(tmp_path / "data", url.replace("postgres@", f"{role}@"))
    said = " ".join(f.said for f in look(site, "privileges"))
    assert {f.state for f in look(site, "privileges")} == {"fail", "warn"}
    assert "temporary tables" in said
    assert "data_ingestion_log" in said
    assert one(site, "tables").state == "ok"


@pytest.mark.postgres
def test_a_database_of_another_encoding(postgres: Cluster, tmp_path: Path) -> None:
    name = f"latin_{os.getpid()}"
    with psycopg.connect(postgres.url("postgres").replace("+psycopg", ""), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    try:
        assert one(site_of(tmp_path / "data", postgres.url(name)), "encoding").state == "fail"
    finally:
        postgres.drop(name)
