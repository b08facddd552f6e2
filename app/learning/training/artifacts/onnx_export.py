"""Export a torch model to ONNX, in float32 or with its encoder quantised to int8."""

import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from torch import nn

OPSET: Final = 18


def export_fp32(module: nn.Module, input_size: int, outputs: Sequence[str], path: Path) -> None:
    """Write a module as ONNX with the input ``pixels``, (n, S, S, 3) uint8, for any n.

    Args:
        module: A model or an encoder, with batch normalisations folded.
        input_size: S.
        outputs: Names of the outputs, in the order in which ``module.forward`` returns them.
        path: File to write.
    """
    with _quiet_libraries():
        program = torch.onnx.export(
            module.eval(),
            (torch.zeros(2, input_size, input_size, 3, dtype=torch.uint8),),
            input_names=["pixels"],
            output_names=list(outputs),
            dynamic_shapes={"pixels": {0: torch.export.Dim("n")}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    graph = program.model_proto
    # The exporter records the source line of each node, with absolute paths.
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.metadata_props[:]
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


class _PixelReader(CalibrationDataReader):
    def __init__(self, batches: Iterable[NDArray[np.uint8]]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"pixels": batch}


def quantise(fp32: Path, path: Path, calibration: Iterable[NDArray[np.uint8]]) -> None:
    """Quantise the convolutions and the operations between them to int8; the hash layers stay in float32.

    Weights use 7 bits (``reduce_range``). CPUs without VNNI add pairs of u8·s8 products in saturating 16-bit
    arithmetic: 2 · 255 · 128 overflows, 2 · 255 · 64 = 32,640 does not, so all CPUs compute the same integers.

    Args:
        fp32: The exported model.
        path: File to write.
        calibration: Batches of prepared pictures, (n, S, S, 3) uint8, whose activation ranges set the scales.
    """
    with tempfile.TemporaryDirectory() as scratch, _quiet_libraries():
        quantised = Path(scratch) / "quantised.onnx"
        quantize_static(
            fp32,
            quantised,
            _PixelReader(calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "Clip", "Relu"],
            nodes_to_exclude=_nodes_after_pooling(onnx.load(fp32)),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        onnx.save(onnx.load(quantised), path)


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Hide warnings of torch and ONNX Runtime about their own internals, on which no user can act."""

    def is_ours(record: logging.LogRecord) -> bool:
        return "onnxruntime" not in record.pathname

    # ONNX Runtime's quantiser logs on the root logger.
    root = logging.getLogger()
    root.addFilter(is_ours)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="torch|onnx|copyreg")
            yield
    finally:
        root.removeFilter(is_ours)


def _nodes_after_pooling(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes from the last pooling on: preparation, hash layers, descriptor.

    A network without pooling, such as a transformer, has no such nodes.
    """
    nodes = model.graph.node
    pooled = [i for i, node in enumerate(nodes) if node.op_type in {"ReduceMean", "GlobalAveragePool"}]
    return [node.name for node in nodes[pooled[-1] :]] if pooled else []
