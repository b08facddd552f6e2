"""Random augmented views of pictures, drawn for whole batches of tensors."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def random_views(pixels: Tensor) -> Tensor:
    """Draw one random view of each picture: a window, possibly mirrored, with changed colours.

    Windows keep 30 to 100 % of the area; brightness, contrast and saturation change by up to 40 %, and one view
    in five is grey, as in SimCLR (https://arxiv.org/abs/2002.05709).

    Args:
        pixels: Shape (n, S, S, 3), uint8.

    Returns:
        Shape (n, S, S, 3), uint8.
    """
    pictures = pixels.permute(0, 3, 1, 2).float() / 255.0  # (n, 3, S, S)
    seen = _jittered(_windows(pictures)).clamp(0, 1)
    return (seen * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def _windows(pictures: Tensor) -> Tensor:
    n, device = len(pictures), pictures.device
    side = torch.empty(n, device=device).uniform_(0.3, 1.0).sqrt()
    centre = (torch.rand(n, 2, device=device) * 2 - 1) * (1 - side)[:, None]
    mirrored = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
    affine = torch.zeros(n, 2, 3, device=device)
    affine[:, 0, 0], affine[:, 1, 1], affine[:, :, 2] = side * mirrored, side, centre
    grid = F.affine_grid(affine, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)


def _jittered(pictures: Tensor) -> Tensor:
    n, device = len(pictures), pictures.device
    brightness, contrast, saturation = (torch.empty(3, n, 1, 1, 1, device=device).uniform_(0.6, 1.4)).unbind()
    grey = pictures.mean(dim=1, keepdim=True)
    coloured = (torch.rand(n, 1, 1, 1, device=device) >= 0.2) * saturation
    toned = grey + coloured * (pictures - grey)
    mean = toned.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + contrast * (toned - mean)) * brightness
