"""Losses of hash layers on one batch; u, y and codes are (n, bits), features are (n, d)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


def quantisation(y: Tensor, code: Tensor) -> Tensor:
    """Mean over all bits of the squared distance of y from its code, which is held constant."""
    return (y - code.detach()).pow(2).mean()


def mean_squared_norm(errors: Tensor) -> Tensor:
    """Sum of squares of each row, (n, …), averaged over the rows: the paper's ‖·‖²."""
    return errors.float().pow(2).flatten(1).sum(dim=1).mean()


def balance(y: Tensor) -> Tensor:
    """Mean over bits of the squared mean of y: 0 if every bit is set in half of the batch."""
    return y.mean(dim=0).pow(2).mean()


def decorrelation(y: Tensor) -> Tensor:
    """Squared distance of the bits' second moments from the identity, per bit.

    Source: Liong et al., Deep Hashing, CVPR 2015.
    """
    moments = y.T @ y / len(y)  # (bits, bits)
    return (moments - torch.eye(y.shape[1], device=y.device)).pow(2).sum() / y.shape[1]


def cosine_reconstruction(features: Tensor, rebuilt: Tensor) -> Tensor:
    """Mean of 1 − cosine between features and their reconstruction from the code."""
    return (1 - F.cosine_similarity(rebuilt, features)).mean()


def info_nce(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Contrast each row of ``a`` with its partner in ``b`` against all other rows of both, and the reverse.

    Source: NT-Xent of Chen, Kornblith, Norouzi, Hinton (SimCLR, https://arxiv.org/abs/2002.05709).
    """
    z = F.normalize(torch.cat([a, b]), dim=1)  # (2n, bits)
    likeness = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    n = len(a)
    partner = torch.cat([torch.arange(n) + n, torch.arange(n)]).to(z.device)
    return F.cross_entropy(likeness, partner)


def similarity_cross_entropy(codes: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Cross-entropy between each row's targets and its softmax over the cosines with all other codes.

    Args:
        codes: Shape (n, bits).
        targets: Target similarity of two rows, 0 or more, shape (n, n); the diagonal is ignored.
        temperature: Of the softmax over the codes' cosines.

    Source: Passalis, Tefas: Learning Deep Representations with Probabilistic Knowledge Transfer, ECCV 2018, in
    the direction of a cross-entropy.
    """
    z = F.normalize(codes, dim=1)
    shares = shares_of_others(targets)
    logits = (z / temperature @ z.T).fill_diagonal_(-torch.inf)
    # As a product of matrices, Σ_j share_ij logit_ij needs no second (n, n) array in the graph. A row's shares
    # add up to 1 or, without any similar picture, to 0.
    expected = ((shares @ z) * z).sum(dim=1) / temperature
    return (shares.sum(dim=1) * logits.logsumexp(dim=1) - expected).mean()


def shares_of_others(targets: Tensor) -> Tensor:
    """Scale each row of similarities (n, n), 0 or more, to a sum of 1 without the diagonal, which becomes 0."""
    others = targets.clone().fill_diagonal_(0)
    return others.div_(others.sum(dim=1, keepdim=True).clamp_(min=1e-9))


def supervised_contrast(codes: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Contrast pictures of one label against all others; rows without a label (−1) are negatives only.

    Source: L_out of Khosla et al. (Supervised Contrastive Learning, https://arxiv.org/abs/2004.11362).
    """
    z = F.normalize(codes, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    logits = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
    alike = (labels[:, None] == labels[None]) & (labels[:, None] >= 0) & ~itself
    log_likelihood = (logits - logits.logsumexp(dim=1, keepdim=True)).masked_fill(~alike, 0)
    partners = alike.sum(dim=1)
    has_partner = partners > 0
    if not has_partner.any():
        return codes.sum() * 0
    return -(log_likelihood.sum(dim=1)[has_partner] / partners[has_partner]).mean()


def similarity_regression(features: Tensor, codes: Tensor) -> Tensor:
    """Regress the cosines of codes on those of the features, over all pairs of the batch.

    Centred features of unrelated pictures have cosines near 0, as independent codes do. Ranking depends on the
    few pairs far from 0, so each pair weighs 1 + 10 times its squared cosine.
    """
    wanted = F.normalize(features, dim=1) @ F.normalize(features, dim=1).T
    found = codes @ codes.T / codes.shape[1]
    pairs = ~torch.eye(len(codes), dtype=torch.bool, device=codes.device)
    weight = 1 + 10 * wanted[pairs] ** 2
    return (weight * (found[pairs] - wanted[pairs]) ** 2).sum() / weight.sum()


class CodeDecoder(nn.Module):
    """Reconstructs features from a code; information that the code has lost cannot be reconstructed."""

    def __init__(self, bits: int, dim: int, hidden: int = 512) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(bits, hidden), nn.ReLU(), nn.Linear(hidden, dim))

    def forward(self, code: Tensor) -> Tensor:
        """(n, bits) to (n, d)."""
        rebuilt: Tensor = self.layers(code)
        return rebuilt
