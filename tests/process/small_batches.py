"""``lookalike worker`` with small batches and parts: ``python -m tests.process.small_batches``.

An import of few pictures then has as many batches, parts and commits to be killed in as one of many.
"""

from app.cli.main import main
from app.worker.handlers import import_images

BATCH_ITEMS = 12


def use_small_batches() -> None:
    """Let the workers of this process import in small batches."""
    import_images.BATCH_ITEMS = BATCH_ITEMS
    import_images.LEAST_PART_ITEMS = 2 * BATCH_ITEMS


if __name__ == "__main__":
    use_small_batches()
    main(["worker"])
