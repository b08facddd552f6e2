"""Read and check the folder of an exported pair of encoders, in the layout that Immich uses.

``visual/model.onnx`` and ``visual/preprocess_cfg.json``; ``textual/model.onnx``, ``textual/tokenizer.json`` and
``textual/tokenizer_config.json``; ``config.json``. Names, shapes and types are read from the graphs.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from app.encoding.encoder import LOAD_ERRORS, session_options
from app.encoding.manifest import TextTowerSpec
from app.encoding.preprocess import Fit, Preprocessing, Resample, prepare
from app.encoding.text_tower import TextTokenizer, graph_inputs

VISUAL: Final = "visual/model.onnx"
TEXTUAL: Final = "textual/model.onnx"
PREPROCESS: Final = "visual/preprocess_cfg.json"
TOKENIZER: Final = "textual/tokenizer.json"
TOKENIZER_CONFIG: Final = "textual/tokenizer_config.json"
CONFIG: Final = "config.json"

MIN_SIDE: Final = 8
MAX_SIDE: Final = 1024
MAX_CONTEXT: Final = 4096

_FITS: Final = {"shortest": Fit.CROP, "squash": Fit.SQUASH, "longest": Fit.LETTERBOX}
_IDS: Final = ("text", "input_ids")
_MASK: Final = "attention_mask"
T = TypeVar("T")

_EXAMPLE: Final = (
    '{"size": 224, "mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711], '
    '"interpolation": "bicubic", "resize_mode": "shortest"}'
)


class BadExport(ValueError):
    """A folder is not an export that can be used; the message says why and how to fix it."""


@dataclass(frozen=True, slots=True)
class GraphEnd:
    """The input or the output of a graph that a model uses."""

    name: str
    dtype: str
    """As ONNX Runtime names it, such as ``tensor(float)``."""

    @property
    def is_half(self) -> bool:
        """Whether it is in half precision."""
        return self.dtype == "tensor(float16)"


class ClipExport:
    """A checked pair of encoders, ready to run."""

    def __init__(self, folder: Path) -> None:
        """Read the files, load both graphs, and run each once.

        Raises:
            BadExport: Something is missing, damaged or not supported.
            TokenizersMissing: The package ``tokenizers`` is not installed.
        """
        self.folder = _checked_folder(folder)
        config = _read_json(self.folder / CONFIG, is_required=False)
        self._visual = _open_graph(self.folder / VISUAL)
        self._textual = _open_graph(self.folder / TEXTUAL)
        self.pixels_input, side = _pixels_input(self._visual)
        self.preprocessing, self.mean, self.std = _preprocessing(self.folder, config, side)
        self.tower = _tower(self.folder, config, self._textual)
        self.features_output = _features_output(self._visual, VISUAL)
        self.text_output = _features_output(self._textual, TEXTUAL)
        try:
            self._tokenizer = TextTokenizer((self.folder / TOKENIZER).read_bytes(), self.tower)
        except ValueError as error:
            raise BadExport(f"{TOKENIZER}: {error}; download it again") from error
        self.dim = self._check_towers()

    @property
    def visual_path(self) -> Path:
        """Path of the graph of the encoder of pictures."""
        return self.folder / VISUAL

    @property
    def textual_path(self) -> Path:
        """Path of the graph of the encoder of texts."""
        return self.folder / TEXTUAL

    @property
    def tokenizer_path(self) -> Path:
        """Path of tokenizer.json."""
        return self.folder / TOKENIZER

    def picture_features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of a decoded picture, (H, W, 3) uint8, of unit length, shape (d,).

        Raises:
            BadExport: The graph fails, or returns no finite features.
        """
        prepared = prepare(pixels, self.preprocessing).astype(np.float32) / 255
        normalised = ((prepared - self.mean) / self.std).transpose(2, 0, 1)[np.newaxis]
        half = self.pixels_input.is_half
        inputs = {self.pixels_input.name: normalised.astype(np.float16 if half else np.float32)}
        return _run(self._visual, VISUAL, self.features_output, inputs)

    def text_features(self, text: str) -> NDArray[np.float32]:
        """Return the features of a text, of unit length, shape (d,).

        Raises:
            BadExport: The graph fails, or returns no finite features.
        """
        inputs = graph_inputs(self._tokenizer.tokenize(text), self.tower)
        return _run(self._textual, TEXTUAL, self.text_output, inputs)

    def _check_towers(self) -> int:
        grey = np.full((32, 32, 3), 127, np.uint8)
        found = [len(self.picture_features(grey)), len(self.text_features("a picture"))]
        if found[0] != found[1]:
            raise BadExport(
                f"{VISUAL} returns {found[0]} features and {TEXTUAL} {found[1]}: they are of two models; "
                "download both of one"
            )
        return found[0]


def _run(
    session: ort.InferenceSession, path: str, output: GraphEnd, inputs: Mapping[str, NDArray[np.generic]]
) -> NDArray[np.float32]:
    """Run a graph for one picture or text, and return its features of unit length."""
    try:
        features = _unit(session.run([output.name], inputs)[0][0])
    except (*LOAD_ERRORS, IndexError, ValueError) as error:
        remedy = (
            "export it again, with the tokenizer of the same model" if path == TEXTUAL else "export it again"
        )
        raise BadExport(f"{path} cannot be run: {_first_line(error)}; {remedy}") from error
    if features.ndim != 1 or not np.isfinite(features).all():
        raise BadExport(f"{path} does not return finite features of shape (n, d); export it again")
    return features


def _checked_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise BadExport(f"there is no folder {folder}")
    missing = [name for name in (VISUAL, TEXTUAL, TOKENIZER) if not (folder / name).is_file()]
    if missing:
        raise BadExport(
            f"{folder} lacks {' and '.join(missing)}; it needs the layout of Immich's exports: {VISUAL}, "
            f"{PREPROCESS}, {TEXTUAL}, {TOKENIZER}, {TOKENIZER_CONFIG}, {CONFIG}"
        )
    return folder


def _read_json(path: Path, *, is_required: bool = True) -> dict[str, Any]:
    name = "/".join(path.parts[-2:]) if path.name != CONFIG else path.name
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        if not is_required:
            return {}
        raise BadExport(f"{name} is missing; download it with the graphs") from None
    except (OSError, ValueError) as error:
        raise BadExport(f"{name} cannot be read: {error}; download it again") from error
    if not isinstance(document, dict):
        raise BadExport(f"{name} is not a JSON object; download it again")
    return document


def _section(document: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the first of several nested objects of a configuration; an empty one without any."""
    for name in names:
        found: Any = document
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if isinstance(found, dict):
            return found
    return {}


def _open_graph(path: Path) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(str(path), session_options(0), providers=["CPUExecutionProvider"])
    except LOAD_ERRORS as error:
        name = "/".join(path.parts[-2:])
        raise BadExport(f"{name} cannot be loaded: {_first_line(error)}; download it again") from error


def _pixels_input(session: ort.InferenceSession) -> tuple[GraphEnd, int | None]:
    """Return the input of pictures, and the side of a picture if the graph fixes it."""
    inputs = session.get_inputs()
    described = "; ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
    if (
        len(inputs) != 1
        or inputs[0].type not in {"tensor(float)", "tensor(float16)"}
        or len(inputs[0].shape) != 4
    ):
        raise BadExport(f"{VISUAL} takes {described}; it must take one input of pictures, (n, 3, S, S) float")
    _, channels, *sides = inputs[0].shape
    if isinstance(channels, int) and channels != 3:
        raise BadExport(f"{VISUAL} takes {described}; export it with channels first, (n, 3, S, S)")
    fixed = {side for side in sides if isinstance(side, int)}
    if len(fixed) > 1:
        raise BadExport(f"{VISUAL} takes {described}; only square pictures are supported")
    return GraphEnd(inputs[0].name, inputs[0].type), next(iter(fixed), None)


def _features_output(session: ort.InferenceSession, path: str) -> GraphEnd:
    """Return the first output of shape (n, d)."""
    outputs = session.get_outputs()
    for output in outputs:
        if output.type in {"tensor(float)", "tensor(float16)"} and len(output.shape) == 2:
            return GraphEnd(output.name, output.type)
    described = "; ".join(f"{one.name} {one.type} {one.shape}" for one in outputs)
    raise BadExport(f"{path} returns {described}; it must return features, (n, d) float")


def _preprocessing(
    folder: Path, config: dict[str, Any], graph_side: int | None
) -> tuple[Preprocessing, NDArray[np.float32], NDArray[np.float32]]:
    source = PREPROCESS
    found = _read_json(folder / PREPROCESS, is_required=False)
    if not found:
        found, source = _section(config, "preprocess_cfg"), CONFIG
    if "mean" not in found or "std" not in found:
        raise BadExport(
            f"{PREPROCESS} is missing or has no mean and std: write it with the values of the model's page, "
            f"for example {_EXAMPLE}"
        )
    size = found.get("size", _section(config, "vision_cfg").get("image_size", graph_side))
    sides = size if isinstance(size, list) else [size]
    side = sides[0] if sides else None
    if any(one != side for one in sides) or type(side) is not int or not MIN_SIDE <= side <= MAX_SIDE:
        raise BadExport(f"{source}: size must be the side of a square, {MIN_SIDE} to {MAX_SIDE}, not {size!r}")
    if graph_side is not None and side != graph_side:
        raise BadExport(f"{source}: size is {side}, but {VISUAL} takes pictures of {graph_side}; correct size")
    fit = _choice(found, "resize_mode", "shortest", _FITS, source)
    filters = {one.value: one for one in Resample}
    resample = _choice(found, "interpolation", "bicubic", filters, source)
    if found.get("mode", "RGB") != "RGB":
        raise BadExport(f"{source}: mode must be RGB, not {found['mode']!r}")
    how = Preprocessing(side, fit, resample, _fill(found.get("fill_color", 0), source))
    mean, std = (_three_numbers(found, name, source) for name in ("mean", "std"))
    if not (std > 0).all():
        raise BadExport(f"{source}: std must be positive")
    return how, mean, std


def _choice(found: dict[str, Any], name: str, default: str, choices: Mapping[str, T], source: str) -> T:
    value = found.get(name, default)
    if not isinstance(value, str) or value not in choices:
        raise BadExport(f"{source}: {name} must be {' or '.join(choices)}, not {value!r}")
    return choices[value]


def _fill(colour: Any, source: str) -> int:
    levels = colour if isinstance(colour, list) else [colour]
    if not levels or any(type(one) is not int or one != levels[0] or not 0 <= one <= 255 for one in levels):
        raise BadExport(f"{source}: fill_color must be a grey level, 0 to 255, not {colour!r}")
    return int(levels[0])


def _three_numbers(found: dict[str, Any], name: str, source: str) -> NDArray[np.float32]:
    values = found[name]
    is_valid = isinstance(values, list) and len(values) == 3
    if not is_valid or not all(type(one) in {int, float} and math.isfinite(one) for one in values):
        raise BadExport(f"{source}: {name} must be three numbers, not {values!r}")
    return np.array(values, np.float32)


def _tower(folder: Path, config: dict[str, Any], session: ort.InferenceSession) -> TextTowerSpec:
    text_config = _section(config, "text_cfg", "model_cfg.text_cfg")
    if "nllb" in str(text_config.get("hf_tokenizer_name", "")).lower():
        raise BadExport(
            "texts of NLLB models need the code of their language in front, which is not supported; for many "
            "languages, use a model with XLM-RoBERTa"
        )
    inputs = {one.name: one for one in session.get_inputs()}
    described = "; ".join(f"{one.name} {one.type} {one.shape}" for one in inputs.values())
    ids = next((name for name in (*_IDS, *(inputs if len(inputs) == 1 else ())) if name in inputs), None)
    types = {one.type for one in inputs.values()}
    is_supported = types in ({"tensor(int32)"}, {"tensor(int64)"}) and set(inputs) <= {ids, _MASK}
    if ids is None or not is_supported or any(len(one.shape) != 2 for one in inputs.values()):
        raise BadExport(
            f"{TEXTUAL} takes {described}; it must take token ids, (n, length) int32 or int64, named "
            f"{' or '.join(_IDS)}, and {_MASK} at most beside them"
        )
    length = inputs[ids].shape[1]
    fixed = length if isinstance(length, int) else None
    context = text_config.get("context_length", fixed)
    if type(context) is not int or not 2 <= context <= MAX_CONTEXT:
        raise BadExport(
            f"{CONFIG} must have the number of tokens of a text, "
            f'for example {{"text_cfg": {{"context_length": 77}}}}, not {context!r}'
        )
    if fixed is not None and fixed != context:
        raise BadExport(
            f"{CONFIG}: context_length is {context}, but {TEXTUAL} takes {fixed} tokens; correct it"
        )
    tokens = _read_json(folder / TOKENIZER_CONFIG)
    pad = _token(tokens.get("pad_token"))
    if pad is None:
        raise BadExport(
            f'{TOKENIZER_CONFIG} has no pad_token; add it, for example "pad_token": "<|endoftext|>"'
        )
    return TextTowerSpec(
        context_length=context,
        pad_token=pad,
        ids_input=ids,
        mask_input=_MASK if _MASK in inputs and ids != _MASK else None,
        dtype="int32" if types == {"tensor(int32)"} else "int64",
        is_canonical=_section(text_config, "tokenizer_kwargs").get("clean") == "canonicalize",
        unknown_token=_token(tokens.get("unk_token")),
    )


def _token(value: Any) -> str | None:
    """Return a token of tokenizer_config.json, which older files write as an object."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) and value else None


def _unit(features: NDArray[np.generic]) -> NDArray[np.float32]:
    wide = features.astype(np.float64)
    return (wide / max(float(np.linalg.norm(wide)), 1e-12)).astype(np.float32)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
