"""What a worker asks of the C library before it starts."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc_info")

THREADS_THAT_ALLOCATE = """
import ctypes, sys, threading
from app.cli import worker

if sys.argv[1] == "worker":
    worker._use_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(4)

def allocate():
    together.wait()
    libc.malloc(10_000)
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@pytest.mark.parametrize(("who", "is_one"), [("worker", True), ("anybody", False)])
def test_a_workers_threads_share_one_heap(who, is_one):
    done = subprocess.run(
        [sys.executable, "-c", THREADS_THAT_ALLOCATE, who], check=True, capture_output=True, text=True
    )

    assert (done.stdout.count("<heap nr=") == 1) is is_one
