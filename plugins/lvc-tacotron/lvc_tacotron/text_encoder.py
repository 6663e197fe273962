"""Tacotron 2 as a text encoder: frames one after another, each from those before and from what attention finds."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.checkpoints.part_folder import load_pretrained
from lightning_voiceclone.core.conditions import Script, SpeakerPrompt
from lightning_voiceclone.core.durations import whole_frames
from lightning_voiceclone.core.interfaces import TextEncoder
from lightning_voiceclone.core.masking import keep, pad_to_multiple, reach_mask
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.errors import AlignmentError, ConfigurationError, check_range
from lightning_voiceclone.features.prosody import UNKNOWN_REGISTER, VOICED
from lightning_voiceclone.text.inventory import NUMBER, PHONEMES, TOKENS
from lvc_tacotron.attention import LEAD_SECONDS, NEAR, distant, faults, middles, windows
from lvc_tacotron.network import Decoded, TacotronNetwork

OCTAVES = 2.0  # f0 is within as many of the register
ATTEMPTS = 3  # at a text, each with other dropout in the prenet
MOST_FRAMES = 20  # of a token on average, after which a text that has not ended is given up
FEWEST = 100  # frames before it is given up
END_WEIGHT = 8.0  # of the last step in the loss of the end, beside all others


class TacotronTextEncoder(TextEncoder):
    """Tacotron 2 (Shen et al. 2018): an encoder of the tokens, attention, and a decoder that gives frame after frame.

    The frames are those of a script: of the voice ``mel`` mel bands, for any vocoder, as in the paper; of another voice
    its content, with pitch and energy. Layers are those of ``torchaudio.models.Tacotron2``. The decoder gives
    ``frames_per_step`` frames at once (Tacotron, Wang et al. 2017, section 3.3), where the paper gives one: attention
    is learned in fewer steps.

    ``durations`` runs it freely: attention finds its way through the text, and the end is predicted. How long it is at
    each token is that token's duration. Attention that skips a phoneme, goes back, stays, or does not end is an error
    after three attempts. ``forward`` runs it with attention kept within 60 ms of those durations, or of what the caller
    makes of them: so breaks, rates and times of words are exact.

    The speaker's embedding is joined to the encoder's output. A prompt without one, or none, is a speaker of its own.

    Args:
        dims: widths; ``dims.content`` is C.
        vocabulary: number of tokens.
        phonemes: first number from which on tokens are phonemes, which must not be skipped.
        width: channels of the encoder.
        decoder: width of the decoder's two recurrent layers.
        attention: width of the attention's hidden layer.
        prenet: width of the prenet.
        postnet: channels of the postnet.
        frames_per_step: frames that the decoder gives at once.
        guide: width of the guided attention, as a share of the text, where the durations are not known.
        dropout: share of rows without their speaker in training.
        pretrained: a folder or checkpoint of a trained one, or none for fresh weights; frozen, unless ``finetune``.
        finetune: train the pretrained weights further.

    Raises:
        ConfigurationError: if a number is out of range, or the weights have other settings.
    """

    def __init__(
        self,
        dims: Dims,
        *,
        vocabulary: int = len(TOKENS),
        phonemes: int = NUMBER[PHONEMES[0]],
        width: int = 512,
        decoder: int = 1024,
        attention: int = 128,
        prenet: int = 256,
        postnet: int = 512,
        frames_per_step: int = 2,
        guide: float = 0.2,
        dropout: float = 0.1,
        pretrained: str | None = None,
        finetune: bool = False,
    ):
        super().__init__()
        name = type(self).__name__
        widths = {"decoder": decoder, "attention": attention, "prenet": prenet, "postnet": postnet}
        check_positive(name, content=dims.content, vocabulary=vocabulary, width=width, frames_per_step=frames_per_step,
                       **widths)  # fmt: skip
        if width % 2:
            raise ConfigurationError(f"{name}: width is {width}; it must be even, as half of it is each direction's")
        check_range(f"{name}: guide", guide, 0.01, 10)
        check_range(f"{name}: dropout", dropout, 0, 0.9)
        self.channels, self.frame_rate = dims.content, dims.frame_rate
        self.pitch, self.energy = dims.pitch, dims.energy
        self.phonemes, self.step, self.guide, self.dropout = phonemes, frames_per_step, guide, dropout
        self.tracks = dims.content + 2 * dims.pitch + dims.energy
        self.network = TacotronNetwork(vocabulary, self.tracks * frames_per_step, dims.speaker, width=width, **widths)
        load_pretrained(self, pretrained, trainable=finetune)

    def durations(self, tokens: Tensor, lengths: Tensor, prompt: SpeakerPrompt | None = None) -> Tensor:
        """Frames (B, L) for which attention is at each token; 0 for padding.

        A text that ends with a phoneme is read as if a full stop came after it, as all texts of training have one.

        Raises:
            AlignmentError: if attention does not follow the text, in three attempts with other dropout.
        """
        given = tokens.shape[1]
        tokens, lengths = self._stopped(tokens, lengths)
        memory = self.network.encode(tokens, lengths, None if prompt is None else prompt.speaker)
        most = -(-(MOST_FRAMES * lengths).clamp_min(FEWEST) // self.step)
        made = memory.new_zeros(tokens.shape)
        left = torch.arange(len(tokens), device=tokens.device)
        for attempt in range(ATTEMPTS):
            run = self.network.decode(memory[left], lengths[left], most=most[left], seed=attempt)
            found = [self._faults(run, row, tokens[index, : lengths[index]]) for row, index in enumerate(left.tolist())]
            spent = run.attention * reach_mask(run.steps, run.attention.shape[1])[:, 0, :, None]
            made[left] = self.step * spent.sum(1)
            left = left[torch.tensor([bool(one) for one in found], device=left.device)]
            if not len(left):
                return made[:, :given]
        raise AlignmentError(
            f"attention does not follow the text, in {ATTEMPTS} attempts: {'; '.join(next(filter(None, found))[:3])};"
            " write the sentence otherwise or in two, or train the text encoder further"
        )

    def forward(
        self,
        tokens: Tensor,
        lengths: Tensor,
        prompt: SpeakerPrompt | None = None,
        *,
        speed: float = 1.0,
        durations: Tensor | None = None,
    ) -> Script:
        """The script of a text; its register is the prompt's, or 150 Hz where that has none.

        Raises:
            AlignmentError: if there are no durations, and attention does not follow the text.
        """
        if durations is None:
            first = (torch.arange(tokens.shape[1], device=tokens.device) == 0).long()
            durations = whole_frames(self.durations(tokens, lengths, prompt) / speed, first)
        frames = durations.sum(1)
        memory = self.network.encode(tokens, lengths, None if prompt is None else prompt.speaker)
        allowed = windows(durations, lengths, self.step, round(LEAD_SECONDS * self.frame_rate))
        run = self.network.decode(memory, lengths, windows=allowed)
        tracks = self._frames(self.network.refine(run.frames, -(-frames // self.step)))[..., : int(frames.max())]
        tracks = keep(tracks, reach_mask(frames, tracks.shape[2]))
        register = torch.full_like(frames, UNKNOWN_REGISTER, dtype=tracks.dtype)
        if prompt is not None and prompt.register is not None:
            register = torch.where(prompt.register.isnan(), register, prompt.register)
        return self._script(frames, tracks, register)

    def losses(
        self, tokens: Tensor, lengths: Tensor, target: Script, durations: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Distances from the scripts of recordings, whose frames up to each step the decoder takes (teacher forcing).

        content: mean squared differences before and after the postnet, added (the paper's section 2.2); pitch (octaves,
        over voiced frames), voicing, energy: mean absolute differences, likewise; stop: cross-entropy of the end in
        nats, in which the last step counts eightfold; attention: share of the weights off the path (guided attention),
        which is the diagonal, or that of the durations.

        Args:
            tokens: (B, L).
            lengths: (B,) tokens that are real.
            target: of recordings of the same texts; ``target.speaker`` is taken for the prompt's.
            durations: (B, L) whole frames of each token in the recordings; None where they are not known.
        """
        wanted = self._target(target)
        steps = -(-target.lengths // self.step)
        speaker = target.speaker
        if speaker is not None and self.training:
            speaker = speaker * (torch.rand(len(speaker), 1, device=speaker.device) >= self.dropout)
        stacked = self._steps(wanted)
        run = self.network.decode(self.network.encode(tokens, lengths, speaker), lengths, target=stacked)
        refined = self.network.refine(run.frames, steps)
        real = reach_mask(target.lengths, wanted.shape[2])[:, 0]
        losses: dict[str, Tensor] = {}
        for made in (run.frames, refined):
            apart = self._frames(made)[..., : wanted.shape[2]] - wanted
            for name, value in self._distances(apart, target, real).items():
                losses[name] = losses.get(name, 0) + value
        losses["stop"] = self._stop_loss(run.stop, steps)
        return losses | {"attention": self.attention_off(run.attention, lengths, target.lengths, durations)}

    def attention_off(
        self, attention: Tensor, lengths: Tensor, frames: Tensor, durations: Tensor | None = None
    ) -> Tensor:
        """Share (B,) of attention (B, S, L) that is off its path: that of the durations, or else the diagonal."""
        width = torch.full_like(lengths, NEAR, dtype=attention.dtype)
        if durations is None:
            share = (frames / lengths)[:, None] * reach_mask(lengths, attention.shape[2])[:, 0]
            durations, width = whole_frames(share), self.guide * lengths.to(attention.dtype)
        path = middles(durations, self.step)[:, : attention.shape[1]]
        off = (attention[:, : path.shape[1]] * distant(path, attention.shape[2], width)).sum(2)
        return _mean(off, reach_mask(-(-frames // self.step), path.shape[1])[:, 0])

    def _faults(self, run: Decoded, row: int, tokens: Tensor) -> list[str]:
        attention = run.attention[row, : int(run.steps[row]), : len(tokens)]
        return faults(attention, tokens, ended=bool(run.ended[row]), seconds=self.step / self.frame_rate,
                      phonemes=self.phonemes)  # fmt: skip

    def _stopped(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The texts with a full stop where they end with a phoneme, and their lengths."""
        last = lengths[:, None] - 1
        open_end = tokens.gather(1, last) >= self.phonemes
        if self.phonemes <= NUMBER["."] or not open_end.any():  # of other inventories the marks are not known
            return tokens, lengths
        longer = F.pad(tokens, (0, 1))
        return longer.scatter(1, last + 1, torch.where(open_end, NUMBER["."], longer.gather(1, last + 1))), (
            lengths + open_end[:, 0])  # fmt: skip

    def _target(self, script: Script) -> Tensor:
        """Frames (B, tracks, T) of a script, as the decoder gives them; 0 in the padding."""
        tracks = [script.content]
        if self.pitch:
            assert script.f0 is not None
            assert script.voicing is not None
            assert script.register is not None
            octaves = script.f0.clamp_min(1).log2() - script.register.nan_to_num(UNKNOWN_REGISTER)[:, None].log2()
            tracks += [torch.where(script.f0 > 0, octaves.clamp(-OCTAVES, OCTAVES), 0.0)[:, None],
                       script.voicing[:, None]]  # fmt: skip
        if self.energy:
            assert script.energy is not None
            tracks.append(script.energy[:, None])
        made = torch.cat(tracks, 1)
        return keep(made, reach_mask(script.lengths, made.shape[2]))

    def _script(self, frames: Tensor, tracks: Tensor, register: Tensor) -> Script:
        content, *rest = tracks.split([self.channels, *[1] * (self.tracks - self.channels)], 1)
        script = Script(frames, content)
        if self.pitch:
            voicing = rest[1][:, 0].clamp(0, 1)
            f0 = register[:, None] * 2 ** rest[0][:, 0].clamp(-OCTAVES, OCTAVES)
            script = replace(script, f0=f0 * (voicing > VOICED), voicing=voicing, register=register)
        if self.energy:
            level, real = rest[-1][:, 0], reach_mask(frames, tracks.shape[2])[:, 0]
            mean = level.sum(1, keepdim=True) / frames.clamp_min(1)[:, None]
            script = replace(script, energy=(level - mean) * real)
        return script

    def _distances(self, apart: Tensor, target: Script, real: Tensor) -> dict[str, Tensor]:
        losses = {"content": _mean(apart[:, : self.channels].square().mean(1), real)}
        if self.pitch:
            assert target.f0 is not None
            losses["pitch"] = _mean(apart[:, self.channels].abs(), real & (target.f0 > 0))
            losses["voicing"] = _mean(apart[:, self.channels + 1].abs(), real)
        if self.energy:
            losses["energy"] = _mean(apart[:, -1].abs(), real)
        return losses

    def _stop_loss(self, logits: Tensor, steps: Tensor) -> Tensor:
        last = (torch.arange(logits.shape[1], device=steps.device) == steps[:, None] - 1).to(logits.dtype)
        nats = F.binary_cross_entropy_with_logits(logits, last, reduction="none")
        return _mean(nats * (1 + (END_WEIGHT - 1) * last), reach_mask(steps, logits.shape[1])[:, 0])

    def _steps(self, frames: Tensor) -> Tensor:
        """Frames (B, tracks, T) as steps (B, tracks * frames_per_step, S)."""
        return pad_to_multiple(frames, self.step).unflatten(2, (-1, self.step)).transpose(2, 3).flatten(1, 2)

    def _frames(self, steps: Tensor) -> Tensor:
        """Steps as frames (B, tracks, S * frames_per_step)."""
        return steps.unflatten(1, (self.tracks, self.step)).transpose(2, 3).flatten(2)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean (B,) of values (B, T) where the mask is set; 0 where it is nowhere."""
    return torch.where(mask > 0, values, 0.0).sum(1) / mask.sum(1).clamp_min(1)
