import os, signal, time, threading, shutil
from e2e.harness import *

def test_storm(sqlite_place):
    p = sqlite_place.run()
    for i in range(60000):
        os.kill(p.pid, signal.SIGUSR1)
        if i % 20 == 0: time.sleep(0.0005)
    put(sqlite_place.inbox, "sales_data_20250301_a.csv", sales("A"))
    sqlite_place.wait_loaded("sales_data_20250301_a.csv", seconds=10)
    assert p.stop() == 0

def test_clash(sqlite_place):
    pl = sqlite_place
    put(pl.inbox, "sales_data_20250301_a.csv", sales("A")); pl.drain()
    put(pl.inbox, "sales_data_20250301_a.3.csv", sales("B")); pl.drain()
    put(pl.inbox, "sales_data_20250301_a.csv", sales("A"))
    d = pl.drain()
    print(d.tail()); print(pl.archived(pl.processed))
    pl.assert_clean()

def test_rejects_kept(sqlite_place):
    pl = sqlite_place
    put(pl.inbox, "sales_data_20250301_a.csv", sales("A", bad=1)); pl.drain()
    # an operator (or a clean-up) takes the archived file away
    pl.archived(pl.processed)[0].unlink()
    put(pl.inbox, "sales_data_20250301_a.csv", sales("B", bad=1)); pl.drain()
    print([ (p.name, p.read_text()) for p in pl.errors.iterdir()])
    assert len(list(pl.errors.iterdir())) == 2

def test_paused_writer(sqlite_place):
    import sqlite3
    pl = sqlite_place
    p = pl.run(database__busy_timeout_seconds="0.1", retry__attempts="1")
    c = sqlite3.connect(pl.url.removeprefix("sqlite:///"), isolation_level=None)
    c.execute("BEGIN IMMEDIATE")
    keep = pl.folder / "keep.csv"; keep.write_bytes(sales("A"))
    os.link(keep, pl.inbox / "sales_data_20250301_a.csv")
    p.wait_said("intake_paused")
    f = keep.open("ab"); f.write(sales("A2").split(b"\n",1)[1]); f.flush()
    c.execute("ROLLBACK")
    time.sleep(2)
    print(p.tail()); assert p.alive
    f.close()
    pl.wait_loaded("sales_data_20250301_a.csv", seconds=10)
    assert p.stop() == 0

def test_stale(sqlite_place):
    pl = sqlite_place
    p = pl.run(settle__quiet_seconds=1.5)
    put(pl.inbox, "sales_data_20250228_big.csv", sales("BIG", 150000))
    t = pl.inbox / "sales_data_20250301_b.csv"
    t.write_bytes(sales("B", 10))
    until(lambda: pl.claimed())
    assert t.exists()
    t.write_bytes(sales("B", 10)[:-60]+b"1\n")
    at = time.time()
    until(lambda: not t.exists())
    took = time.time() - at
    print(took, p.tail())
    assert took >= 1.5

def test_exdev(sqlite_place):
    pl = sqlite_place
    with tmpfs(pl.processed, "10m"):
        p = pl.run()
        put(pl.inbox, "sales_data_20250301_a.csv", sales("A"))
        time.sleep(2)
        print(p.tail()); assert p.alive
def test_inbox_file(sqlite_place):
    pl = sqlite_place
    p = pl.run(settle__scan_seconds=0.5)
    put(pl.inbox, "sales_data_20250301_a.csv", sales("A"))
    pl.wait_loaded("sales_data_20250301_a.csv")
    pl.inbox.rmdir(); pl.inbox.write_text("x")
    time.sleep(2); print(p.tail())
    assert p.alive

def test_full_large(sqlite_place):
    pl = sqlite_place
    with tmpfs(pl.data, "20m"):
        for f in (pl.inbox, pl.work, pl.processed, pl.errors): f.mkdir()
        put(pl.inbox, "sales_data_20250301_a.csv", b"") if 0 else (pl.inbox/"sales_data_20250301_a.csv").write_bytes(sales("A", 120000))
        b = fill(pl.data, 2<<20)
        print(os.statvfs(pl.data).f_bavail*4096, (pl.inbox/"sales_data_20250301_a.csv").stat().st_size)
        d = pl.start("drain"); print(d.end()); print(d.tail())
        print(list(pl.errors.iterdir()), pl.waiting(), pl.claimed())
        assert pl.waiting()
        b.unlink(); d = pl.drain(); pl.assert_clean()
