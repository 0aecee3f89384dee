"""The queue in front of the one writer thread."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlops_lab.foundation.errors import ServiceProblem
from mlops_lab.serving.refusals import Overloaded
from mlops_lab.serving.write_queue import WriteQueue


class HeldDisk:
    """A write function that waits for permission, like a slow disk."""

    def __init__(self):
        self.groups, self.entered, self.free = [], threading.Event(), threading.Event()

    def __call__(self, rows):
        self.entered.set()
        assert self.free.wait(5)
        self.groups.append(rows)


def test_rows_that_wait_share_a_commit_in_order():
    disk = HeldDisk()
    queue = WriteQueue(disk)
    first = queue.submit([0])
    assert disk.entered.wait(5)
    later = [queue.submit([n, n]) for n in range(1, 6)]
    assert queue.waiting == 11 and not first.done()
    disk.free.set()
    assert [future.result(5) for future in [first, *later]] == [1, 2, 2, 2, 2, 2]
    queue.close()
    assert disk.groups == [[0], [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]] and queue.waiting == 0


def test_a_group_stops_near_its_size():
    disk = HeldDisk()
    queue = WriteQueue(disk, group=3)
    queue.submit([0])
    assert disk.entered.wait(5)
    for n in range(1, 6):
        queue.submit([n, n])
    disk.free.set()
    queue.close()
    assert [len(group) for group in disk.groups] == [1, 4, 4, 2]


def test_a_full_queue_refuses_at_once_and_takes_again_later():
    disk = HeldDisk()
    queue = WriteQueue(disk, limit=3)
    queue.submit([1, 2, 3])
    with pytest.raises(Overloaded, match="3 rows wait") as refusal:
        queue.submit([4])
    assert isinstance(refusal.value, ServiceProblem) and "at most 3" in refusal.value.expected
    disk.free.set()
    queue.close()
    assert disk.groups == [[1, 2, 3]]


def test_a_failing_disk_is_told_to_its_callers_and_the_thread_lives_on():
    state = {"broken": True}

    def write(rows):
        if state["broken"]:
            raise ServiceProblem("disk full")

    queue = WriteQueue(write, limit=2)
    with pytest.raises(ServiceProblem, match="disk full"):
        queue.submit([1, 2]).result(5)
    state["broken"] = False
    assert queue.submit([3, 4]).result(5) == 2
    queue.close()


def test_whoever_hears_of_its_rows_finds_none_waiting():
    queue, seen = WriteQueue(lambda rows: None), []
    for n in range(500):
        future = queue.submit([n])
        future.add_done_callback(lambda _: seen.append(queue.waiting))
        future.result(5)
        seen.append(queue.waiting)
    queue.close()
    assert seen == [0] * 1_000


def test_one_bad_row_does_not_harm_its_neighbours():
    written = []

    def write(rows):
        if -1 in rows:
            raise ValueError("negative")
        written.extend(rows)

    disk_free = threading.Event()
    queue = WriteQueue(lambda rows: (disk_free.wait(5), write(rows)))
    futures = [queue.submit([n]) for n in (1, 2, -1, 3)]
    disk_free.set()
    queue.close()
    assert [future.exception() is None for future in futures] == [True, True, False, True]
    assert written == [1, 2, 3]


def test_a_caller_cannot_take_back_what_is_on_its_way():
    disk = HeldDisk()
    queue = WriteQueue(disk)
    future = queue.submit([1])
    assert not future.cancel()
    disk.free.set()
    assert future.result(5) == 1
    queue.close()


def test_close_writes_everything_and_refuses_more():
    written = []
    queue = WriteQueue(written.extend)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: queue.submit([n]), range(400)))
    queue.close()
    assert sorted(written) == list(range(400))
    with pytest.raises(ServiceProblem, match="closed"):
        queue.submit([1])
