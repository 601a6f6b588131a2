"""A thread's errands: in order, none after a failure is forgotten, none after the end."""

import threading

import pytest

from daemon.store.errands import Errands


def test_errands_are_done_in_the_order_in_which_they_are_handed_over():
    done = []
    errands = Errands("rows", 2)
    for number in range(100):
        errands.hand_over(lambda number=number: done.append((number, threading.current_thread().name)))
    errands.finish()
    errands.close()
    assert [number for number, _ in done] == list(range(100))
    assert {name for _, name in done} == {"rows_0"}


def test_whoever_hands_over_too_much_waits():
    go_on = threading.Event()
    errands = Errands("rows", 1)
    errands.hand_over(go_on.wait)
    errands.hand_over(lambda: None)
    third = threading.Thread(target=errands.hand_over, args=(lambda: None,))
    third.start()
    third.join(0.1)
    assert third.is_alive()
    go_on.set()
    third.join(10)
    assert not third.is_alive()
    errands.close()


@pytest.mark.parametrize("most", [0, 8, float("inf")])
def test_what_went_wrong_is_said_with_the_next_one_or_at_the_end(most):
    def fail():
        raise ValueError("no room")

    errands = Errands("rows", most)
    errands.hand_over(fail)
    with pytest.raises(ValueError, match="no room"):
        errands.finish()
    errands.hand_over(fail)
    while not errands._handed_over[0].done():
        pass
    with pytest.raises(ValueError, match="no room"):
        errands.hand_over(lambda: None)
    errands.close()


def test_what_waits_at_the_end_is_not_done():
    begun, go_on, done = threading.Event(), threading.Event(), []

    def first():
        begun.set()
        go_on.wait()

    errands = Errands("rows", 8)
    errands.hand_over(first)
    errands.hand_over(lambda: done.append(2))
    begun.wait()
    threading.Timer(0.05, go_on.set).start()
    errands.close()
    assert done == []
