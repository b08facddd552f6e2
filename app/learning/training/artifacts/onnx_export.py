"""Export a torch model to ONNX: in float32, quantised to int8, or on the encoder of an existing graph."""

import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx.compose
import onnx.shape_inference
import torch
from numpy.typing import NDArray
from onnx.utils import Extractor
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from torch import nn

OPSET: Final = 18
POOLING: Final = frozenset({"ReduceMean", "GlobalAveragePool"})


def export_fp32(module: nn.Module, input_size: int, outputs: Sequence[str], path: Path) -> None:
    """Write a module as ONNX with the input ``pixels``, (n, S, S, 3) uint8, for any n.

    Args:
        module: A model or an encoder, with batch normalisations folded.
        input_size: S.
        outputs: Names of the outputs, in the order in which ``module.forward`` returns them.
        path: File to write.
    """
    pixels = torch.zeros(2, input_size, input_size, 3, dtype=torch.uint8)
    graph = _exported(module, pixels, "pixels", outputs)
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


def _exported(module: nn.Module, example: torch.Tensor, name: str, outputs: Sequence[str]) -> onnx.ModelProto:
    with _quiet_libraries():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            input_names=[name],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("n")},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    graph: onnx.ModelProto = program.model_proto
    # The exporter records the source line of each node, with absolute paths.
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.metadata_props[:]
    return graph


class EncoderGraph:
    """A model's graph, cut at the features of its encoder.

    Attributes:
        features: Name of the tensor with the features, (n, dim) float32.
        dim: Number of features.
    """

    def __init__(self, path: Path) -> None:
        """Read the graph of a model with a pooled encoder.

        Raises:
            ValueError: The graph has no pooling, so that its features cannot be distinguished from other
            tensors.
        """
        self._model = onnx.shape_inference.infer_shapes(onnx.load(path))
        pooled = [node.output[0] for node in self._model.graph.node if node.op_type in POOLING]
        shapes = {value.name: value.type.tensor_type.shape.dim for value in self._model.graph.value_info}
        found = next((name for name in pooled if len(shapes.get(name, ())) == 2), None)
        if found is None:
            raise ValueError(f"the graph {path} does not pool the features of an encoder")
        self.features, self.dim = found, int(shapes[found][1].dim_value)

    def save_encoder(self, path: Path) -> None:
        """Write the encoder alone: ``pixels`` to features. Equal encoders give equal bytes."""
        _save(self._cut(["pixels"], [self.features]), path)

    def save_head(self, outputs: Sequence[str], path: Path) -> None:
        """Write what is behind the encoder: an input of ``dim`` features to these outputs."""
        _save(self._cut([self.features], outputs), path)

    def save_with_features(self, outputs: Sequence[str], path: Path) -> str:
        """Write the graph with the features as a further output, and return the name of that output."""
        _save(self._cut(["pixels"], [*outputs, self.features]), path)
        return self.features

    def save_with_heads(self, heads: nn.Module, names: Sequence[str], kept: Sequence[str], path: Path) -> None:
        """Write the encoder with other outputs.

        Args:
            heads: Maps features (n, dim) to a tuple of outputs.
            names: Names of these outputs.
            kept: Outputs of the graph to keep.
            path: File to write.
        """
        encoder = self._cut(["pixels"], [self.features, *kept])
        added = _exported(heads, torch.zeros(2, self.dim), "features", names)
        added.ir_version = encoder.ir_version
        prefixed = onnx.compose.add_prefix(added, "own/", rename_inputs=False, rename_outputs=False)
        merged = onnx.compose.merge_models(
            encoder, prefixed, io_map=[(self.features, "features")], outputs=[*names, *kept]
        )
        onnx.checker.check_model(merged)
        _save(merged, path)

    def _cut(self, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
        cut: onnx.ModelProto = Extractor(self._model).extract_model(list(inputs), list(outputs))
        # The names that onnx gives say how often a graph was cut.
        cut.graph.name = "lookalike"
        return cut


def save_output(path: Path, output: str, cut: Path) -> None:
    """Write the part of a graph that computes one output of ``pixels``."""
    _save(Extractor(onnx.load(path)).extract_model(["pixels"], [output]), cut)


def _save(model: onnx.ModelProto, path: Path) -> None:
    path.write_bytes(model.SerializeToString(deterministic=True))


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
    pooled = [i for i, node in enumerate(nodes) if node.op_type in POOLING]
    return [node.name for node in nodes[pooled[-1] :]] if pooled else []
