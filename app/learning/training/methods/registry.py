"""Hash methods by name."""

from types import MappingProxyType
from typing import Any, Final

from app.learning.training.methods.adversarial import AdversarialBits
from app.learning.training.methods.base import HashMethod
from app.learning.training.methods.cibhash import CibHash
from app.learning.training.methods.diffusion import DiffusionContrast
from app.learning.training.methods.diffusion_similarity import DiffusionSimilarity
from app.learning.training.methods.few_shot import FewShot
from app.learning.training.methods.itq import Itq
from app.learning.training.methods.neighbour_contrast import NeighbourContrast
from app.learning.training.methods.paper import PaperLayer
from app.learning.training.methods.pca_sign import PcaSign
from app.learning.training.methods.random_hyperplanes import RandomHyperplanes
from app.learning.training.methods.reconstruction import CodeReconstruction
from app.learning.training.methods.similarity import SimilarityRegression
from app.learning.training.methods.supervised import SemiSupervised, SupervisedContrast
from app.learning.training.methods.variational import VariationalBits

METHODS: Final = MappingProxyType(
    {
        method.name: method
        for method in (
            RandomHyperplanes,
            PcaSign,
            Itq,
            PaperLayer,
            CodeReconstruction,
            NeighbourContrast,
            DiffusionContrast,
            DiffusionSimilarity,
            CibHash,
            SimilarityRegression,
            SupervisedContrast,
            SemiSupervised,
            FewShot,
            VariationalBits,
            AdversarialBits,
        )
    }
)


def hash_method(name: str, **settings: Any) -> HashMethod:
    """Create a method by name, with settings that differ from its defaults.

    Raises:
        ValueError: There is no such method, or it has no such setting.
    """
    if name not in METHODS:
        raise ValueError(f"no hash method is called {name}; there are {', '.join(METHODS)}")
    method = METHODS[name]
    unknown = settings.keys() - method.__dataclass_fields__.keys()
    if unknown:
        raise ValueError(f"{name} has no setting {', '.join(sorted(unknown))}")
    return method(**settings)
