"""A content encoder cut down from Whisper's: the project's own features, finite context, a narrow outlet."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.interfaces import ContentEncoder
from lightning_voiceclone.networks.conditioning import check_positive, keep, reach_mask
from lightning_voiceclone.networks.local_attention import LocalTransformerBlock
from lightning_voiceclone.networks.whisper import WhisperBlock, WhisperContentEncoder
from lightning_voiceclone.parts import Dims

# ln of a mel band's magnitude (slaney norm, n_fft 1024) to Whisper's (log10 of its power + 4) / 4; the summand is what
# the two differ by over read speech, where frames of 1,024 samples hold more power than those of 400.
TO_WHISPER_SCALE, TO_WHISPER_SHIFT = 0.5 / math.log(10), 1.1
POSITIONS = 128  # of Whisper's, whose mean stands for all: a step does not know where in the recording it is


class TransformerContentEncoder(ContentEncoder):
    """Content at half the features' rate by the first blocks of a transformer, each with a bounded reach.

    Made to begin from Whisper's encoder (``start``; Radford et al. 2022) and to be taught by it again
    (``recipes/content_small.yaml``): on the features of the voice instead of Whisper's own, without its padding to 30
    seconds, without absolute positions, with attention to ``reach`` steps on either side, with its input perturbed so
    that the voice does not pass, and through a bottleneck. Hears features in the extractor's own units: mel bands of
    natural logarithms. Chunks that begin at an even frame give what the whole gives.

    Args:
        dims: widths; ``dims.features`` is F.
        channels: C, the width of the bottleneck.
        width: channels inside.
        hidden: channels between the two dense layers of a block.
        layers: blocks.
        heads: of the attention.
        reach: steps of 2 frames on either side that a block attends to.
        start: Whisper's weights to begin from: tiny.en, or a folder, as for WhisperContentEncoder; null for fresh ones.
        pretrained: "default" for the weights that ship with the package (80 mel bands at 16 kHz, hops of 160), a
            folder or checkpoint of a taught one, or none for fresh weights; frozen, unless ``finetune``.
        finetune: train the pretrained weights further.

    Raises:
        ConfigurationError: if a number is out of range, or the weights have other settings.
    """

    capabilities = frozenset({"streamable"})
    normalized = False
    shipped = ("lightning_voiceclone", "weights/content")

    def __init__(
        self,
        dims: Dims,
        *,
        channels: int = 96,
        width: int = 384,
        hidden: int = 1536,
        layers: int = 3,
        heads: int = 6,
        reach: int = 32,
        start: str | None = None,
        pretrained: str | None = None,
        finetune: bool = False,
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, channels=channels, width=width, hidden=hidden, layers=layers, heads=heads, reach=reach)
        if width % heads:
            raise ConfigurationError(f"{name}: width is {width}, which {heads} heads do not divide; change either")
        self.channels = channels
        self.frame_rate = dims.frame_rate / 2
        self.context = (2 * layers * reach + 4, 2 * layers * reach + 4)
        self.first = nn.Conv1d(dims.features, width, 3, padding=1)
        self.second = nn.Conv1d(width, width, 4, stride=2, padding=1)
        self.position = nn.Parameter(torch.zeros(width))
        blocks = [LocalTransformerBlock(width, hidden, heads, reach) for _ in range(layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, channels)
        if start is not None and pretrained in (None, "none"):
            self._begin_with(WhisperContentEncoder(dims, model=start))
        self.use_pretrained(pretrained, trainable=finetune)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Content (B, C, ceil(T / 2)) of features (B, F, T); 0 in the padding. Its norm is that of C ones."""
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[2], device=x.device)
        mask = reach_mask(lengths, x.shape[2])
        x = F.gelu(self.first(keep(TO_WHISPER_SCALE * x + TO_WHISPER_SHIFT, mask)))
        x = F.gelu(self.second(F.pad(keep(x, mask), (0, x.shape[2] % 2)))).transpose(1, 2) + self.position
        mask = reach_mask((lengths + 1) // 2, x.shape[1]).transpose(1, 2).to(x.dtype)
        for block in self.blocks:
            x = block(x, mask)
        content = F.layer_norm(self.leave(self.norm(x)), (self.channels,))
        return keep(content.transpose(1, 2), mask.transpose(1, 2))

    @torch.no_grad()
    def _begin_with(self, whisper: WhisperContentEncoder) -> None:
        """Take over the first blocks of Whisper's encoder.

        Raises:
            ConfigurationError: if the sizes are others than Whisper's.
        """
        mine, other = cast(LocalTransformerBlock, self.blocks[0]), cast(WhisperBlock, whisper.blocks[0])
        ours = _sizes(self.first, mine.expand, mine.attention.heads, len(self.blocks))
        theirs = _sizes(whisper.first, other.expand, other.heads, len(whisper.blocks))
        if {**theirs, "layers": 0} != {**ours, "layers": 0} or theirs["layers"] < ours["layers"]:
            raise ConfigurationError(
                f"{type(self).__name__} has {_told(ours)}, but the Whisper model to start from has {_told(theirs)};"
                " set them to its own (layers to as many at most), and use 80 mel bands"
            )
        self.first.load_state_dict(whisper.first.state_dict())
        assert self.second.bias is not None
        self.second.bias.copy_(whisper.second.bias)
        # Our steps are centred between two frames, Whisper's on a frame: its kernel is moved by half a frame.
        taps = F.pad(whisper.second.weight, (1, 1))
        self.second.weight.copy_((taps[..., :-1] + taps[..., 1:]) / 2)
        self.position.copy_(whisper.positions[:POSITIONS].mean(0))
        for block, source in zip(self.blocks, whisper.blocks, strict=False):
            weights = source.state_dict()
            renamed = {f"attention.{name}" if name.startswith(("joint.", "out.")) else name: value
                       for name, value in weights.items()}  # fmt: skip
            block.load_state_dict({**renamed, "attention.bias": block.state_dict()["attention.bias"]})
        if whisper.norm is not None:
            self.norm.load_state_dict(whisper.norm.state_dict())


def _sizes(first: nn.Conv1d, expand: nn.Linear, heads: int, layers: int) -> dict[str, int]:
    """What must agree for weights to be taken over; heads show in no shape."""
    width, bands = first.weight.shape[:2]
    return {"bands": bands, "width": width, "hidden": expand.out_features, "heads": heads, "layers": layers}


def _told(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name} {size}" for name, size in sizes.items())
