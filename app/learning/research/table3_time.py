"""Table III: processor time of an epoch and of a query, as the paper counts them and by stage."""

import io
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from PIL import Image

from app.domain.codes import hamming, pack_signs
from app.encoding.preprocess import Preprocessing, prepare
from app.images.decoding import decode_in_process
from app.images.sniff import Limits
from app.learning.nn.autoencoder import HashingAutoencoder, LossReading
from app.learning.research import claims
from app.learning.research.autoencoder import run
from app.learning.research.settings import PaperSettings
from app.learning.research.table import NOT_RUN, ReportRow, ReportTable
from app.learning.research.workspace import Part, Workspace
from app.learning.training.end_to_end.loop import LoopSettings, run_training_loop

REPEATS: Final = 15
CALLS: Final = 20
"""Calls of a stage between two readings of the clock."""
WARM_UP: Final = 1280
"""Pictures trained on before the epoch that is measured."""

WORDS = (
    "Times are processor time in one thread, not time by the clock; the paper names neither clock nor machine. "
    "The paper's inference time is read as encoding one decoded picture and ranking the gallery by Hamming "
    "distance; codes are drawn at random for this. Reading and decoding the picture's file come on top in any "
    "service and are shown apart. An epoch is one pass of Algorithm 2 over the gallery, in bfloat16 if the "
    "processor has it."
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
        decode, encode, search = (cell[stage] for stage in ("decode_ms", "encode_ms", "search_ms"))
        times = (cell["epoch_s"], encode + search, decode, encode, search)
        rows.append(ReportRow(f"measured on {collection}", (bits, *(f"{time:.2f}" for time in times))))
    columns = ("", "bits", "s an epoch", "ms a query", "decode ms", "encode ms", "search ms")
    return ReportTable("Table III: time", columns, tuple(rows), WORDS)


def _timed(workspace: Workspace, collection: str, bits: int, settings: PaperSettings) -> dict[str, Any]:
    def compute() -> dict[str, Any]:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return {**_stages_of(workspace, collection, bits, settings), "clock": "processor time, one thread"}
        finally:
            torch.set_num_threads(threads)

    return workspace.cell(f"{workspace.name(collection)}-seconds-of-processor-{bits}", compute, Part.TIMES)


def _stages_of(workspace: Workspace, collection: str, bits: int, settings: PaperSettings) -> dict[str, Any]:
    seed = settings.seeds[0]
    torch.manual_seed(seed)
    network = HashingAutoencoder(bits, quantisation_weight=settings.quantisation_weight)
    _, gallery = workspace.material(collection).pixels()
    run_training_loop(network, gallery[:WARM_UP], LoopSettings(epochs=1, seed=seed))
    begin = time.process_time()
    run_training_loop(network, gallery, LoopSettings(epochs=1, seed=seed))
    epoch_s = time.process_time() - begin
    # Codes of a collapsed network are equal, which sorts faster.
    codes = pack_signs(np.random.default_rng(seed).standard_normal((len(gallery), bits), dtype=np.float32))
    picture = np.array(gallery[0])
    written = io.BytesIO()
    Image.fromarray(picture).resize((256, 256)).save(written, "JPEG", quality=90)

    def decode() -> None:
        prepare(decode_in_process(written.getvalue(), Limits()).pixels, Preprocessing(32))

    def search() -> None:
        np.argsort(hamming(codes, codes[0]), kind="stable")

    return {
        "reading": LossReading.ALGORITHM_2.value,
        "epoch_s": round(epoch_s, 2),
        "decode_ms": _median_ms(decode),
        "encode_ms": _median_ms(lambda: run(network.encode, picture[None])),
        "search_ms": _median_ms(search),
        "protocol": workspace.material(collection).protocol(seed).as_dict(),
    }


def _median_ms(step: Callable[[], object]) -> float:
    """Median processor time of a call, in milliseconds."""
    times = []
    for _ in range(REPEATS):
        begin = time.process_time()
        for _ in range(CALLS):
            step()
        times.append(1000 * (time.process_time() - begin) / CALLS)
    return round(float(np.median(times)), 2)
