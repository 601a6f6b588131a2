"""Files sent by real clients: whole ones are loaded once within five seconds, cut ones wait, resumed ones come once."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from e2e.harness import sales, until

from clients import table
from clients.campaign import ROWS, Campaign, Sent, feed_file
from clients.line import Line
from clients.servers import IS_ROOT, Grounds, grounds, smbd, sshd, syslog
from clients.ways import FAST, WAYS, Job, Way

AT_MOST = 5.0
Results = Callable[[str], dict[str, Sent]]


def sure(sent: Sent) -> None:
    """All went as it should."""
    assert not sent.wrong, f"{sent.way}: {sent.wrong}"
    assert sent.rows == ROWS, f"{sent.way}: {sent}"
    assert sent.seconds is not None, sent
    assert sent.seconds < AT_MOST, f"{sent.way}: loaded after {sent.seconds:.1f} s"


# ---- a few of them, with every `make test`


@pytest.fixture(scope="module")
def few(_databases) -> Iterator[Campaign]:
    """Servers and a daemon that waits less than usual."""
    quiet, grace = 0.5, 2.5
    with grounds(_databases.sqlite) as at, sshd(at, confined=True) as port:
        settle = {"settle__quiet_seconds": quiet, "settle__grace_seconds": grace}
        daemon = at.place.run(wrap=at.wrap(), outbox__enabled="true", **settle)
        yield Campaign(at, daemon, {"sftp": port}, quiet, grace)


def test_whole_and_resumed(few: Campaign) -> None:
    ways = [way for way in WAYS if way.name in FAST and not way.missing]
    if not ways:
        pytest.skip("no client is installed; run: apt-get install openssh-client")
    for scenario in ("complete", "resumed"):
        for sent in few.run(scenario, ways).values():
            sure(sent)
            assert sent.statuses == ["success"], sent


def test_closed_file_is_told_and_loaded_when_it_is_opened(few: Campaign) -> None:
    """OpenSSH's sftp sends the rights of the file along, and a umask only takes away."""
    if not IS_ROOT:
        pytest.skip("needs root: the daemon runs as another user than the sender")
    at, way = few.at, WAYS[0]
    source = at.folder / "sales_data_20250302_closed.csv"
    source.write_bytes(sales("CLOSED", day="2025-03-02"))
    source.chmod(0o600)
    assert way.start(Job(at, few.ports["sftp"], source)).wait(20) == 0
    said = few.daemon.wait_said("delivery_unreadable", file=source.name)
    assert (said["mode"], said["uid"], said["gid"]) == ("0600", at.sender.uid, at.sender.gid)
    assert at.place.ledger(source.name) == []
    assert _sftp(few, f"chmod 640 {at.inbox}/{source.name}") == 0
    at.place.wait_loaded(source.name, seconds=AT_MOST)
    assert len(few.daemon.said("delivery_unreadable", file=source.name)) == 1


def test_sender_fetches_what_became_of_its_file(few: Campaign) -> None:
    """By the same way as it came; and it can neither write nor link where that lies."""
    at, way = few.at, WAYS[0]
    name = "sales_data_20250303_told.csv"
    source = at.folder / name
    source.write_bytes(sales("TOLD", 20, day="2025-03-03", bad=1))
    source.chmod(0o640)
    assert way.start(Job(at, few.ports["sftp"], source)).wait(20) == 0
    at.place.wait_loaded(name, seconds=AT_MOST)
    outbox = "outbox" if IS_ROOT else str(at.place.data / "outbox")
    ack, nack = at.folder / "ack", at.folder / "nack"
    until(
        lambda: (
            _sftp(few, f"get {outbox}/{name}.ack.json {ack}", f"get {outbox}/{name}.nack.csv {nack}") == 0
        ),
        5,
    )
    told = json.loads(ack.read_text())
    assert (told["outcome"], told["rows"]["loaded"], told["rows"]["rejected"]) == ("partial", 20, 1)
    assert nack.read_text().splitlines()[1].startswith("22,quantity_sold,")
    if IS_ROOT:
        assert _sftp(few, f"put {source} {outbox}/{name}.ack.json") != 0
        assert _sftp(few, f"symlink /etc/passwd {outbox}/x.ack.json") != 0
        assert _sftp(few, f"rm {outbox}/{name}.ack.json") != 0


def _sftp(at: Campaign, *lines: str) -> int:
    job = Job(at.at, at.ports["sftp"], at.at.folder)
    words = ["sftp", *job.ssh, "-P", str(job.port), "-b", "-", f"{job.user}@127.0.0.1"]
    said = "".join(f"{line}\n" for line in lines).encode()
    return subprocess.run(words, input=said, capture_output=True, timeout=20, check=False).returncode


# ---- all of them, with the settings that the program has by itself


@pytest.fixture(scope="module")
def all_servers(_databases) -> Iterator[tuple[Grounds, dict[str, int]]]:
    """Every server there is."""
    with contextlib.ExitStack() as stack:
        at = stack.enter_context(grounds(_databases.sqlite))
        ports = {kind: stack.enter_context(sshd(at, confined=kind == "sftp")) for kind in ("sftp", "shell")}
        with contextlib.suppress(pytest.skip.Exception):  # each test of its clients says so
            ports["smb"] = stack.enter_context(smbd(at))
        yield at, ports


@pytest.fixture(scope="module")
def results(all_servers: tuple[Grounds, dict[str, int]]) -> Results:
    """What became of the files of a scenario, sent when it is first asked for."""
    at, ports = all_servers
    settle = {"settle__quiet_seconds": 2.0, "settle__grace_seconds": 10.0}
    campaign = Campaign(at, at.place.run(wrap=at.wrap(), **settle), ports, 2.0, 10.0)
    done: dict[str, dict[str, Sent]] = {}

    def of(scenario: str) -> dict[str, Sent]:
        if scenario not in done:
            ways = [way for way in WAYS if not way.missing and way.server in ports]
            done[scenario] = campaign.run(scenario, ways)
            table.note(scenario, done[scenario])
        return done[scenario]

    return of


def _sent(way: Way, results: Results, scenario: str) -> Sent:
    if way.missing:
        pytest.skip(way.missing)
    if way.name not in results(scenario):
        pytest.skip("smbd is not installed, or needs root; run: apt-get install samba")
    return results(scenario)[way.name]


@pytest.mark.faults
@pytest.mark.parametrize("scenario", ["complete", "slow", "stalled", "resumed"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_whole_in_the_end(way: Way, scenario: str, results: Results) -> None:
    """Slow, stalled for longer than the quiet period, cut off and resumed in time: it is one delivery."""
    sent = _sent(way, results, scenario)
    sure(sent)
    assert sent.statuses == ["success"], sent


@pytest.mark.faults
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_cut_off(way: Way, results: Results) -> None:
    """Never taken before the grace period, never at all under another name; sent again, each row is there once."""
    sent = _sent(way, results, "late")
    sure(sent)
    if way.aside:
        assert sent.name not in sent.was
        assert sent.statuses == ["success"], "nothing was taken of the cut one"
    elif sent.broken and not sent.closed:
        assert sent.taken_after is not None, sent
        assert sent.taken_after > 9.7, sent


@pytest.mark.faults
def test_without_the_right_to_leases(databases) -> None:
    """Then a writer is not seen: a broken last line is what keeps a stalled upload from being taken."""
    if not IS_ROOT:
        pytest.skip("needs root: the daemon runs as another user than the sender")
    quiet, grace = 0.5, 6.0
    with grounds(databases.sqlite) as at, sshd(at, confined=True) as port:
        settle = {"settle__quiet_seconds": quiet, "settle__grace_seconds": grace}
        daemon = at.place.run(wrap=at.wrap(lease=False), **settle)
        ways = [way for way in WAYS if way.name in FAST and not way.missing]
        for sent in Campaign(at, daemon, {"sftp": port}, quiet, grace).run("stalled", ways).values():
            sure(sent)
            assert sent.statuses == ["success"], sent


@pytest.mark.faults
def test_a_line_that_dies_without_a_word(databases) -> None:
    """The server holds the file open, so it is not taken; removed and sent again, it is another file."""
    quiet, grace, way = 0.5, 1.0, WAYS[0]
    with grounds(databases.sqlite) as at, sshd(at, confined=True) as port, Line(port) as line:
        settle = {"settle__quiet_seconds": quiet, "settle__grace_seconds": grace}
        daemon = at.place.run(wrap=at.wrap(), **settle)
        source = at.folder / "sales_data_20250301_dead.csv"
        source.write_bytes(feed_file("DEAD"))
        source.chmod(0o640)
        line.rate = source.stat().st_size // 2
        client = way.start(Job(at, line.port, source))
        there = at.place.inbox / source.name
        until(lambda: there.exists() and there.stat().st_size > source.stat().st_size // 3, 20)
        line.stalled.set()
        client.kill()
        client.wait()
        daemon.wait_said("delivery_waiting", file=source.name, reason="open_for_writing")
        time.sleep(grace + 2 * quiet)
        assert at.place.ledger() == []
        few = Campaign(at, daemon, {"sftp": port}, quiet, grace)
        assert _sftp(few, f"rm {at.inbox}/{source.name}") == 0
        assert way.start(Job(at, port, source)).wait(20) == 0
        at.place.wait_loaded(source.name, seconds=AT_MOST)
        assert [row["records_successful"] for row in at.place.ledger()] == [ROWS]


@pytest.mark.faults
def test_what_the_server_says_of_broken_uploads(databases) -> None:
    """With ``settle.sftp_log`` a cut file is never taken as it is, and once when it is resumed."""
    quiet, grace = 1.0, 3.0
    with grounds(databases.sqlite) as at, syslog(at) as log, sshd(at, confined=True) as port:
        settle = {"settle__quiet_seconds": quiet, "settle__grace_seconds": grace, "settle__sftp_log": log}
        daemon = at.place.run(wrap=at.wrap(), **settle)
        ways = [way for way in WAYS if way.server == "sftp" and not way.aside and not way.missing]
        for sent in Campaign(at, daemon, {"sftp": port}, quiet, grace).run("broken", ways).values():
            sure(sent)
            assert sent.statuses == ["success"], sent
        assert not daemon.said("sftp_log_failed")


def test_the_file_that_is_sent_can_be_cut_within_a_line() -> None:
    """Else all of this would prove little."""
    lines = feed_file("X").splitlines()
    assert len(lines) == ROWS + 1
    assert min(map(len, lines[1:])) > 350
