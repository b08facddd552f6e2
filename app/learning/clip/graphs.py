"""Extend exported graphs by what a model needs: pixels in, y out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from app.learning.clip.exports import BadExport, ClipExport, GraphEnd
from app.learning.clip.hash_layer import ClipHashLayer

_PREFIX: Final = "lookalike/"
"""Of the names of added tensors."""
PIXELS: Final = "pixels"
Y: Final = f"{_PREFIX}y"


def save_picture_graph(export: ClipExport, layer: ClipHashLayer, path: Path) -> None:
    """Write the encoder of pictures from ``pixels``, (n, S, S, 3) uint8, to y, (n, bits) float32.

    Raises:
        BadExport: The graph cannot be read, or is too large for one file.
    """
    model = _read(export.visual_path)
    _rename(model, PIXELS, f"{_PREFIX}original_pixels")
    side, name = export.preprocessing.input_size, export.pixels_input.name
    name = f"{_PREFIX}original_pixels" if name == PIXELS else name
    added = _Additions()
    scale = (1 / (255 * export.std.astype(np.float64))).astype(np.float32).reshape(1, 3, 1, 1)
    shift = (-export.mean.astype(np.float64) / export.std).astype(np.float32).reshape(1, 3, 1, 1)
    floats = added.node("Cast", [PIXELS], to=TensorProto.FLOAT)
    channels_first = added.node("Transpose", [floats], perm=[0, 3, 1, 2])
    scaled = added.node("Mul", [channels_first, added.constant("scale", scale)])
    shifted = [scaled, added.constant("shift", shift)]
    if export.pixels_input.is_half:
        added.node("Cast", [added.node("Add", shifted)], name, to=TensorProto.FLOAT16)
    else:
        added.node("Add", shifted, name)
    batch = _take_input(model, name)
    pixels = helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, [batch, side, side, 3])
    model.graph.input.insert(0, pixels)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*added.nodes, *nodes])
    model.graph.initializer.extend(added.constants)
    _add_layer(model, export.features_output, layer.mean, layer.projection)
    _write(model, path)


def save_text_graph(export: ClipExport, layer: ClipHashLayer, path: Path) -> None:
    """Write the encoder of texts from token ids to y, (n, bits) float32.

    Raises:
        BadExport: The graph cannot be read, or is too large for one file.
    """
    model = _read(export.textual_path)
    _add_layer(model, export.text_output, layer.text_mean, layer.projection)
    _write(model, path)


class _Additions:
    """Nodes and constants to add to a graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(
        self, operator: str, inputs: Sequence[str], output: str | None = None, **attributes: object
    ) -> str:
        """Add a node and return the name of its output."""
        name = output or f"{_PREFIX}{operator}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, list(inputs), [name], name=f"{_PREFIX}{name}", **attributes)
        )
        return name

    def constant(self, name: str, values: NDArray[np.float32]) -> str:
        """Add a constant and return its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), _PREFIX + name))
        return _PREFIX + name


def _read(path: Path) -> onnx.ModelProto:
    try:
        # Weights in files of their own become part of the model.
        return onnx.load(path)
    except Exception as error:  # protobuf and onnx raise errors without a common class
        raise BadExport(f"{path} cannot be read: {error}; download it again") from error


def _rename(model: onnx.ModelProto, name: str, new: str) -> None:
    """Rename a tensor whose name an added one takes."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [new if one == name else one for one in names]
    for tensor in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        tensor.name = new if tensor.name == name else tensor.name


def _take_input(model: onnx.ModelProto, name: str) -> int | str:
    """Remove an input and return its first dimension."""
    graph = model.graph
    i = next(i for i, one in enumerate(graph.input) if one.name == name)
    first = graph.input[i].type.tensor_type.shape.dim[0]
    del graph.input[i]
    return first.dim_value if first.HasField("dim_value") else first.dim_param or "n"


def _add_layer(
    model: onnx.ModelProto, features: GraphEnd, mean: NDArray[np.float32], projection: NDArray[np.float32]
) -> None:
    """Replace the outputs of a graph by y: unit length, centring, projection."""
    added = _Additions()
    floats = added.node("Cast", [features.name], f"{_PREFIX}features", to=TensorProto.FLOAT)
    unit = added.node("LpNormalization", [floats], f"{_PREFIX}unit", axis=-1, p=2)
    centred = added.node("Sub", [unit, added.constant("mean", mean)], f"{_PREFIX}centred")
    added.node("MatMul", [centred, added.constant("projection", projection)], Y)
    graph = model.graph
    graph.node.extend(added.nodes)
    graph.initializer.extend(added.constants)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(Y, TensorProto.FLOAT, ["n", projection.shape[1]]))


def _write(model: onnx.ModelProto, path: Path) -> None:
    try:
        content = model.SerializeToString(deterministic=True)
    except Exception as error:  # protobuf raises EncodeError or ValueError above its limit
        raise BadExport("a graph of more than 2 GB does not fit into one file; use a smaller model") from error
    path.write_bytes(content)
