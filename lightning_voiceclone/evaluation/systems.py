"""What is measured: a model, files of another system, a copy by the vocoder, or the recordings themselves."""

import hashlib
import logging
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lightning_voiceclone.audio.checks import check_recording
from lightning_voiceclone.audio.folders import DECODED
from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.checkpoints.external_weights import all_weights, weights_sha256
from lightning_voiceclone.checkpoints.vocoder_choice import choose_vocoder, chosen
from lightning_voiceclone.checkpoints.voice_folder import load_voice, voice_path
from lightning_voiceclone.core.interfaces import FeatureExtractor, MetricSource, Vocoder
from lightning_voiceclone.core.part import describe
from lightning_voiceclone.core.spec import check_join
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.evaluation.metrics.sources import metric_source
from lightning_voiceclone.evaluation.pairs import Pair
from lightning_voiceclone.features.prosody import pitch_beside, tracked
from lightning_voiceclone.inference.converter import Converter, moved
from lightning_voiceclone.utils.optional import file_sha256
from lightning_voiceclone.voice.compatibility import check_guidance

logger = logging.getLogger(__name__)
LEAST_SECONDS = 0.1  # of a recording that can be measured


class System(ABC):
    """Makes the clone of a pair. ``parallel`` is whether a perfect clone would be the source itself."""

    kind: ClassVar[str]
    parallel: ClassVar[bool] = False

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Its description in the report: kind, name, and hashes; equal for equal systems."""

    @abstractmethod
    def convert(self, pair: Pair) -> tuple[np.ndarray, int]:
        """The clone's samples (N,) and their rate.

        Raises:
            RecordingError: if the pair cannot be cloned, or its clone cannot be measured.
        """

    def made_from(self, pair: Pair) -> list[Path]:
        """Files on which the clone depends, besides the system itself."""
        return [pair.source, pair.reference]

    def speaker_encoders(self) -> list[MetricSource]:
        """Speaker encoders that the system was trained with, as far as known."""
        return []


class ClonedBy(System):
    """A model of this project.

    Args:
        checkpoint: a .ckpt of ``lvc fit``, a model folder of ``lvc save``, or "default" for the model that ships.
        vocoder: used instead of the model's own, named as for ``lvc clone --vocoder``; None for its own.
        seed: of the noise, if the model takes any.
        guidance: as for :meth:`~lightning_voiceclone.voice.model.VoiceModel.convert`; None for the model's own.
        device: where to compute.

    Raises:
        LVCError: as :func:`~lightning_voiceclone.checkpoints.voice_folder.load_voice`.
        ConfigurationError: if the guidance is out of range, or the model can have none.
    """

    kind = "clone"

    def __init__(
        self,
        checkpoint: str | Path,
        *,
        vocoder: str | None = None,
        seed: int = 0,
        guidance: float | None = None,
        device: str = "cpu",
    ) -> None:
        self.checkpoint, self.seed = voice_path(checkpoint), seed
        self.voice, self._sha256 = _load(self.checkpoint, vocoder, device)
        self.converter = Converter(self.voice, note=logger.debug)
        self.guidance = self.voice.guidance if guidance is None else guidance
        check_guidance(self.voice, self.guidance)

    def describe(self) -> dict[str, Any]:
        """Path and hash of the checkpoint, the vocoder, the seed and the guidance."""
        return {"kind": self.kind, "name": f"{self.checkpoint}, {type(self.voice.vocoder).__name__}",
                "sha256": self._sha256, "vocoder_sha256": _weights_sha256(self.voice.vocoder),
                "seed": self.seed, "guidance": self.guidance, "denoise": self.converter.denoise,
                "speaker_encoders": [encoder.name for encoder in self.speaker_encoders()]}  # fmt: skip

    def convert(self, pair: Pair) -> tuple[np.ndarray, int]:
        """Clone the pair as ``lvc clone`` does by default; notes on the recordings are not shown."""
        speaker = self.converter.speaker(pair.reference)
        clone, rate = self.converter.convert(pair.source, speaker, seed=self.seed, guidance=self.guidance)
        return np.asarray(clone), rate

    def speaker_encoders(self) -> list[MetricSource]:
        """That of the model."""
        return [metric_source(part) for part in (self.voice.speaker_encoder,) if part is not None]


class Copy(System):
    """Analysis and resynthesis of the source by the vocoder alone: the upper limit for models with this vocoder.

    Args:
        extractor: of the features.
        vocoder: synthesises from the features.
        checkpoint: that both come from; None if from none.
        device: where to compute.

    Raises:
        SpecMismatchError: if the two disagree on the features.
    """

    kind = "copy"
    parallel = True

    def __init__(
        self,
        extractor: FeatureExtractor,
        vocoder: Vocoder,
        *,
        pitch: FeatureExtractor | None = None,
        checkpoint: str | Path | None = None,
        device: str = "cpu",
    ) -> None:
        check_join("the feature extractor", extractor.spec, "the vocoder", vocoder.spec)
        self.checkpoint, self.device = None if checkpoint is None else voice_path(checkpoint), device
        self.extractor, self.vocoder = moved(extractor.eval(), device), moved(vocoder.eval(), device)
        self.pitch = (pitch or pitch_beside(extractor.spec)) if "f0" in vocoder.needs else None

    @classmethod
    def named(cls, checkpoint: str | None = None, vocoder: str | None = None, *, device: str = "cpu") -> "Copy":
        """The features of a model (by default mel) through its vocoder, or another that ``vocoder`` names.

        Raises:
            LVCError: as :func:`~lightning_voiceclone.checkpoints.voice_folder.load_voice`.
        """
        from lightning_voiceclone.features.spectral import MelSpectrogram

        voice = None if checkpoint is None else load_voice(checkpoint)
        extractor = MelSpectrogram() if voice is None else voice.feature_extractor
        if voice is not None and vocoder is None:
            chosen_vocoder = voice.vocoder
        else:  # for features of recordings; load_voice(checkpoint, vocoder) would configure it for generated ones
            chosen_vocoder = choose_vocoder(vocoder or "GriffinLim", extractor.spec)
        pitch = None if voice is None else voice.pitch
        return cls(extractor, chosen_vocoder, pitch=pitch, checkpoint=checkpoint, device=device)

    def describe(self) -> dict[str, Any]:
        """Features, vocoder, and the hashes of the checkpoint that they are from and of the vocoder's weights."""
        settings = describe(self.vocoder)["arguments"]
        listed = ", ".join(
            f"{name}={value}" for name, value in settings.items() if name != "spec" and value is not None
        )
        name = f"{type(self.extractor).__name__}, {type(self.vocoder).__name__}({listed})"
        known = {} if self.checkpoint is None else {"checkpoint": str(self.checkpoint)}
        sha256 = None if self.checkpoint is None else path_sha256(self.checkpoint)
        return {"kind": self.kind, "name": name, **known, "sha256": sha256,
                "vocoder_sha256": _weights_sha256(self.vocoder)}  # fmt: skip

    @torch.inference_mode()
    def convert(self, pair: Pair) -> tuple[np.ndarray, int]:
        """The source, analysed and resynthesised."""
        rate = self.extractor.spec.sample_rate
        audio = _tensor(pair.source, rate, self.device)
        given = {"f0": tracked(audio[None], self.pitch)} if self.pitch else {}
        return self.vocoder(self.extractor(audio[None]), **given)[0].clamp(-1, 1).cpu().numpy(), rate


class GroundTruth(System):
    """The source itself: the upper limit of words and quality, and the lower limit of similarity to the reference."""

    kind = "ground-truth"
    parallel = True

    def describe(self) -> dict[str, Any]:
        """Nothing but the name."""
        return {"kind": self.kind, "name": "the source recordings themselves", "sha256": None}

    def convert(self, pair: Pair) -> tuple[np.ndarray, int]:
        """The source."""
        return read_audio(pair.source)

    def made_from(self, pair: Pair) -> list[Path]:
        """The source alone."""
        return [pair.source]


class Converted(System):
    """Files that some other system made, called CASE.wav (or another suffix of audio, in any case of letters).

    Args:
        folder: where they are.

    Raises:
        ConfigurationError: if there is no such folder.
    """

    kind = "converted"

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ConfigurationError(
                f"there is no folder {folder} of converted recordings; name one with CASE.wav files"
            )
        found = [path for path in self.folder.iterdir() if path.suffix.lower() in DECODED and path.is_file()]
        # Of several, uncompressed first: the later ones of a mapping stay.
        self._files = {path.stem: path for path in sorted(found, key=lambda path: path.suffix.lower() == ".wav")}

    def describe(self) -> dict[str, Any]:
        """Path of the folder; the files' own changes are noticed case by case."""
        return {"kind": self.kind, "name": str(self.folder), "sha256": None}

    def file(self, pair: Pair) -> Path:
        """The pair's file, whether it is there or not."""
        return self._files.get(pair.case, self.folder / f"{pair.case}.wav")

    def convert(self, pair: Pair) -> tuple[np.ndarray, int]:
        """The file's samples."""
        if pair.case not in self._files:
            raise RecordingError(f"there is no such file as {pair.case[:100]}.wav in {self.folder}")
        check_recording(self.file(pair), min_seconds=LEAST_SECONDS)
        return read_audio(self.file(pair))

    def made_from(self, pair: Pair) -> list[Path]:
        """The file alone."""
        return [self.file(pair)]


def _load(checkpoint: Path, vocoder: str | None, device: str) -> tuple[Any, str]:
    """A model, and the hash of the file that it was loaded from, which a running training may replace meanwhile."""
    sha256 = path_sha256(checkpoint)
    voice = load_voice(checkpoint, chosen(vocoder))
    if path_sha256(checkpoint) != sha256:
        raise ConfigurationError(
            f"{checkpoint} was replaced while it was read; try again, or name a checkpoint that stays"
        )
    return moved(voice, device), sha256


def _weights_sha256(vocoder: Vocoder) -> str | None:
    """Hash of a vocoder's weights; None if it has none."""
    weights = all_weights(vocoder)
    return weights_sha256(weights) if weights else None


def _tensor(path: Path, rate: int, device: str) -> Tensor:
    return torch.from_numpy(read_audio(path, rate)[0]).to(device)


def path_sha256(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files in the order of their names, except documents (``.md``)."""
    if path.is_file():
        return file_sha256(path)
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file() and file.suffix != ".md"):
        digest.update(f"{file.relative_to(path)}\0{file_sha256(file)}\n".encode())
    return digest.hexdigest()


def check_clone(audio: np.ndarray, rate: int) -> None:
    """Refuse a clone that cannot be measured.

    Raises:
        RecordingError: if its samples are not finite, it is silent (peak below -60 dB) or lasts less than 0.1 s.
    """
    if not np.isfinite(audio).all():
        raise RecordingError("the clone has samples that are NaN or infinite")
    if len(audio) < LEAST_SECONDS * rate:
        raise RecordingError(f"the clone lasts {len(audio) / rate:.3f} s, least {LEAST_SECONDS} s")
    if np.abs(audio).max() < 1e-3:
        raise RecordingError("the clone is silent (peak below -60 dB)")
