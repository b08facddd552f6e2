"""Table I: retrieval on the training collection, by code length."""

from app.learning.nn.autoencoder import LossReading
from app.learning.research import claims
from app.learning.research.autoencoder import autoencoder_cell
from app.learning.research.prepared import float_cell, method_cell
from app.learning.research.settings import PaperSettings
from app.learning.research.table import ReportRow, ReportTable, figures_of, mean_figures
from app.learning.research.workspace import Workspace
from app.learning.training.methods.diffusion import DiffusionContrast
from app.learning.training.methods.diffusion_similarity import DiffusionSimilarity
from app.learning.training.methods.itq import Itq
from app.learning.training.methods.neighbour_contrast import NeighbourContrast

READINGS = (LossReading.ALGORITHM_2, LossReading.ALGORITHM_1, LossReading.FROM_CODES)

WORDS = (
    "The paper's Algorithm 2 ends with one code for all pictures: W and b hear only the quantisation term, "
    "which asks that y be ±1 and not that pictures differ, so every picture may as well get the same code, "
    "and does. Its mAP is then the share of relevant pictures. Seeing the codes through the decoder keeps "
    "them alive but near what raw pixels find: rebuilding pixels does not teach kinds. Features that were "
    "taught kinds on other pictures do, and a hash layer that draws near neighbours together finds more than "
    "the features themselves. Where kinds are large and lie in one another's way, positives drawn along chains "
    "of near neighbours (diffusion contrast) find more still, and most is found by codes that keep how alike "
    "pictures are along such chains (diffusion similarity)."
)


def retrieval_table(workspace: Workspace, settings: PaperSettings) -> ReportTable:
    """Every reading of the paper's loss, and methods on pretrained features, at each code length."""
    rows, cells = [], []
    for collection in settings.collections:
        found = float_cell(workspace, collection, settings)
        rows.append(
            ReportRow(f"{collection}: {settings.encoder}, float cosine", (None, *figures_of(found["features"])))
        )
        for bits in settings.bits:
            claim = claims.TABLE_1.get((collection, bits))
            if claim:
                rows.append(ReportRow(f"{collection}: the paper's claim", (bits, *claim), claim=True))
            for reading in READINGS if claim else ():
                runs = [
                    autoencoder_cell(workspace, collection, reading, bits, settings, s) for s in settings.seeds
                ]
                cells += runs
                figures = mean_figures([run["codes"] for run in runs])
                rows.append(ReportRow(f"{collection}: autoencoder, {reading.value}", (bits, *figures)))
            for method in (Itq(), NeighbourContrast(), DiffusionContrast(), DiffusionSimilarity()):
                fits = [method_cell(workspace, collection, method, bits, settings, s) for s in settings.seeds]
                cells += fits
                figures = mean_figures([fit["codes"] for fit in fits])
                rows.append(ReportRow(f"{collection}: {settings.encoder} + {method.name}", (bits, *figures)))
    return ReportTable("Table I: retrieval", ("", "bits", "mAP", "P@100"), tuple(rows), WORDS, tuple(cells))
