"""model.json: the description of an artifact, and the two digests that protect it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)

from app.domain.codes import check_bits
from app.domain.errors import InvalidId
from app.domain.ids import parse_name
from app.encoding.preprocess import Fit, Preprocessing, Resample

FORMAT: Final = 1
ENCODER: Final = "encoder.onnx"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PreprocessingSpec(_Strict):
    """Preprocessing in model.json; see ``Preprocessing``."""

    input_size: int = Field(ge=8, le=1024)
    fit: str
    resample: str
    fill: int = Field(ge=0, le=255)

    @field_validator("fit")
    @classmethod
    def _known_fit(cls, value: str) -> str:
        return Fit(value).value

    @field_validator("resample")
    @classmethod
    def _known_resample(cls, value: str) -> str:
        return Resample(value).value

    @classmethod
    def of(cls, how: Preprocessing) -> Self:
        """Convert from ``Preprocessing``."""
        return cls(**{key: getattr(value, "value", value) for key, value in asdict(how).items()})

    def preprocessing(self) -> Preprocessing:
        """Convert to ``Preprocessing``."""
        return Preprocessing(self.input_size, Fit(self.fit), Resample(self.resample), self.fill)


class DescriptorSpec(_Strict):
    """The optional second output, used to re-rank candidates."""

    output: str = "descriptor"
    """Name of the graph output."""
    dim: int = Field(ge=1, le=4096)
    dtype: str = Field(default="int8", pattern="^int8$")
    scale: float = Field(gt=0)
    """A float descriptor is about ``int8 / scale``; similarity is the cosine, so ranking needs no scale."""


class TextTowerSpec(_Strict):
    """The optional encoder of texts: its tokenizer, and the inputs of its graph."""

    context_length: int = Field(ge=2, le=4096)
    """Tokens of a text, with those for its start and end; longer texts are cut off."""
    pad_token: str
    """Fills up shorter texts."""
    ids_input: str
    """Name of the graph's input of token ids, (1, context_length)."""
    mask_input: str | None = None
    """Name of the input that marks tokens (1) and padding (0); None if the graph has none."""
    dtype: str = Field(pattern="^int(32|64)$")
    """Of both inputs."""
    is_canonical: bool = False
    """Whether texts are in lower case and without punctuation."""
    unknown_token: str | None = None
    """Stands for characters that the tokenizer does not know; None if it knows all."""


class PretrainedSpec(_Strict):
    """Origin of encoder weights that were not trained here."""

    package: str
    version: str
    file: str
    sha256: str
    licence: str
    trained_on: str
    source: str


class ArtifactManifest(_Strict):
    """The contents of model.json."""

    format: int = Field(ge=FORMAT, le=FORMAT)
    name: str
    bits: int
    summary: str
    preprocessing: PreprocessingSpec
    encoder: str = ENCODER
    """``encoder.onnx``, or ``../<sibling>/encoder.onnx``."""
    y_output: str = "y"
    """Name of the graph output that holds y."""
    descriptor: DescriptorSpec | None = None
    text_tower: TextTowerSpec | None = None
    """The encoder of texts that belongs to the encoder of pictures, if there is one."""
    canary_margin: float = Field(ge=0, default=0.0)
    """Bits of the canary with a greater \\|y\\| than this must agree on every machine."""
    files: dict[str, str] = {}
    """SHA-256 of every file, including a shared encoder, by name relative to the folder."""
    licence: str
    pretrained: list[PretrainedSpec] = []
    training: dict[str, Any]
    """Method, data, seed and settings: everything needed to rebuild the model."""
    metrics: list[dict[str, Any]]
    """Figures, each with the protocol by which it was measured."""
    calibration: dict[str, Any]
    """Quantiles of the distances between edited copies, within a kind, and between unrelated pictures."""
    digest: str = ""
    """Identity of the model: SHA-256 over everything that determines a picture's code."""
    checksum: str = ""
    """SHA-256 over the whole manifest except this field."""

    @field_validator("name")
    @classmethod
    def _valid_name(cls, value: str) -> str:
        try:
            return parse_name(value)
        except InvalidId as error:
            raise ValueError(error.detail) from error

    @field_validator("bits")
    @classmethod
    def _valid_bits(cls, value: int) -> int:
        return check_bits(value)

    @model_serializer(mode="wrap")
    def _without_absent_tower(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out ``text_tower`` where there is none: checksums of older artifacts stay valid."""
        document: dict[str, Any] = handler(self)
        if document.get("text_tower") is None:
            document.pop("text_tower", None)
        return document

    def sealed(self) -> Self:
        """Return the manifest with digest and checksum filled in."""
        identity = {
            "bits": self.bits,
            "preprocessing": self.preprocessing.model_dump(),
            "encoder": self.files[self.encoder],
            "y_output": self.y_output,
            "descriptor": self.descriptor.model_dump() if self.descriptor else None,
        }
        named = self.model_copy(update={"digest": _sha256_of(identity)})
        return named.model_copy(update={"checksum": _sha256_of(named.model_dump(exclude={"checksum"}))})

    def text(self) -> str:
        """The canonical JSON form."""
        return json.dumps(self.model_dump(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _sha256_of(document: Mapping[str, Any]) -> str:
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
