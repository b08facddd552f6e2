"""Encode texts by the text tower of an artifact, with ONNX Runtime and the package ``tokenizers``.

``tokenizers`` is in the extra ``clip``; the serving set does without it.
"""

import re
import string
import unicodedata
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from app.domain.errors import ArtifactRefused
from app.encoding.artifact import TEXT_GRAPH, TOKENIZER, Artifact, read_verified
from app.encoding.encoder import LOAD_ERRORS, session_options
from app.encoding.manifest import TextTowerSpec

if TYPE_CHECKING:
    from tokenizers import Tokenizer

EXTRA: Final = "lookalike[clip]"
TOKENIZERS: Final = "tokenizers"
MAX_CHARACTERS: Final = 10_000
"""Characters of a text that are read; the context of every tower is much shorter."""


class TokenizersMissing(Exception):
    """The package ``tokenizers`` is not installed."""


def has_tokenizers() -> bool:
    """Return whether the package that text towers need is installed, without importing it."""
    return find_spec(TOKENIZERS) is not None


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A text as the inputs of a tower's graph."""

    ids: NDArray[np.int64]
    """Shape (context_length,)."""
    mask: NDArray[np.int64]
    """1 for tokens and 0 for padding, shape (context_length,)."""
    is_known: bool
    """Whether the tokenizer knows any part of the text."""
    ignored: str
    """The end of the text that does not fit into the context."""


class TextTokenizer:
    """Turns texts into token ids as a tower expects them."""

    def __init__(self, content: bytes, spec: TextTowerSpec) -> None:
        """Parse tokenizer.json.

        Raises:
            TokenizersMissing: The package is not installed.
            ValueError: The file is damaged, or does not contain the tokens that ``spec`` names.
        """
        self._spec = spec
        self._tokenizer = _parsed(content)
        pad_id = self._tokenizer.token_to_id(spec.pad_token)
        if pad_id is None:
            raise ValueError(f"tokenizer.json has no token {spec.pad_token!r} to pad with")
        self._tokenizer.enable_truncation(max_length=spec.context_length)
        self._tokenizer.enable_padding(length=spec.context_length, pad_id=pad_id, pad_token=spec.pad_token)
        # A text that contains "</s>" must not end there.
        self._tokenizer.encode_special_tokens = True
        unknown = spec.unknown_token
        self._unknown_id = None if unknown is None else self._tokenizer.token_to_id(unknown)

    def tokenize(self, text: str) -> TokenizedText:
        """Return the token ids of a text, cut off or padded to the context's length."""
        plain = " ".join(text[:MAX_CHARACTERS].split())
        if self._spec.is_canonical:
            plain = canonical(plain)
        tokens = self._tokenizer.encode(plain)
        ids, mask = (np.array(row, np.int64) for row in (tokens.ids, tokens.attention_mask))
        of_text = np.array(tokens.special_tokens_mask, np.int64) == 0
        if self._unknown_id is not None:
            of_text &= ids != self._unknown_id
        ignored = ""
        if tokens.overflowing:
            pairs = zip(tokens.offsets, tokens.special_tokens_mask, strict=True)
            ends = [end for (_, end), is_special in pairs if not is_special]
            ignored = plain[max(ends, default=0) :].strip()
        return TokenizedText(ids, mask, bool(of_text.any()), ignored)


def canonical(text: str) -> str:
    """Return a text in lower case and without punctuation, as towers trained on canonical texts expect."""
    kept = "".join(c for c in text.replace("_", " ") if not _is_punctuation(c))
    return re.sub(r"\s+", " ", kept).strip().lower()


def _is_punctuation(character: str) -> bool:
    # Unicode counts some of ASCII's punctuation, such as "+" and "$", as symbols.
    return character in string.punctuation or unicodedata.category(character).startswith("P")


@dataclass(frozen=True, slots=True)
class EncodedText:
    """A text as weights of the bits."""

    weights: NDArray[np.float32]
    """How much each bit speaks for the text, shape (bits,)."""
    ignored: str
    """The end of the text that had no influence, because it does not fit into the context."""
    is_known: bool
    """Whether the tokenizer knows any part of the text; otherwise the weights mean nothing."""


class TextTower:
    """Runs an artifact's encoder of texts on the CPU; safe to call from several threads."""

    def __init__(self, artifact: Artifact, *, threads: int = 1) -> None:
        """Load graph and tokenizer, and encode a text.

        Args:
            artifact: An artifact with a text tower.
            threads: Number of threads for a text.

        Raises:
            TokenizersMissing: The package is not installed.
            ArtifactRefused: A file is damaged, or is not what the manifest describes.
        """
        spec = artifact.manifest.text_tower
        if spec is None:
            raise ArtifactRefused(f"artifact {artifact.name} has no text tower")
        self._spec, self._bits, self._name = spec, artifact.bits, artifact.name
        try:
            self._tokenizer = TextTokenizer(read_verified(artifact, TOKENIZER), spec)
        except ValueError as error:
            raise ArtifactRefused(f"artifact {artifact.name}: {error}") from error
        graph = read_verified(artifact, TEXT_GRAPH)
        try:
            self._session = ort.InferenceSession(
                graph, session_options(threads), providers=["CPUExecutionProvider"]
            )
        except LOAD_ERRORS as error:
            raise ArtifactRefused(f"artifact {artifact.name}: the text tower cannot be loaded") from error
        self.encode("a picture")

    def encode(self, text: str) -> EncodedText:
        """Return how strongly each bit supports a text.

        Raises:
            ArtifactRefused: The graph fails, or returns something other than the weights of the bits.
        """
        tokens = self._tokenizer.tokenize(text)
        try:
            outputs = self._session.run(None, graph_inputs(tokens, self._spec))
        except (*LOAD_ERRORS, ValueError) as error:
            detail = f"artifact {self._name}: the text tower fails on {text!r}; make the model again"
            raise ArtifactRefused(detail) from error
        y: NDArray[np.float32] = outputs[0]
        if y.shape != (1, self._bits) or y.dtype != np.float32 or not np.isfinite(y).all():
            raise ArtifactRefused(
                f"artifact {self._name}: for {text!r} the text tower returns {y.shape} {y.dtype}, not "
                f"(1, {self._bits}) finite float32; make the model again"
            )
        return EncodedText(y[0], tokens.ignored, tokens.is_known)


def graph_inputs(tokens: TokenizedText, spec: TextTowerSpec) -> dict[str, NDArray[np.generic]]:
    """Return the inputs of a tower's graph for one text, each of shape (1, context_length)."""
    inputs: dict[str, NDArray[np.generic]] = {spec.ids_input: tokens.ids[np.newaxis].astype(spec.dtype)}
    if spec.mask_input is not None:
        inputs[spec.mask_input] = tokens.mask[np.newaxis].astype(spec.dtype)
    return inputs


def _parsed(content: bytes) -> "Tokenizer":
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - in an extra
    except ImportError as error:
        raise TokenizersMissing from error
    try:
        return Tokenizer.from_buffer(content)
    except Exception as error:
        raise ValueError(f"tokenizer.json cannot be read: {error}") from error
