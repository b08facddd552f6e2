"""Profile the nodes of an encoder, and measure what smaller inputs cost in mAP.

Nodes: medians of ONNX Runtime's profiler, one thread. Inputs: the encoder as shipped, for inputs of other
sides; mAP of the full ranking by Hamming distance, of up to 150 queries among up to 500 pictures of each zip.
Every tenth picture of a kind is a query; kinds are folders.

    python benchmarks/encoder_parts.py [--model lite2-256] [--pictures a.zip b.zip] [--sides 224 192]
                                       [--json FILE]
"""

import argparse
import io
import json
import re
import tempfile
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from PIL import Image

from app.index.instruction_set import instruction_set

ROOT = Path(__file__).resolve().parent.parent
RUNS = 40


def session_of(graph: onnx.ModelProto, side: int, profile: str | None = None) -> ort.InferenceSession:
    """Load the graph for inputs of ``side`` × ``side`` pixels."""
    changed = onnx.ModelProto()
    changed.CopyFrom(graph)
    dimensions = changed.graph.input[0].type.tensor_type.shape.dim
    dimensions[1].dim_value = dimensions[2].dim_value = side
    del changed.graph.value_info[:]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    return ort.InferenceSession(changed.SerializeToString(), options, providers=["CPUExecutionProvider"])


def measure_nodes(graph: onnx.ModelProto, side: int) -> Iterator[dict[str, Any]]:
    """Yield the number and time of each kind of node."""
    groups = {
        node.name: next((a.i for a in node.attribute if a.name == "group"), 1)
        for node in graph.graph.node
        if node.op_type == "Conv"
    }
    pixels = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        session = session_of(graph, side, f"{folder}/profile")
        for _ in range(RUNS):
            session.run(None, {"pixels": pixels})
        events = json.loads(Path(session.end_profiling()).read_text())
    times = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            kind, name = event["args"]["op_name"], event["name"].removesuffix("_kernel_time")
            if kind == "QLinearConv":
                kind += " depthwise" if groups.get(re.sub(r"_token_\d+$", "", name), 1) > 1 else ""
            times[kind, name].append(event["dur"])
    by_kind, counts = Counter(), Counter(kind for kind, _ in times)
    for (kind, _), durations in times.items():
        by_kind[kind] += float(np.median(durations)) / 1e3
    for kind, ms in by_kind.most_common():
        yield {"part": kind, "side": side, "nodes": counts[kind], "ms": round(ms, 3)}


def measure_mean_precision(
    graph: onnx.ModelProto, archive: Path, sides: list[int], bits: int
) -> Iterator[dict[str, Any]]:
    """Yield mAP and CPU time for each size of the input."""
    rng = np.random.default_rng(0)
    kinds = defaultdict(list)
    with zipfile.ZipFile(archive) as opened:
        for name in sorted(opened.namelist()):
            if name.endswith(".jpg"):
                kinds[name.split("/")[-2]].append(name)
        queries = [name for names in kinds.values() for name in names[::10]]
        others = [name for names in kinds.values() for i, name in enumerate(names) if i % 10]
        queries, others = ([some[i] for i in rng.permutation(len(some))] for some in (queries, others))
        queries, others = queries[:150], others[:500]
        labels = np.array([name.split("/")[-2] for name in queries + others])
        pictures = [Image.open(io.BytesIO(opened.read(name))).convert("RGB") for name in queries + others]
    for side in sides:
        session = session_of(graph, side)
        codes, times = [], []
        for picture in pictures:
            pixels = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))[None]
            before = time.thread_time()
            codes.append(session.run([f"y{bits}"], {"pixels": pixels})[0][0] >= 0)
            times.append((time.thread_time() - before) * 1e3)
        precisions = []
        found = np.array(codes)
        for i in range(len(queries)):
            order = np.argsort((found[len(queries) :] != found[i]).sum(1), kind="stable")
            hits = labels[len(queries) :][order] == labels[i]
            if hits.any():
                precisions.append((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())
        mean, ms = float(np.mean(precisions)), float(np.median(times))
        yield {"pictures": archive.stem, "side": side, "map": round(mean, 4), "ms": round(ms, 3)}


def main() -> None:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lite2-256")
    parser.add_argument("--bits", type=int, default=256)
    parser.add_argument("--pictures", nargs="*", type=Path, default=[])
    parser.add_argument("--sides", nargs="+", type=int, default=[224, 192])
    parser.add_argument("--json", type=Path, help="file for the rows")
    options = parser.parse_args()
    graph = onnx.load(ROOT / "model_artifacts" / options.model / "encoder.onnx")
    parts = [measure_nodes(graph, options.sides[0])]
    parts += [measure_mean_precision(graph, each, options.sides, options.bits) for each in options.pictures]
    about = {"onnxruntime": ort.__version__, "instruction_set": instruction_set()}
    rows = []
    for row in chain.from_iterable(parts):
        rows.append({"model": options.model, **row, **about})
        print(*(f"{name} {value}" for name, value in row.items()), sep="  ", flush=True)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
