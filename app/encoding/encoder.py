"""The encoder interface, and its implementation with ONNX Runtime."""

import hashlib
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from app.domain.errors import ArtifactRefused
from app.encoding.artifact import Artifact
from app.encoding.preprocess import prepare

# ONNX Runtime's exceptions have no common base class but Exception; these are the ones a bad file can raise.
LOAD_ERRORS: Final = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


@dataclass(frozen=True, slots=True)
class EncoderOutput:
    """Encoder output for n pictures."""

    y: NDArray[np.float32]
    """Real-valued hash-layer outputs, shape (n, bits); the code is their sign."""
    descriptor: NDArray[np.int8] | None
    """Shape (n, m), int8, compared by cosine; None if the model has no descriptor."""


class Encoder(Protocol):
    """Encodes decoded pictures; safe to call from several threads."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def digest(self) -> str:
        """The model's identity; codes of equal digests may be compared."""

    @property
    def bits(self) -> int:
        """Code length."""

    @property
    def input_size(self) -> int:
        """Side S of a prepared picture, in pixels."""

    @property
    def descriptor_dim(self) -> int | None:
        """Length m of a descriptor in bytes, or None."""

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Scale one decoded, upright RGB picture, (H, W, 3) uint8, to (S, S, 3) uint8."""

    def encode(self, batch: NDArray[np.uint8]) -> EncoderOutput:
        """Encode prepared pictures, (n, S, S, 3) uint8. A picture's y does not depend on its batch."""


class OnnxEncoder:
    """Runs an artifact's encoder with ONNX Runtime on the CPU."""

    def __init__(self, artifact: Artifact, *, threads: int = 1) -> None:
        """Load the graph, check its inputs and outputs, and encode the canary.

        Args:
            artifact: A verified artifact.
            threads: Number of threads per picture.

        Raises:
            ArtifactRefused: The graph is damaged or not the one in the manifest, or the canary's bits differ
                beyond the margin.
        """
        self._artifact = artifact
        self._descriptor = artifact.manifest.descriptor
        self._session = _load_session(artifact, threads)
        self._outputs = [artifact.manifest.y_output]
        if self._descriptor is not None:
            self._outputs.append(self._descriptor.output)
        self._check_graph()
        self._check_canary()

    @property
    def name(self) -> str:
        """The model's name."""
        return self._artifact.name

    @property
    def digest(self) -> str:
        """The model's identity; codes of equal digests may be compared."""
        return self._artifact.digest

    @property
    def bits(self) -> int:
        """Code length."""
        return self._artifact.bits

    @property
    def input_size(self) -> int:
        """Side S of a prepared picture, in pixels."""
        return self._artifact.preprocessing.input_size

    @property
    def descriptor_dim(self) -> int | None:
        """Length m of a descriptor in bytes, or None."""
        return None if self._descriptor is None else self._descriptor.dim

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Scale one decoded, upright RGB picture, (H, W, 3) uint8, to (S, S, 3) uint8."""
        return prepare(pixels, self._artifact.preprocessing)

    def encode(self, batch: NDArray[np.uint8]) -> EncoderOutput:
        """Encode prepared pictures one by one.

        The order of sums in matrix kernels depends on the batch, so a batched run could flip bits whose y is
        almost zero, and a picture would not always be at distance 0 from itself. On one core a batch is no
        faster than a loop.

        Args:
            batch: Shape (n, S, S, 3), uint8.

        Returns:
            y, shape (n, bits) float32, and the descriptors, (n, m) int8, if the model has any.

        Raises:
            ValueError: ``batch`` has a wrong shape or dtype.
        """
        side = self.input_size
        if batch.dtype != np.uint8 or batch.shape[1:] != (side, side, 3):
            raise ValueError(f"a batch is (n, {side}, {side}, 3) uint8; got {batch.shape} {batch.dtype}")
        y = np.empty((len(batch), self.bits), np.float32)
        descriptor = None if self._descriptor is None else np.empty((len(batch), self._descriptor.dim), np.int8)
        for i in range(len(batch)):
            outputs = self._session.run(self._outputs, {self._input: batch[i : i + 1]})
            y[i] = outputs[0][0]
            if descriptor is not None:
                descriptor[i] = outputs[1][0]
        return EncoderOutput(y, descriptor)

    def _check_graph(self) -> None:
        manifest, side = self._artifact.manifest, self.input_size
        inputs = self._session.get_inputs()
        outputs = {output.name: (output.type, output.shape[1:]) for output in self._session.get_outputs()}
        expected = {manifest.y_output: ("tensor(float)", [self.bits])}
        if self._descriptor is not None:
            expected[self._descriptor.output] = ("tensor(int8)", [self._descriptor.dim])
        takes = [(entry.type, entry.shape[1:]) for entry in inputs]
        if takes != [("tensor(uint8)", [side, side, 3])] or not expected.items() <= outputs.items():
            raise ArtifactRefused(
                f"artifact {self.name}: the graph does not have the manifest's inputs and outputs"
            )
        self._input: str = inputs[0].name

    def _check_canary(self) -> None:
        canary = self._artifact.canary
        try:
            y = self.encode(self.prepare(canary.pixels)[np.newaxis]).y[0]
        except LOAD_ERRORS as error:
            raise ArtifactRefused(f"artifact {self.name}: the encoder fails on the canary") from error
        decided = np.abs(canary.y) > canary.margin
        differing = int(np.count_nonzero((y >= 0)[decided] != (canary.y >= 0)[decided]))
        if differing or np.isnan(y).any():
            raise ArtifactRefused(
                f"artifact {self.name}: {differing} of the canary's {int(decided.sum())} certain bits differ"
            )


def _load_session(artifact: Artifact, threads: int) -> ort.InferenceSession:
    # Load the very bytes that were checked: the file could change between two reads.
    try:
        graph = artifact.encoder_path.read_bytes()
    except OSError as error:
        raise ArtifactRefused(f"artifact {artifact.name}: the encoder cannot be read") from error
    if hashlib.sha256(graph).hexdigest() != artifact.manifest.files[artifact.manifest.encoder]:
        raise ArtifactRefused(f"artifact {artifact.name}: the encoder is not the file named in model.json")
    try:
        return ort.InferenceSession(graph, session_options(threads), providers=["CPUExecutionProvider"])
    except LOAD_ERRORS as error:
        raise ArtifactRefused(f"artifact {artifact.name}: the encoder cannot be loaded") from error


def session_options(threads: int) -> ort.SessionOptions:
    """Return options for running a graph with this number of threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning pool would occupy the core that decodes the next picture.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options
