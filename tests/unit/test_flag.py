"""A flag is waited for no shorter than asked."""

import time

from daemon.flag import Flag


def test_a_wait_is_over_no_earlier_than_asked():
    flag = Flag()
    for milliseconds in (0.3, 1.7, 2.5):
        begun = time.monotonic()
        assert not flag.wait(milliseconds / 1000)
        assert time.monotonic() - begun >= milliseconds / 1000
    flag.set()
    assert flag.wait(60)
    flag.close()
