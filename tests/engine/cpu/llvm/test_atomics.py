"""Counters that several threads change, and waiting for them."""

from concurrent.futures import ThreadPoolExecutor
from time import sleep

import numpy as np
import pytest
from numba import njit

from skconvnet.engine.cpu.llvm.atomics import add_to, wait_for


@njit(nogil=True)
def add_many(address, times):
    last = 0
    for _ in range(times):
        last = add_to(address, 3)
    return last


@njit(nogil=True)
def wait(address, count):
    wait_for(address, count)


def test_what_a_counter_was_is_returned():
    counter = np.array([7, 5, 7])
    assert add_many(counter[1:].ctypes.data, 1) == 5
    assert counter.tolist() == [7, 8, 7]


def test_no_addition_of_many_threads_is_lost():
    counter = np.zeros(1, np.int64)
    add_many(counter.ctypes.data, 1)
    with ThreadPoolExecutor(4) as pool:
        [*pool.map(lambda _: add_many(counter.ctypes.data, 200_000), range(4))]
    assert counter[0] == 3 * (1 + 4 * 200_000)


@pytest.mark.parametrize("seconds", [0, 0.2])
def test_a_thread_waits_for_a_counter(seconds):
    counter = np.zeros(1, np.int64)
    wait(counter.ctypes.data, -1)
    wait(counter.ctypes.data, 0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait, counter.ctypes.data, 5)
        sleep(seconds)
        assert not waiting.done()
        counter[0] = 4
        sleep(seconds)
        assert not waiting.done()
        counter[0] = 6
        waiting.result(60)
