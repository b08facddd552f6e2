"""Exact Hamming search over packed binary codes: no SQL, no HTTP."""

from app.index.kernel_cache import ensure_kernel_cache

ensure_kernel_cache()
