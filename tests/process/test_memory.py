"""What servers and workers ask of the C library before they start."""

import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc_info")

THREADS_THAT_ALLOCATE = """
import ctypes, sys, threading
from app.cli.serving import heap

if sys.argv[1] == "worker":
    heap.use_one_heap()
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


LARGE_BLOCKS = """
import ctypes, sys
from app.cli.serving import heap

if sys.argv[1] == "server":
    heap.return_large_blocks()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.free(libc.malloc(20_000_000))
libc.malloc(20_000_000)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@pytest.mark.parametrize(("who", "is_mapped"), [("server", True), ("anybody", False)])
def test_a_server_returns_the_memory_of_large_files(who, is_mapped):
    done = subprocess.run([sys.executable, "-c", LARGE_BLOCKS, who], check=True, capture_output=True, text=True)

    mapped = re.search(r'<total type="mmap" count="\d+" size="(\d+)"', done.stdout)
    assert (int(mapped[1]) > 20_000_000) is is_mapped
