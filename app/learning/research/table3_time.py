"""Table III: seconds per epoch and milliseconds per query, as the paper counts them and by stage."""

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from app.domain.codes import hamming, pack_signs
from app.encoding.preprocess import Preprocessing, prepare
from app.images.decoding import decode_in_process
from app.images.sniff import Limits
from app.learning.nn.autoencoder import LossReading
from app.learning.research import claims
from app.learning.research.autoencoder import run, trained_autoencoder
from app.learning.research.settings import PaperSettings
from app.learning.research.table import NOT_RUN, ReportRow, ReportTable
from app.learning.research.workspace import Workspace

REPEATS = 30

WORDS = (
    "The paper's inference time is read as encoding one decoded picture and ranking the gallery by Hamming "
    "distance. Reading and decoding the picture's file come on top in any service and are shown apart. An "
    "epoch is one pass of the paper's network over the gallery on the machine at hand, in bfloat16 where it "
    "has that; on a machine that others use too it says more about them."
)


def time_table(workspace: Workspace, settings: PaperSettings) -> ReportTable:
    """Claimed and measured times of the paper's network."""
    collection = settings.collections[0]
    rows = []
    for bits, (epoch_s, query_ms) in claims.TABLE_3.items():
        rows.append(ReportRow("the paper's claim", (bits, epoch_s, query_ms, None, None, None), claim=True))
        cell = _timed(workspace, collection, bits, settings)
        if not cell:
            rows.append(ReportRow(f"measured on {collection}", (bits, *[NOT_RUN] * 5)))
            continue
        stages = tuple(cell[stage] for stage in ("decode_ms", "encode_ms", "search_ms"))
        whole = round(cell["encode_ms"] + cell["search_ms"], 2)
        rows.append(ReportRow(f"measured on {collection}", (bits, cell["epoch_s"], whole, *stages)))
    columns = ("", "bits", "s an epoch", "ms a query", "decode ms", "encode ms", "search ms")
    return ReportTable("Table III: time", columns, tuple(rows), WORDS)


def _timed(workspace: Workspace, collection: str, bits: int, settings: PaperSettings) -> dict[str, Any]:
    def compute() -> dict[str, Any]:
        network, history = trained_autoencoder(
            workspace, collection, LossReading.ALGORITHM_2, bits, settings, settings.seeds[0]
        )
        _, gallery = workspace.material(collection).pixels()
        codes = pack_signs(run(network.encode, gallery))
        picture = np.array(gallery[0])
        written = io.BytesIO()
        Image.fromarray(picture).resize((256, 256)).save(written, "JPEG", quality=90)

        def decode() -> None:
            prepare(decode_in_process(written.getvalue(), Limits()).pixels, Preprocessing(32))

        def search() -> None:
            np.argsort(hamming(codes, codes[0]), kind="stable")

        return {
            "epoch_s": round(float(np.median(history.seconds)), 2),
            "decode_ms": _median_ms(decode),
            "encode_ms": _median_ms(lambda: run(network.encode, picture[None])),
            "search_ms": _median_ms(search),
            "protocol": workspace.material(collection).protocol(settings.seeds[0]).as_dict(),
        }

    return workspace.cell(f"{workspace.name(collection)}-time-{bits}-{settings.epochs}", compute)


def _median_ms(step: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - begin))
    return round(float(np.median(times)), 2)
