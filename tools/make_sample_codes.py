"""Write what the default model gives for each shipped sample, ``app/samples/codes.json``.

Run ``python tools/make_sample_codes.py`` in the repository after a change of the samples or of the model.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from app.domain.codes import codes_to_bytes, pack_signs
from app.domain.ids import sha256_hex
from app.encoding.artifact import load_artifact
from app.encoding.colours import colour_signature
from app.encoding.encoder import OnnxEncoder
from app.encoding.perceptual import perceptual_hash
from app.images.decoding import decode_in_process
from app.images.sniff import Limits
from app.samples import CODES, samples
from app.settings import Settings

LIMITS: Final = Limits()


def main() -> None:
    """Encode every sample and write the codes."""
    settings = Settings()
    encoder = OnnxEncoder(
        load_artifact(settings.models.artifacts_dir / settings.models.default_model), threads=1
    )
    entries = (f"{json.dumps(sha256)}: {json.dumps(entry)}" for sha256, entry in sample_entries(encoder))
    CODES.write_text(
        f'{{"model": {json.dumps(encoder.name)}, "digest": {json.dumps(encoder.digest)}, "pictures": {{\n'
        + ",\n".join(entries)
        + "\n}}\n"
    )


def sample_entries(encoder: OnnxEncoder) -> list[tuple[str, dict[str, Any]]]:
    """SHA-256 of each sample, with its size and what the encoder gives."""
    entries = []
    for sample in samples():
        content = sample.read()
        picture = decode_in_process(content, LIMITS)
        output = encoder.encode(encoder.prepare(picture.pixels)[np.newaxis])
        [code] = codes_to_bytes(pack_signs(output.y), encoder.bits)
        perceptual = None if picture.is_blank else perceptual_hash(picture.pixels)
        entry = {
            "width": picture.width,
            "height": picture.height,
            "is_blank": picture.is_blank,
            "code": base64.b64encode(code).decode(),
            "descriptor": None
            if output.descriptor is None
            else base64.b64encode(output.descriptor[0].tobytes()).decode(),
            "hash": None if perceptual is None else base64.b64encode(perceptual.code_bytes).decode(),
            "colours": base64.b64encode(colour_signature(picture.pixels)).decode(),
        }
        entries.append((sha256_hex(content), entry))
    return entries


if __name__ == "__main__":
    main()
