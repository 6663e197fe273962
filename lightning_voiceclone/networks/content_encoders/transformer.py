"""A content encoder cut down from Whisper's: the project's own features, finite context, a bottleneck."""

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.checkpoints.part_folder import load_pretrained
from lightning_voiceclone.core.interfaces import ContentEncoder
from lightning_voiceclone.core.masking import keep, one_differs, pad_to_multiple, reach_mask
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.content_encoders.whisper import HEAD_WIDTH, WhisperBlock, WhisperContentEncoder

# ln of a mel band's magnitude (slaney norm, n_fft 1024) to Whisper's (log10 of its power + 4) / 4; the summand is what
# the two differ by over read speech, where frames of 1,024 samples hold more power than those of 400.
TO_WHISPER_SCALE, TO_WHISPER_SHIFT = 0.5 / math.log(10), 1.1
WINDOWS_AT_ONCE = 64  # through the blocks: an hour has 1,400, for which memory would be wanted together


class TransformerContentEncoder(ContentEncoder):
    """Content at half the features' rate by the first blocks of a transformer, in windows of bounded length.

    Meant to start from Whisper's encoder (``start``; Radford et al. 2022) and to be distilled from it
    (``recipes/content_small.yaml``): on the model's features instead of Whisper's own, without its padding to 30
    seconds, with its input perturbed so that the speaker does not pass, and through a bottleneck. Attention is within a
    window, whose steps have the positions of Whisper's first ones: its weights are useless without them. Each window
    outputs its ``core`` steps, and sees ``edge`` more steps on either side.

    The input is features in the extractor's own units: mel bands of natural logarithms. The context is finite; its grid
    is that of the windows, 2 * ``core`` frames.

    Args:
        dims: widths; ``dims.features`` is F.
        channels: C, the width of the bottleneck.
        width: channels inside; a multiple of 64, the width of a head.
        hidden: channels between the two dense layers of a block.
        layers: blocks.
        core: steps of 2 frames that a window gives.
        edge: steps on either side that it only sees.
        start: Whisper's weights to begin from: tiny.en, or a folder, as for WhisperContentEncoder; null for fresh ones.
        pretrained: "default" for the weights that ship with the package (80 mel bands at 16 kHz, hops of 160),
            "content_wide" for larger ones that ship too (channels 192, layers 4), a folder or checkpoint of a trained
            one, or none for fresh weights; frozen, unless ``finetune``.
        finetune: train the pretrained weights further.

    Raises:
        ConfigurationError: if a number is out of range, or the weights have other settings.
    """

    capabilities = frozenset({"exportable", "streamable"})
    normalized = False
    shipped = ("lightning_voiceclone", "weights/content")
    calibrated: Tensor

    def __init__(
        self,
        dims: Dims,
        *,
        channels: int = 96,
        width: int = 384,
        hidden: int = 1536,
        layers: int = 3,
        core: int = 128,
        edge: int = 32,
        start: str | None = None,
        pretrained: str | None = None,
        finetune: bool = False,
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, channels=channels, width=width, hidden=hidden, layers=layers, core=core)
        if width % HEAD_WIDTH or edge < 0:
            raise ConfigurationError(
                f"{name}: width is {width} and edge is {edge}; width must be a multiple of {HEAD_WIDTH}, and edge at"
                " least 0"
            )
        if channels > width:
            raise ConfigurationError(
                f"{name}: channels is {channels}, and nothing would be narrowed; it must be at most width, {width}"
            )
        self.channels, self.core, self.edge = channels, core, edge
        self.frame_rate = dims.frame_rate / 2
        # Chunks end where windows do, so they see the edges alone; step s sees frames 2 s - 2 to 2 s + 3.
        frames = 2 * edge + 2
        self.context = Context(frames, frames, 2 * core)
        self.first = nn.Conv1d(dims.features, width, 3, padding=1)
        self.second = nn.Conv1d(width, width, 4, stride=2, padding=1)
        self.positions = nn.Parameter(0.02 * torch.randn(core + 2 * edge, width))
        self.blocks = nn.ModuleList(WhisperBlock(width, hidden) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, channels)
        self.register_buffer("calibrated", torch.tensor(False))
        if start is not None and pretrained in (None, "none"):
            self._begin_with(WhisperContentEncoder(dims, model=start))
        load_pretrained(self, pretrained, trainable=finetune)

    @torch.no_grad()
    def fit_statistics(self, features: Iterable[Tensor]) -> None:
        """Initialise the bottleneck with the principal components of its input, unless that was done before."""
        if self.calibrated:
            return
        hidden = torch.cat([self._hidden(x, None)[0].flatten(0, 1) for x in features]).double()
        mean = hidden.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov((hidden - mean).T))
        chosen = (vectors[:, -self.channels :] * values[-self.channels :].clamp_min(1e-8).rsqrt()).T
        self.leave.weight.copy_(chosen)
        self.leave.bias.copy_(-chosen @ mean)
        self.calibrated.fill_(True)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Content (B, C, ceil(T / 2)) of features (B, F, T); 0 in the padding, L2 norm sqrt(C)."""
        hidden, mask = self._hidden(x, lengths)
        return keep(F.layer_norm(self.leave(hidden), (self.channels,)).transpose(1, 2), mask[:, None])

    def _hidden(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Input of the bottleneck (B, T', width), and which steps (B, T') are real."""
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[2], device=x.device)
        mask = reach_mask(lengths, x.shape[2])
        x = F.gelu(self.first(keep(TO_WHISPER_SCALE * x + TO_WHISPER_SHIFT, mask)))
        x = F.gelu(self.second(pad_to_multiple(keep(x, mask), 2))).transpose(1, 2)
        mask = reach_mask((lengths + 1) // 2, x.shape[1])[:, 0]
        return self.norm(self._attend(x, mask)), mask

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T', width) of x, through the blocks; ``mask`` (B, T') is True for real steps."""
        batch, steps, _ = x.shape
        exporting = torch.compiler.is_exporting()  # at an open length there can be no branch on it, nor a loop over it
        if not exporting and steps <= self.core:  # one window, of which the edges have nothing to see
            return self._blocks(x, mask, self.positions[self.edge : self.edge + steps])
        x, seen = self._windows(x.transpose(1, 2)).permute(0, 2, 3, 1).flatten(0, 1), self._windows(mask).flatten(0, 1)
        if exporting:
            x = self._blocks(x, seen, self.positions)
        else:
            some = zip(x.split(WINDOWS_AT_ONCE), seen.split(WINDOWS_AT_ONCE), strict=True)
            x = torch.cat([self._blocks(windows, real, self.positions) for windows, real in some])
        return x[:, self.edge : self.edge + self.core].unflatten(0, (batch, -1)).flatten(1, 2)[:, :steps]

    def _windows(self, x: Tensor) -> Tensor:
        """(..., windows, core + 2 * edge) of x (..., T')."""
        more = self.core if one_differs() else 0  # a single window would be broadcast: never only one
        x = F.pad(pad_to_multiple(x, self.core), (self.edge, self.edge + more))
        return x.unfold(-1, self.core + 2 * self.edge, self.core)

    def _blocks(self, x: Tensor, seen: Tensor, positions: Tensor) -> Tensor:
        # A window of nothing but padding sees itself, so that it gives finite numbers.
        keys = (seen | ~seen.any(1, keepdim=True))[:, None, None]
        x = x + positions
        for block in self.blocks:
            x = block(x, keys)
        return x

    @torch.no_grad()
    def _begin_with(self, whisper: WhisperContentEncoder) -> None:
        """Copy the first blocks of Whisper's encoder.

        Raises:
            ConfigurationError: if the sizes are others than Whisper's.
        """
        mine, other = cast(WhisperBlock, self.blocks[0]), cast(WhisperBlock, whisper.blocks[0])
        ours = _sizes(self.first, mine.expand, len(self.blocks), len(self.positions))
        theirs = _sizes(whisper.first, other.expand, len(whisper.blocks), len(whisper.positions))
        at_most = ("layers", "positions")
        if any(theirs[name] != size for name, size in ours.items() if name not in at_most) or any(
            theirs[name] < ours[name] for name in at_most
        ):
            raise ConfigurationError(
                f"{type(self).__name__} has {_listed(ours)}, but the Whisper model to start from has {_listed(theirs)};"
                " set them to its own (layers and positions, which are core + 2 * edge, to as many at most), and use 80"
                " mel bands"
            )
        self.first.load_state_dict(whisper.first.state_dict())
        assert self.second.bias is not None
        self.second.bias.copy_(whisper.second.bias)
        # Our steps are centred between two frames, Whisper's on a frame: its kernel is moved by half a frame.
        taps = F.pad(whisper.second.weight, (1, 1))
        self.second.weight.copy_((taps[..., :-1] + taps[..., 1:]) / 2)
        self.positions.copy_(whisper.positions[: len(self.positions)])
        for block, source in zip(self.blocks, whisper.blocks, strict=False):
            block.load_state_dict(source.state_dict())
        if whisper.norm is not None:
            self.norm.load_state_dict(whisper.norm.state_dict())


def _sizes(first: nn.Conv1d, expand: nn.Linear, layers: int, positions: int) -> dict[str, int]:
    """Sizes that must agree for weights to be copied."""
    width, bands = first.weight.shape[:2]
    return {"bands": bands, "width": width, "hidden": expand.out_features, "layers": layers, "positions": positions}


def _listed(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name} {size}" for name, size in sizes.items())
