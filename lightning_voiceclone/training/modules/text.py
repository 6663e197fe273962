"""Train a text encoder: from transcripts to the scripts that a model makes of the recordings."""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lightning_voiceclone.checkpoints.compatibility import check_same_parts
from lightning_voiceclone.checkpoints.part_folder import description_of
from lightning_voiceclone.core.conditions import Condition, Script, SpeakerPrompt
from lightning_voiceclone.core.interfaces import FeatureExtractor, TextEncoder
from lightning_voiceclone.core.masking import reach_mask
from lightning_voiceclone.core.schedule import Scheduled
from lightning_voiceclone.core.spec import AudioSpec, check_join
from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.errors import AlignmentError, ConfigurationError, LVCError, RecordingError, check_range
from lightning_voiceclone.losses.adversarial import LeastSquaresLoss
from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.training.aligned_texts import AlignedTexts, Scores
from lightning_voiceclone.training.frozen import Frozen
from lightning_voiceclone.training.modules.adversarial import AdversarialModule
from lightning_voiceclone.training.script_cache import ScriptCache
from lightning_voiceclone.training.step import StepSettings, TrainingPair
from lightning_voiceclone.training.styles import UsualRegisters, check_styles, style_vectors
from lightning_voiceclone.training.timed_text import TimedText, cut, with_breaks
from lightning_voiceclone.voice.model import VoiceModel

MOST_EMPTY = 100  # batches in a row without a usable transcript, after which training ends
PER_FRAME = ("content", "f0", "voicing", "energy")


@dataclass(frozen=True)
class _Rows:
    """Texts, scripts and styles of recordings, as a batch: tokens and durations (B, L), lengths (B,)."""

    tokens: Tensor
    lengths: Tensor
    durations: Tensor
    target: Script
    styles: list[str]

    @property
    def prompt(self) -> SpeakerPrompt:
        target = self.target
        return SpeakerPrompt(target.lengths, speaker=target.speaker, register=target.register, style=target.style)


class TextTraining(AdversarialModule):
    """Trains a text encoder on recordings with transcripts, to give the script that a model makes of each recording.

    The model is frozen: content, pitch, energy and the speaker's embedding are computed once for each recording and
    kept in a folder, so that later epochs cost little more than the text encoder. Durations of the phonemes come from
    the best path through their probabilities. A step takes from each recording a stretch between pauses, of at most
    ``segment_seconds``.

    Crops must hold whole recordings (``data.segment_seconds``); others, those without a transcript, and those that say
    another text are left out. A batch of which nothing is left is a step whose gradient is 0, so that counts, random
    numbers and processes stay together.

    With a style encoder, which is trained too, the style of a recording is that of its script, or of the column
    ``style``; and its pitch is that over the usual register of its speaker, so that a style may be higher or lower.

    Losses, by name in ``weights``: the encoder's own; of ParallelTextEncoder content, spread, duration,
    tempo, pitch, pitch_spread, voicing, energy.

    Args:
        voice: the model whose scripts are predicted.
        text_encoder: the part that is trained.
        cache: folder in which scripts and durations are kept.
        scores: probabilities of phonemes; None for those of the classifier that ships.
        segment_seconds: maximum length of a stretch.
        speaker_noise: standard deviation of noise on the speaker embedding in training, whose numbers have about 1.
        weights: of the losses, by name; each a number, or values by step, as ``{linear: {0: 0, 2000: 1}}``.
        optimizer: of the text encoder.
        scheduler: learning-rate scheduler, stepped once a batch; null for a constant rate.
        steps: clipping, accumulation and averaging.
    """

    trained = "text_encoder"
    text_encoder: TextEncoder
    predicts_audio = False

    def __init__(
        self,
        voice: VoiceModel,
        text_encoder: TextEncoder,
        cache: Path,
        scores: Scores | None = None,
        segment_seconds: float = 6.0,
        speaker_noise: float = 0.1,
        weights: dict[str, Scheduled] = {"content": 1.0, "duration": 1.0},  # noqa: B006 (shown by --help; never changed)
        optimizer: OptimizerCallable = torch.optim.AdamW,
        scheduler: LRSchedulerCallable | None = None,
        steps: StepSettings = StepSettings(),  # noqa: B008 (frozen)
    ) -> None:
        _check(voice, text_encoder)
        check_range("model.segment_seconds", segment_seconds, 1.0, 600)
        check_range("model.speaker_noise", speaker_noise, 0, 100)
        super().__init__(
            text_encoder,
            None,
            LeastSquaresLoss(),
            weights=weights,
            own_losses=_loss_names(voice, text_encoder),
            absent={},
            generator_optimizer=optimizer,
            discriminator_optimizer=optimizer,
            scheduler=scheduler,
            steps=steps,
        )
        self._voice = Frozen(voice)
        self.segment = round(segment_seconds * voice.spec.frame_rate)
        self.speaker_noise = speaker_noise
        self._empty_batches, self._warned = 0, False  # in a row; whether there was one
        self.scripts = ScriptCache(voice, cache)
        self.registers = UsualRegisters(self.scripts)
        self.texts = AlignedTexts(voice.spec, self.scripts.folder, FrontEnd(), scores)

    @property
    def feature_extractor(self) -> FeatureExtractor:
        """Extractor of the model's features, whose frames the scripts have."""
        return self._voice.module.feature_extractor

    @property
    def needs_transcripts(self) -> bool:
        """Always."""
        return True

    @property
    def figures(self) -> tuple[str, ...]:
        """Errors of content (known durations), durations in ms, and pitch in semitones where there is any."""
        return ("content", "duration_ms", *(("pitch_semitones",) if self._voice.module.pitch is not None else ()))

    def advice(self, checkpoint: Path) -> str:
        """How to give a model the text encoder."""
        return f"give it to a model with\n  lvc save VOICE --text-encoder {checkpoint} --output NEW_VOICE"

    # A batch becomes a pair ------------------------------------------------------------------------------------------

    def make_pair(self, batch: Batch) -> TrainingPair:
        """The losses of the texts of a batch; 0 without a gradient where none of its transcripts can be used.

        Raises:
            RecordingError: if none could be used in 100 batches in a row.
        """
        rows = self._rows(batch, whole=not self.training)
        if rows is None:
            return self._empty(batch)
        self._empty_batches = 0
        if self.training and rows.target.speaker is not None:
            noise = self.speaker_noise * torch.randn_like(rows.target.speaker)
            rows = replace(rows, target=replace(rows.target, speaker=rows.target.speaker + noise))
        rows = self._styled(rows)
        losses = self.text_encoder.losses(rows.tokens, rows.lengths, rows.target, rows.durations)
        content = rows.target.content[:1]  # a single row: how far rows lie apart is not compared
        return TrainingPair(content, content, Condition(rows.target.lengths), losses)

    def _empty(self, batch: Batch) -> TrainingPair:
        """Losses of 0 of all trained weights, so that accumulation and other processes go on as in any step."""
        self._empty_batches += 1
        fault = (
            f"no transcript of a batch can be used ({batch.names[0]} and others): it is missing, cannot be pronounced,"
            " or is not what the recording says"
        )
        if self._empty_batches >= MOST_EMPTY:
            raise RecordingError(f"{fault}; so in {MOST_EMPTY} batches in a row: correct the transcripts")
        if not self._warned:
            rank_zero_warn(f"{fault}; it is left out, and so are others like it, without a further warning")
            self._warned = True
        nothing = torch.stack([0 * weight.sum() for weight in self.text_encoder.parameters() if weight.requires_grad])
        content = nothing.new_zeros(1, self.text_encoder.channels, 1)
        lengths = torch.ones(1, dtype=torch.long, device=content.device)
        return TrainingPair(content, content, Condition(lengths), dict.fromkeys(self.weights, nothing.sum()))

    def _rows(self, batch: Batch, *, whole: bool) -> _Rows | None:
        """Texts and scripts of the batch's recordings, or of stretches of them; None if no transcript can be used."""
        hop = self.spec.hop_length
        found: list[tuple[TimedText, Script]] = []
        styles, data = list[str](), self._data()
        for row, (audio, frames, text) in enumerate(
            zip(batch.audio, batch.lengths.tolist(), batch.texts or [], strict=False)
        ):
            if not text:
                continue
            recording = audio[batch.margin * hop :][: frames * hop].cpu()
            script = self.scripts.script(recording)
            try:
                timed = self.texts.timed(recording, text, script)
            except LVCError:  # it cannot be pronounced, or the recording says something else
                continue
            if self.text_encoder.style_encoder is not None and batch.speakers and data is not None:
                script = self.registers.given(script, batch.speakers[row], data)
            found.append((timed if whole else with_breaks(cut(timed, self.segment)), script))
            styles.append(batch.styles[row] if batch.styles else "")
        return _together(found, styles, self.device) if found else None

    def _styled(self, rows: _Rows) -> _Rows:
        """The rows with their style vectors, where the text encoder takes any."""
        encoder = self.text_encoder.style_encoder
        if encoder is None:
            return rows
        return replace(rows, target=replace(rows.target, style=style_vectors(encoder, rows.target, rows.styles)))

    def _data(self) -> Any:
        """The DataModule; None without a Trainer or one."""
        with suppress(RuntimeError):
            return getattr(self.trainer, "datamodule", None)
        return None

    # Hooks -----------------------------------------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        """As of all modules.

        Raises:
            ConfigurationError: if the style encoder cannot read a style of the recordings, or there is none.
        """
        super().on_fit_start()
        data = self._data()
        if self.text_encoder.style_encoder is not None and data is not None:
            check_styles(self.text_encoder.style_encoder, data.styles)

    def evaluate(self, batch: Batch, stage: str) -> None:
        """Log the errors of the averaged text encoder on whole recordings."""
        rows = self._rows(batch, whole=True)
        if rows is None:
            return
        with self.averaged():
            rows = self._styled(rows)
            script = self.text_encoder(rows.tokens, rows.lengths, rows.prompt, durations=rows.durations)
            values = self._timing(rows)
        real = reach_mask(script.lengths, script.content.shape[2])[:, 0]
        values["content"] = (script.content - rows.target.content).abs().mean(1)[real].mean()
        if script.f0 is not None and rows.target.f0 is not None:
            both = (script.f0 > 0) & (rows.target.f0 > 0)
            octaves = (script.f0[both].log2() - rows.target.f0[both].log2()).abs()
            values["pitch_semitones"] = 12 * octaves.sum() / both.sum().clamp_min(1)
        for name, value in values.items():
            self.log(f"{stage}/{name}", value, prog_bar=True, batch_size=len(rows.tokens), sync_dist=True)

    def _timing(self, rows: _Rows) -> dict[str, Tensor]:
        """Mean error of the durations in ms; not a number where attention does not follow one of the texts yet."""
        try:
            predicted = self.text_encoder.durations(rows.tokens, rows.lengths, rows.prompt)
        except AlignmentError:
            return {"duration_ms": torch.tensor(math.nan, device=self.device)}  # logged in every process alike
        off = (predicted - rows.durations)[rows.durations > 0].abs().mean()
        return {"duration_ms": 1000 * off / self.spec.frame_rate}

    def predict_step(self, batch: Batch, batch_idx: int) -> None:
        """Refuse: a script is no audio."""
        raise ConfigurationError("a text encoder outputs no audio to predict; use validate or test, or lvc say")

    # Checkpoints -----------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the encoder's description, so that the checkpoint alone is enough to use it."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["text_encoder"] = description_of(self.text_encoder, self.spec)

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Refuse a checkpoint of another text encoder, before any weight is loaded.

        Raises:
            ConfigurationError: if it holds no text encoder, or one of other settings.
            SpecMismatchError: if its spec differs; names both values.
        """
        stored = checkpoint.get("text_encoder")
        if stored is None:
            raise ConfigurationError(
                "the checkpoint holds no text encoder; name one that lvc fit wrote for a TextModule"
            )
        check_join("the checkpoint", AudioSpec.from_mapping(stored["spec"]), "this configuration", self.spec)
        ours = description_of(self.text_encoder, self.spec)["part"]
        check_same_parts({"text encoder": stored["part"]}, {"text encoder": ours})
        super().on_load_checkpoint(checkpoint)


def _together(found: Sequence[tuple[TimedText, Script]], styles: list[str], device: torch.device) -> _Rows:
    """Rows of a batch from texts, the scripts of their whole recordings, and their styles."""
    texts = [text for text, _ in found]
    lengths = torch.tensor([len(text.tokens) for text in texts])
    made: dict[str, Any] = {}
    for name in found[0][1].tensors():
        values = [script.tensors()[name][0] for _, script in found]
        if name in PER_FRAME:
            parts = [value[..., text.start : text.stop].movedim(-1, 0)
                     for text, value in zip(texts, values, strict=True)]  # fmt: skip
            made[name] = pad_sequence(parts, batch_first=True).movedim(1, -1)
        else:
            made[name] = torch.stack(values)
    made["lengths"] = torch.tensor([text.stop - text.start for text in texts])
    tokens, durations = (pad_sequence([getattr(text, name) for text in texts], batch_first=True)
                         for name in ("tokens", "durations"))  # fmt: skip
    target = Script(**made).to(device)
    return _Rows(tokens.to(device), lengths.to(device), durations.to(device), target, styles)


def _loss_names(voice: VoiceModel, encoder: TextEncoder) -> set[str]:
    """Names of the encoder's losses, by a text of one token."""
    one = torch.ones(1, 1)
    script = Script(torch.ones(1, dtype=torch.long), one.new_zeros(1, encoder.channels, 1), f0=one, voicing=one,
                    energy=one, register=one[0])  # fmt: skip
    with torch.no_grad():
        return set(encoder.losses(one.long(), torch.ones(1, dtype=torch.long), script, one.long()))


def _check(voice: VoiceModel, encoder: TextEncoder) -> None:
    assert voice.content_encoder is not None
    if not any(p.requires_grad for p in encoder.parameters()):
        raise ConfigurationError(
            f"{type(encoder).__name__} cannot be trained: its pretrained weights are frozen; set finetune to train them"
            " further"
        )
    ours, theirs = (encoder.channels, encoder.frame_rate), (voice.content_encoder.channels, voice.spec.frame_rate)
    if ours != theirs:
        raise ConfigurationError(
            f"the text encoder gives {ours[0]} channels at {ours[1]:g} frames a second, but model.voice takes"
            f" {theirs[0]} at {theirs[1]:g}; build it with the widths of the model"
        )
