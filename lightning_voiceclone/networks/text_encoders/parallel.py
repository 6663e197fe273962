"""A text encoder that predicts all frames at once, from durations of the tokens."""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.checkpoints.part_folder import load_pretrained
from lightning_voiceclone.core.conditions import Script, SpeakerPrompt
from lightning_voiceclone.core.durations import by_frame, whole_frames
from lightning_voiceclone.core.interfaces import StyleEncoder, TextEncoder
from lightning_voiceclone.core.masking import keep, pad_to_multiple, reach_mask, resample_frames
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.prosody import UNKNOWN_REGISTER, VOICED
from lightning_voiceclone.networks.content_encoders.whisper import HEAD_WIDTH, WhisperBlock
from lightning_voiceclone.networks.layers.convnext import ConvNeXtBlock
from lightning_voiceclone.networks.text_encoders.script_losses import (
    prosody_losses,
    row_mean,
    spread_loss,
    tempo_loss,
)
from lightning_voiceclone.text.inventory import NUMBER, PHONEMES, TOKENS

OCTAVES = 2.0  # f0 is within as many of the register
LONGEST = 500.0  # frames of a token
PLACES = 3  # numbers of a frame's place in its token


class ParallelTextEncoder(TextEncoder):
    """Tokens to a script without recursion: every frame at once, from predicted durations (FastSpeech 2, Ren 2021).

    Blocks of convolution and attention over the tokens; from these the logarithm of each duration; the tokens repeated
    for as many frames; and convolutions over steps of ``frames_per_step`` frames, which give content, f0, voicing and
    energy. Each token has its own frames in the order of the text, and a phoneme one at least: none is skipped or
    repeated, whatever the weights are.

    Content is normalised at each step to mean 0 and an L2 norm of sqrt(C), as the content encoders that ship give it,
    and interpolated between steps as theirs is. f0 is predicted relative to the register. Speaker embeddings change
    timing, melody and content; a prompt without one, or none, is a speaker of its own. So do style vectors, where there
    is a style encoder (Wang et al. 2018); one of zeros is as none.

    Tokens are those of ``text.inventory``; other inventories need ``phonemes`` to be set.

    Args:
        dims: widths; ``dims.content`` is C.
        vocabulary: number of tokens.
        phonemes: first number from which on tokens are phonemes, with one frame at least.
        width: channels inside; a multiple of 64, the width of a head.
        hidden: channels between the dense layers of a block.
        layers: pairs of blocks over the tokens.
        frame_layers: blocks over the steps.
        kernel_size: of the convolutions over the steps; odd.
        frames_per_step: frames that the blocks over the steps treat together; 2 for content at half the frame rate.
        dropout: share of the hidden numbers dropped in training, of rows without their speaker, and of rows
            without their style.
        style_encoder: encodes the styles, and is trained too; None for a text encoder that takes none.
        pretrained: "default" for the weights that ship with the package, where there are some, a folder or checkpoint
            of a trained one, or none for fresh weights; frozen, unless ``finetune``.
        finetune: train the pretrained weights further.

    Raises:
        ConfigurationError: if a number is out of range, or the weights have other settings.
    """

    shipped = ("lightning_voiceclone", "weights/text")

    def __init__(
        self,
        dims: Dims,
        *,
        vocabulary: int = len(TOKENS),
        phonemes: int = NUMBER[PHONEMES[0]],
        width: int = 256,
        hidden: int = 512,
        layers: int = 3,
        frame_layers: int = 4,
        kernel_size: int = 7,
        frames_per_step: int = 2,
        dropout: float = 0.1,
        style_encoder: StyleEncoder | None = None,
        pretrained: str | None = None,
        finetune: bool = False,
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, content=dims.content, vocabulary=vocabulary, width=width, hidden=hidden, layers=layers,
                       frame_layers=frame_layers, frames_per_step=frames_per_step)  # fmt: skip
        if width % HEAD_WIDTH or kernel_size % 2 == 0 or kernel_size < 1:
            raise ConfigurationError(
                f"{name}: width is {width} and kernel_size is {kernel_size}; width must be a multiple of {HEAD_WIDTH},"
                " and kernel_size odd"
            )
        self.channels, self.frame_rate = dims.content, dims.frame_rate
        self.pitch, self.energy = dims.pitch, dims.energy
        self.phonemes, self.step, self.dropout = phonemes, frames_per_step, dropout
        self.embed = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embed.weight, std=width**-0.5)
        self.speaker = nn.Linear(dims.speaker, width) if dims.speaker else None
        self.blocks = nn.ModuleList(_TokenBlock(width, hidden, 1 / layers) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.timing = nn.ModuleList(ConvNeXtBlock(width, hidden, 3, 0.5) for _ in range(2))
        self.duration = nn.Linear(width, 1)
        nn.init.constant_(self.duration.bias, math.log1p(8.0))  # frames
        self.enter = nn.Linear(frames_per_step * (width + PLACES), width)
        self.frame_blocks = nn.ModuleList(
            ConvNeXtBlock(width, hidden, kernel_size, 1 / frame_layers) for _ in range(frame_layers)
        )
        self.frame_norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, dims.content)
        self.prosody = nn.Linear(width, frames_per_step * (2 * dims.pitch + dims.energy))
        self.style_encoder = style_encoder
        self.style = None
        if style_encoder is not None:
            self.style = nn.Linear(style_encoder.channels, width, bias=False)  # so that zeros change nothing
            # Larger than torch's own: a style that hardly shows is passed over for long (tests/networks/text_encoders).
            nn.init.normal_(self.style.weight, std=2 * style_encoder.channels**-0.5)
        load_pretrained(self, pretrained, trainable=finetune)

    def durations(self, tokens: Tensor, lengths: Tensor, prompt: SpeakerPrompt | None = None) -> Tensor:
        """Frames (B, L) of each token at the encoder's own tempo, at least 1 for a phoneme; 0 for padding."""
        hidden, mask = self._hidden(tokens, lengths, prompt)
        return self._frames(self._log_durations(hidden, mask), tokens, lengths)

    def forward(
        self,
        tokens: Tensor,
        lengths: Tensor,
        prompt: SpeakerPrompt | None = None,
        *,
        speed: float = 1.0,
        durations: Tensor | None = None,
    ) -> Script:
        """The script of a text; its register is the prompt's, or 150 Hz where that has none."""
        hidden, mask = self._hidden(tokens, lengths, prompt)
        if durations is None:
            predicted = self._frames(self._log_durations(hidden, mask), tokens, lengths)
            durations = whole_frames(predicted / speed, self._least(tokens, lengths))
        frames = durations.sum(1)
        content, prosody = self._decode(hidden, durations)
        real = reach_mask(frames, content.shape[2])
        register = torch.full_like(frames, UNKNOWN_REGISTER, dtype=content.dtype)
        if prompt is not None and prompt.register is not None:
            register = torch.where(prompt.register.isnan(), register, prompt.register)
        script = Script(frames, keep(content, real))
        if self.pitch:
            voicing = prosody["voicing"].sigmoid() * real[:, 0]
            f0 = register[:, None] * 2 ** prosody["pitch"].clamp(-OCTAVES, OCTAVES)
            script = replace(script, f0=f0 * (voicing > VOICED), voicing=voicing, register=register)
        if self.energy:
            level = prosody["energy"] * real[:, 0]
            mean = level.sum(1, keepdim=True) / frames.clamp_min(1)[:, None]
            script = replace(script, energy=(level - mean) * real[:, 0])
        return script

    def losses(
        self, tokens: Tensor, lengths: Tensor, target: Script, durations: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Distances from the scripts of recordings, with the recordings' durations.

        content, energy: mean absolute differences; pitch: of the logarithm of f0 over the register, in octaves, over
        voiced frames; voicing: cross-entropy in nats; duration: mean absolute difference of ln(1 + frames). These are
        least for a middle value, so speech comes out duller, flatter and faster than it was. Three more keep it from
        that: spread and pitch_spread, differences of the logarithms of the standard deviations over time of content
        and pitch (global variance, Toda & Tokuda 2007), and tempo, of the logarithms of the lengths in all.

        Args:
            tokens: (B, L).
            lengths: (B,) tokens that are real.
            target: of recordings of the same texts; its speaker and style are taken for the prompt's.
            durations: (B, L) whole frames of each token, whose sums are ``target.lengths``; None to take all tokens of
                a row for equally long.

        Raises:
            ConfigurationError: if the durations are not those of the target.
        """
        if durations is None:
            durations = _even(target.lengths, lengths, tokens.shape[1])
        if not torch.equal(durations.sum(1), target.lengths):
            raise ConfigurationError(
                f"the durations of the tokens add up to {durations.sum(1).tolist()} frames, but the target has"
                f" {target.lengths.tolist()}; both must be of the same recordings"
            )
        hidden, mask = self._hidden(tokens, lengths, target)
        logarithms, real_tokens = self._log_durations(hidden, mask), mask[..., 0]
        content, prosody = self._decode(hidden, durations)
        real = reach_mask(target.lengths, content.shape[2])[:, 0]
        return {
            "duration": row_mean((logarithms - durations.clamp_max(LONGEST).log1p()).abs(), real_tokens),
            "tempo": tempo_loss(self._frames(logarithms, tokens, lengths), durations),
            "content": row_mean((content - target.content).abs().mean(1), real),
            "spread": spread_loss(content, target.content, real),
        } | prosody_losses(prosody, target, real, OCTAVES)

    def _hidden(self, tokens: Tensor, lengths: Tensor, prompt: SpeakerPrompt | Script | None) -> tuple[Tensor, Tensor]:
        """What the blocks make of the tokens (B, L, width), and the mask (B, L, 1) of the real ones."""
        real = reach_mask(lengths, tokens.shape[1])
        mask = real.transpose(1, 2).float()
        x = F.dropout(self.embed(tokens) * self.embed.embedding_dim**0.5, self.dropout, self.training) * mask
        speaker, style = (None, None) if prompt is None else (prompt.speaker, prompt.style)
        if self.speaker is not None:
            given = x.new_zeros(len(x), self.speaker.in_features) if speaker is None else speaker
            x = x + self.speaker(self._some_rows(given))[:, None]
        if self.style is not None and style is not None:
            x = x + self.style(self._some_rows(style))[:, None]
        # Of another type than x, torch's attention takes wrong numbers without an error.
        bias = _attention_bias(real[:, 0], x.shape[2] // HEAD_WIDTH).to(x.dtype)
        for block in self.blocks:
            x = F.dropout(block(x, mask, bias), self.dropout, self.training)
        return self.norm(x) * mask, mask

    def _some_rows(self, given: Tensor) -> Tensor:
        """Vectors (B, D); in training zeros in some of the rows, drawn from torch's state."""
        if not self.training:
            return given
        return given * (torch.rand(len(given), 1, device=given.device) >= self.dropout)

    def _log_durations(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """ln(1 + frames) (B, L) of each token."""
        for block in self.timing:
            hidden = F.dropout(block(hidden, mask), self.dropout, self.training)
        return self.duration(hidden)[..., 0]

    def _frames(self, logarithms: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
        least = self._least(tokens, lengths)
        frames = logarithms.clamp(0, math.log1p(LONGEST)).expm1().maximum(least.to(logarithms.dtype))
        return keep(frames, reach_mask(lengths, tokens.shape[1])[:, 0])

    def _least(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Least frames (B, L): 1 for a phoneme, and 1 for the first token, so that there is always a frame."""
        first = torch.arange(tokens.shape[1], device=tokens.device) == 0
        return ((tokens >= self.phonemes) | first).long() * reach_mask(lengths, tokens.shape[1])[:, 0]

    def _decode(self, hidden: Tensor, durations: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Content (B, C, T), and prosody (B, T) by name, without the last nonlinearities."""
        frames = durations.sum(1)
        x = torch.cat([by_frame(hidden.transpose(1, 2), durations), _places(durations)], 1)
        count = x.shape[2]
        x = pad_to_multiple(x, self.step).unflatten(2, (-1, self.step)).permute(0, 2, 3, 1).flatten(2)
        steps = (frames + self.step - 1) // self.step
        mask = reach_mask(steps, x.shape[1]).transpose(1, 2).float()
        x = self.enter(x)
        for block in self.frame_blocks:
            x = F.dropout(block(x, mask), self.dropout, self.training)
        x = self.frame_norm(x)
        content = F.layer_norm(self.leave(x), (self.channels,)).transpose(1, 2)
        content = resample_frames(_held(content, steps), count, self.frame_rate / self.step, self.frame_rate)
        tracks = self.prosody(x).unflatten(2, (self.step, -1)).flatten(1, 2)[:, :count].unbind(2)
        names = ("pitch", "voicing") * self.pitch + ("energy",) * self.energy
        return content, dict(zip(names, tracks, strict=True))


class _TokenBlock(nn.Module):
    """A convolution over neighbours, then attention over all, each with dense layers."""

    def __init__(self, width: int, hidden: int, scale: float):
        super().__init__()
        self.near = ConvNeXtBlock(width, hidden, 5, scale)
        self.far = WhisperBlock(width, hidden)

    def forward(self, x: Tensor, mask: Tensor, bias: Tensor) -> Tensor:
        """(B, L, width) as x; mask (B, L, 1), bias (B, heads, L, L) of the attention."""
        return self.far(self.near(x, mask), bias)


def _attention_bias(real: Tensor, heads: int) -> Tensor:
    """(B, heads, L, L): less by the distance between tokens, and nothing of padding (ALiBi, Press et al. 2022).

    Slopes are 1/2, 1/8, 1/32 and so on; of the last head 0, so that it sees the whole text alike. A longer text than
    those of training has no position that is new.
    """
    places = torch.arange(real.shape[1], device=real.device)
    distance = (places[:, None] - places).abs().float()
    slopes = torch.tensor([*(0.5 * 0.25**head for head in range(heads - 1)), 0.0], device=real.device)
    bias = -slopes[:, None, None] * distance
    return torch.where(real[:, None, None], bias, -torch.inf)


def _places(durations: Tensor) -> Tensor:
    """Where each frame lies in its token (B, 3, T): share of the token that is over, ln of frames since, and until."""
    ends = durations.cumsum(1)
    starts, ends, counts = by_frame(torch.stack([ends - durations, ends, durations], 1), durations).unbind(1)
    at = torch.arange(starts.shape[1], device=durations.device)
    since, until = (at - starts + 0.5).clamp_min(0), (ends - at - 0.5).clamp_min(0)
    places = torch.stack([since / counts.clamp_min(1), since.log1p(), until.log1p()], 1)
    return keep(places, reach_mask(durations.sum(1), places.shape[2]))


def _held(x: Tensor, steps: Tensor) -> Tensor:
    """x (B, C, S) with the last real step of each row in place of padding, so that interpolation never meets that."""
    index = torch.arange(x.shape[2], device=x.device).minimum(steps[:, None] - 1)
    return x.gather(2, index[:, None].expand_as(x))


def _even(frames: Tensor, lengths: Tensor, most: int) -> Tensor:
    """The same duration for each token of a row, in whole frames (B, most)."""
    share = (frames / lengths)[:, None] * reach_mask(lengths, most)[:, 0]
    return whole_frames(share)
