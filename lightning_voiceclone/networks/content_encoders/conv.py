"""A content encoder of ConvNeXt blocks."""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.checkpoints.part_folder import load_pretrained
from lightning_voiceclone.core.interfaces import ContentEncoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.core.validation import check_odd, check_positive
from lightning_voiceclone.networks.layers.convnext import ConvNeXtChain


class ConvContentEncoder(ContentEncoder):
    """Content by convolutions alone, from a finite context; small, fast, streamable.

    Meant for distillation from a larger encoder (:class:`~lightning_voiceclone.training.modules.distillation`), with
    its input perturbed so that the speaker does not pass. The input is features in the extractor's own units,
    normalised by the statistics of the training recordings. The blocks are those of Vocos (Siuzdak 2023). The
    context's grid is ``stride`` frames.

    Args:
        dims: widths; ``dims.features`` is F.
        channels: C, the width of the bottleneck.
        width: channels inside.
        hidden: channels between the two dense layers of a block.
        layers: blocks.
        kernel_size: steps that each convolution sees; odd.
        stride: frames of features to one of content.
        pretrained: a folder or checkpoint of a trained one, or none for fresh weights; frozen, unless ``finetune``.
        finetune: train the pretrained weights further.

    Raises:
        ConfigurationError: if a number is out of range, or the pretrained weights have other settings.
    """

    capabilities = frozenset({"exportable", "streamable"})
    normalized = False

    def __init__(
        self,
        dims: Dims,
        *,
        channels: int = 96,
        width: int = 256,
        hidden: int = 512,
        layers: int = 8,
        kernel_size: int = 7,
        stride: int = 2,
        pretrained: str | None = None,
        finetune: bool = False,
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, channels=channels, width=width, hidden=hidden, layers=layers, stride=stride)
        check_odd(name, kernel_size=kernel_size)
        self.channels = channels
        self.frame_rate = dims.frame_rate / stride
        reach = (layers + 1) * (kernel_size // 2) * stride + stride - 1
        self.context = Context(reach, reach, stride)
        self.chain = ConvNeXtChain(dims.features, width=width, hidden=hidden, layers=layers, kernel_size=kernel_size,
                            stride=stride)  # fmt: skip
        self.leave = nn.Linear(width, channels)
        load_pretrained(self, pretrained, trainable=finetune)

    def fit_statistics(self, features: Iterable[Tensor]) -> None:
        """Set the mean and standard deviation of each channel, unless pretrained weights hold them."""
        self.chain.normalizer.fit_once(features)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Content (B, C, ceil(T / stride)) of features (B, F, T); 0 in the padding, L2 norm sqrt(C)."""
        hidden, mask = self.chain(x, lengths)
        return (F.layer_norm(self.leave(hidden), (self.channels,)) * mask).transpose(1, 2)
