"""The name under which perceptual hashes are stored, loaded and searched like the codes of a model."""

from typing import Final

HASH_BITS: Final = 256
PERCEPTUAL_MODEL: Final = "perceptual:pdq"
"""Takes the place of a model's name in stored codes; names of models contain no colon."""
PERCEPTUAL_DIGEST: Final = "pdq256-1"
"""Identity of the hashes, like a model's: hashes of equal identity can be compared."""
NO_HASH: Final = "too_little_detail"
"""Why a picture has no hash, in place of the reason why encoding it failed."""
