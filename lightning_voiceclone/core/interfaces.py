"""The contracts of all parts, in one place.

Letters, here and everywhere: B batch, N samples, T frames, F feature channels, C content channels, D numbers of a
speaker embedding, S of a style vector, Z noise, R frames of a reference.
"""

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lightning_voiceclone.core.conditions import Condition, Script, SpeakerPrompt
from lightning_voiceclone.core.part import Dims, Part
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.streaming import Context, State
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError

__all__ = [
    "AdversarialLoss",
    "AudioTransform",
    "ContentEncoder",
    "Corpus",
    "Dims",
    "Discriminator",
    "FeatureExtractor",
    "FeatureTransform",
    "Generator",
    "MetricSource",
    "Part",
    "Recognizer",
    "Recording",
    "SpeakerEncoder",
    "StyleEncoder",
    "TextEncoder",
    "Vocoder",
]


class FeatureExtractor(Part):
    """Audio to features, without trained weights, so that its output can be cached.

    ``forward(audio (B, N)) -> (B, F, T)`` with T = N // hop, on the audio's device; audio in [-1, 1].
    Frame t is centred on sample (t + 1/2) * hop. ``spec`` defines the features exactly, ``context`` the frames whose
    samples a frame depends on.
    """

    kind: ClassVar[str] = "feature_extractors"
    context: Context = Context()
    spec: AudioSpec

    @property
    def margin(self) -> int:
        """Frames of audio on either side of a crop with which its features equal a slice of the whole recording's.

        With an infinite context it is half a second, and the features are only close to that slice.
        """
        furthest = max(self.context.left, self.context.right)
        return math.ceil(self.spec.frame_rate / 2) if math.isinf(furthest) else int(furthest)

    def channel_frequencies(self) -> Tensor | None:
        """Centre frequency (F,) of each channel in Hz, 0 for one that is no frequency; None where none is.

        Recordings of a lower sample rate have no sound in the upper channels, which losses then leave out.
        """
        return None

    @abstractmethod
    def forward(self, audio: Tensor) -> Tensor:
        """Features (B, F, T) of audio (B, N)."""


class ContentEncoder(Part):
    """Linguistic content, without the speaker: ``forward(x, lengths) -> (B, C, T')`` at its own ``frame_rate``.

    ``takes`` is the type of x: "features" (B, F, T), normalised (in the extractor's own units if ``normalized`` is
    False), or "audio" (B, N) at ``sample_rate`` Hz (any, if None). lengths (B,): frames of features or samples of audio
    that are real, or None for all. Trained with the generator if its parameters require gradients. ``channels`` is C.
    """

    kind: ClassVar[str] = "content_encoders"
    takes: Literal["features", "audio"] = "features"
    normalized: bool = True
    sample_rate: int | None = None
    context: Context = Context()
    channels: int
    frame_rate: float

    @abstractmethod
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Content (B, C, T')."""

    def fit_statistics(self, features: Iterable[Tensor]) -> None:
        """Take statistics of features (B, F, T) of training recordings, once, before training; by default none."""


class SpeakerEncoder(Part):
    """Speaker embedding: ``forward(x, lengths) -> (B, D)``.

    ``takes``, ``normalized``, ``sample_rate`` and lengths as in :class:`ContentEncoder`; an encoder of features allows
    losses on generated features without a vocoder. ``channels`` is D. ``one_speaker`` is the minimum cosine between the
    mean embeddings of two clusters of 1.6 s windows for a recording to count as one speaker; None disables this check
    of references.
    """

    kind: ClassVar[str] = "speaker_encoders"
    takes: Literal["features", "audio"] = "features"
    normalized: bool = True
    sample_rate: int | None = None
    channels: int
    one_speaker: float | None = None

    @abstractmethod
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embedding (B, D)."""

    def fit_statistics(self, features: Iterable[Tensor]) -> None:
        """Take statistics of features (B, F, T) of training recordings, once, before training; by default none."""


def check_rate(encoder: ContentEncoder | SpeakerEncoder | None, spec: AudioSpec) -> None:
    """Refuse an encoder of audio at another sample rate than that of the features.

    Raises:
        SpecMismatchError: names both rates.
    """
    if encoder is not None and encoder.takes == "audio" and encoder.sample_rate not in (None, spec.sample_rate):
        raise SpecMismatchError(
            f"sample_rate is {spec.sample_rate} in the feature extractor but {encoder.sample_rate} in"
            f" {type(encoder).__name__}; give both the same value"
        )


class StyleEncoder(Part):
    """How something is said, as a vector: ``forward(x) -> (B, S)``. A text encoder is trained with it and takes it.

    ``takes`` is the type of x: "script", the :class:`Script` of recordings, of any speakers; or "value", what
    :meth:`read` makes of values that name styles (labels, paths of pictures), stacked to (B, ...). ``channels`` is S.
    """

    kind: ClassVar[str] = "style_encoders"
    takes: Literal["script", "value"] = "script"
    channels: int

    @abstractmethod
    def forward(self, x: Any) -> Tensor:
        """Style vectors (B, S)."""

    def read(self, value: str) -> Tensor:
        """Input (...) for one row, of a value: of the column ``style`` of a table, or of ``lvc say --style``.

        Raises:
            ConfigurationError: if the value names no style, or the encoder takes scripts.
        """
        raise ConfigurationError(
            f"{type(self).__name__} takes a style from recordings, not from values such as {value!r:.60}"
        )


class TextEncoder(Part):
    """Text to a script: ``forward(tokens, lengths, prompt=None, *, speed=1.0, durations=None) -> Script``.

    The script has the fields that ``VoiceModel.script`` makes of a recording, but no ``speaker``, so that text and
    recordings meet in one generator: content of ``channels`` = ``dims.content`` channels, f0, voicing and register
    where ``dims.pitch``, energy where ``dims.energy``, at ``frame_rate`` = ``dims.frame_rate`` frames a second. Built
    with ``dims`` as generators are.

    Tokens come in order, each with frames of its own, whose number :meth:`durations` predicts and the caller may
    change: by that, breaks, rates and times of words are exact whatever the encoder.

    ``style_encoder`` encodes the styles that it takes; None if it takes none. One that has a style encoder takes style
    vectors (B, S) as ``prompt.style``, and as ``target.style`` of the losses. Either may be None: then the style is no
    particular one.
    """

    kind: ClassVar[str] = "text_encoders"
    channels: int
    frame_rate: float
    style_encoder: StyleEncoder | None

    def __init__(self) -> None:
        super().__init__()
        self.style_encoder = None

    @abstractmethod
    def durations(self, tokens: Tensor, lengths: Tensor, prompt: SpeakerPrompt | None = None) -> Tensor:
        """Frames (B, L) of each token at the encoder's own tempo: real numbers of at least 0; 0 for padding.

        Args:
            tokens: (B, L) integers; the encoder defines their meaning.
            lengths: (B,) tokens that are real.
            prompt: target speaker and style, for timing; None for no particular ones.

        Raises:
            AlignmentError: if the encoder finds durations by attention, and this does not follow the text.
        """

    @abstractmethod
    def forward(
        self,
        tokens: Tensor,
        lengths: Tensor,
        prompt: SpeakerPrompt | None = None,
        *,
        speed: float = 1.0,
        durations: Tensor | None = None,
    ) -> Script:
        """The script of a text.

        Args:
            tokens: (B, L) integers; the encoder defines their meaning.
            lengths: (B,) tokens that are real.
            prompt: target speaker and style, for timing and melody; None for no particular ones.
            speed: tempo relative to the encoder's own.
            durations: (B, L) whole frames (int64) of each token, 0 for padding, in place of the encoder's own and of
                ``speed``. The script's lengths are their sums.

        Raises:
            AlignmentError: as of :meth:`durations`, where they are not given.
        """

    @abstractmethod
    def losses(
        self, tokens: Tensor, lengths: Tensor, target: Script, durations: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Training losses by name, one value (B,) a row: distances from the scripts of recordings.

        Args:
            tokens: (B, L).
            lengths: (B,) tokens that are real.
            target: of recordings of the same texts.
            durations: (B, L) whole frames of each token in the recordings, as an aligner finds them; None where they
                are not known. An encoder that aligns by itself may ignore them.
        """


class Generator(Part):
    """Condition to features: ``forward(condition) -> (B, F, T)``, normalised as the module normalises them.

    ``needs`` names the fields of the condition that it requires. Built with the project's widths as the first,
    positional argument: ``def __init__(self, dims: Dims, *, layers: int = 4)``.
    """

    kind: ClassVar[str] = "generators"
    context: Context = Context()
    needs: frozenset[str] = frozenset()
    loss_names: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def forward(self, condition: Condition) -> Tensor:
        """Features (B, F, T)."""

    def forward_with_losses(self, condition: Condition) -> tuple[Tensor, dict[str, Tensor]]:
        """Features, and the generator's own losses that ``loss_names`` lists, one value (B,) a row for its frames."""
        return self(condition), {}

    def encode_reference(self, condition: Condition) -> State:
        """What depends on the reference alone, for generators with a state; by default nothing.

        It is computed once for as long as the reference is the same, and added to the state of each chunk.

        Args:
            condition: only ``reference_frames``, ``reference_content`` and ``reference_lengths`` are used.
        """
        return {}

    def use_depth(self, depth: int, *, fresh: bool = False) -> None:
        """Compute the first ``depth`` blocks alone; the output stays the same when further ones join.

        Args:
            depth: number of blocks, from 1.
            fresh: whether the others have not been trained yet, and begin by adding nothing.

        Raises:
            ConfigurationError: if this generator cannot grow, or has fewer blocks.
        """
        raise ConfigurationError(
            f"{type(self).__name__} cannot grow block by block; use ConvGenerator or ReferenceGenerator, or leave out"
            " model.depth"
        )


class Discriminator(Part):
    """Real or fake: ``forward(x, condition) -> list of lists of feature maps``, the last of each list the logits.

    One inner list for each sub-discriminator (scale, period). ``takes`` is the type of x: "features" (B, F, T) or
    "audio" (B, 1, N). Higher logits mean real. Built with ``dims`` as generators are. ``per_row`` is False where the
    output for a row depends on the other rows of the batch (minibatch statistics), on the class or in the constructor.
    """

    kind: ClassVar[str] = "discriminators"
    per_row: bool = True
    takes: Literal["features", "audio"] = "features"

    @abstractmethod
    def forward(self, x: Tensor, condition: Condition | None = None) -> list[list[Tensor]]:
        """Feature maps of each sub-discriminator; the last of each is its logits, any shape beginning with B."""

    def begin_step(self) -> None:
        """Called before each training step; a discriminator that uses a random subset of its parts draws it here."""


class AdversarialLoss(Part):
    """Losses of discriminator and generator on logits: lists with one tensor for each sub-discriminator.

    Each loss has one value (B,) a row; the batch's is their mean. ``per_row`` is False where a row's value depends on
    the logits of other rows, as in losses that compare with the mean logit of the batch.
    """

    kind: ClassVar[str] = "adversarial_losses"
    per_row: bool = True

    @abstractmethod
    def discriminator(self, real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> Tensor:
        """Loss (B,) of the discriminator, the mean over sub-discriminators."""

    @abstractmethod
    def generator(self, fake_logits: Sequence[Tensor]) -> Tensor:
        """Loss (B,) of the generator, the mean over sub-discriminators."""

    def penalty(
        self, discriminator: Discriminator, real: Tensor, fake: Tensor, condition: Condition | None
    ) -> Tensor | None:
        """Weighted term (B,) that is added to the discriminator's loss; None for none."""
        return None


class Vocoder(Part):
    """Features to a waveform: ``forward(features (B, F, T)) -> audio (B, T * hop)`` in [-1, 1].

    Built with the spec of the features as the first, positional argument; ``spec`` is that of its input.
    One that claims "likelihood" in ``capabilities`` can be trained by :meth:`likelihood`, without a discriminator.
    ``needs`` is what it takes beside the features: nothing, or {"f0"}: ``forward`` and ``forward_chunk`` then take
    ``f0`` (B, T) too, in Hz, 0 in frames without voice, and give a sound without it as well.
    """

    kind: ClassVar[str] = "vocoders"
    context: Context = Context()
    spec: AudioSpec
    needs: frozenset[str] = frozenset()

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Audio (B, T * hop) of features (B, F, T), in the extractor's own units."""

    def likelihood(self, features: Tensor, audio: Tensor) -> Tensor:
        """Negative logarithm of the likelihood of audio (B, T * hop) given its features, (B,) in bits a sample.

        Raises:
            ConfigurationError: if this vocoder does not claim "likelihood".
        """
        raise ConfigurationError(
            f"{type(self).__name__} has no likelihood; train it against a discriminator or by a distance of spectra"
        )

    def fit_statistics(self, features: Iterable[Tensor]) -> None:
        """Take statistics of features (B, F, T) of training recordings, once, before training; by default none."""

    def check(self, features: Tensor) -> None:
        """Refuse features that this vocoder cannot convert to audio.

        Raises:
            SpecMismatchError: if the number of channels is not that of the spec.
            ConfigurationError: if there are no frames, or values that are not finite.
        """
        name = type(self).__name__
        if features.ndim != 3 or features.shape[1] != self.spec.channels:
            raise SpecMismatchError(
                f"{name} expects features (batch, {self.spec.channels}, frames) but got {tuple(features.shape)};"
                f" give it what the {self.spec.kind} extractor of its spec yields"
            )
        if features.shape[2] == 0:
            raise ConfigurationError(f"{name} got no frames; give it at least one")
        if not torch.compiler.is_exporting() and not features.isfinite().all():
            raise ConfigurationError(
                f"{name} got {int((~features.isfinite()).sum())} values that are not finite (NaN or infinite);"
                " the generator that made them has diverged: lower its learning rate, or take an earlier checkpoint"
            )


class AudioTransform(Part):
    """Audio to audio. ``stage`` is where it may be used.

    "prepare": a whole recording, ``forward(audio (channels, N), sample_rate) -> (channels', N')``; may change the
    length. "training": a batch, ``forward(audio (B, N), sample_rate) -> (B, N)``, drawn anew for each row from
    torch's own random state; keeps the shape. ``keeps_timing`` is False if it moves sound in time,
    ``keeps_voice`` is False if it changes the speaker.
    """

    kind: ClassVar[str] = "audio_transforms"
    stage: ClassVar[Literal["prepare", "training"]]
    keeps_timing: ClassVar[bool] = True
    keeps_voice: ClassVar[bool] = True

    @abstractmethod
    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Transformed audio."""


class FeatureTransform(Part):
    """Features to features of the same shape (B, F, T), in training only; drawn anew for each row."""

    kind: ClassVar[str] = "feature_transforms"

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Transformed features (B, F, T)."""


@dataclass(frozen=True)
class Recording:
    """One line of a corpus, before it is checked.

    Args:
        path: of the file, relative to the corpus's root.
        speaker: name of the speaker.
        text: transcript; empty where unknown.
        start: seconds from the file's beginning.
        end: seconds from the file's beginning, or None for all of it.
        split: train, validation or test where the corpus declares it; else empty.
        parallel: path of a recording with the same words at the same times in another voice; empty if there is none.
        style: how it is said, as a style encoder reads it (a label); empty where unknown.
    """

    path: str
    speaker: str
    text: str = ""
    start: float = 0.0
    end: float | None = None
    split: str = ""
    parallel: str = ""
    style: str = ""


class Corpus(Part):
    """A tree of recordings: built with its root as the first, positional argument."""

    kind: ClassVar[str] = "corpora"
    root: Path
    passed_over: Counter[str] = Counter()  # by reason, recordings that the last listing left out; assigned, not changed

    @abstractmethod
    def recordings(self) -> Iterator[Recording]:
        """Recordings in a reproducible order.

        Raises:
            ConfigurationError: if the root does not look like this corpus; names the remedy.
        """

    @classmethod
    def download(cls, root: Path, **options: object) -> None:
        """Fetch the corpus into ``root``, where there is a network.

        Raises:
            ConfigurationError: if this corpus cannot be fetched.
        """
        raise ConfigurationError(f"{cls.__name__} has no download; copy the recordings to {root} yourself")


@dataclass(frozen=True)
class MetricSource:
    """The model or method that computed a metric, so that values of different ones are never compared.

    Args:
        name: of the model or the method.
        version: of the package that supplies it.
        sha256: of its weights, hexadecimal; None where it has none.
    """

    name: str
    version: str
    sha256: str | None = None


class Recognizer(Part):
    """Speech recogniser: ``forward(audio (N,), sample_rate) -> text``. ``source`` identifies its model.

    The contract of metrics, ``Metric``, is in ``evaluation/metrics/metric.py``: importing torchmetrics takes longer
    than loading a model.
    """

    kind: ClassVar[str] = "recognizers"
    source: MetricSource

    @abstractmethod
    def transcribe(self, audio: Tensor, sample_rate: int) -> str:
        """The words of audio (N,), as the recogniser writes them; empty if it finds none.

        Raises:
            RecordingError: if it cannot transcribe such audio.
        """

    def forward(self, audio: Tensor, sample_rate: int) -> str:
        """As :meth:`transcribe`."""
        return self.transcribe(audio, sample_rate)
