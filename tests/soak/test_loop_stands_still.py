"""A loop that hangs while the rest of the process lives: /healthz says so. 40 s, because the loop is given 30."""

import ctypes
import os

import pytest
from e2e.harness import Place, put, sales, until
from support.http import free_port, get, probe

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17  # of ptrace


def test_a_loop_that_stands_still(tmp_path, databases) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    listen = f"127.0.0.1:{free_port()}"
    with Place(tmp_path, databases.sqlite(tmp_path)) as place:
        daemon = place.run(health__listen=listen, settle__scan_seconds=3600)
        until(lambda: daemon.said("health_listening"), 20, "it answers")
        # the loop's thread only: it waits in poll(), where it does not hold the interpreter's lock
        if libc.ptrace(_SEIZE, daemon.pid, None, None) != 0:
            pytest.skip(f"ptrace is not allowed here: {os.strerror(ctypes.get_errno())}")
        assert libc.ptrace(_INTERRUPT, daemon.pid, None, None) == 0
        assert probe(listen, "/healthz")[0] == 200
        until(lambda: get(listen, "/healthz")[0] == 503, 60, "it is noticed", every=1)
        status, content = probe(listen, "/readyz")
        assert (status, [reason["reason"] for reason in content["reasons"]]) == (503, ["loop"])
        os.waitpid(daemon.pid, os.WUNTRACED)  # it has stopped: only then it can be let go
        assert libc.ptrace(_DETACH, daemon.pid, None, None) == 0
        until(lambda: get(listen, "/healthz")[0] == 200, 20, "it turns again")
        put(place.inbox, "sales_data_20250301.csv", sales("A"))
        place.wait_loaded("sales_data_20250301.csv")
        assert daemon.stop() == 0
