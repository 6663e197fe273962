"""The target speaker as a value: analysed references, and the file that keeps them."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
from safetensors import SafetensorError

from lightning_voiceclone.core.conditions import SpeakerPrompt
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.files import atomic_file

SPEAKER_SUFFIX = ".voice"
FORMAT = 1
GREATEST_BYTES = 1 << 28  # of a speaker file; a minute of reference takes 3 MB


@dataclass(frozen=True)
class Speaker:
    """A target speaker: references that were analysed once, for any number of conversions.

    Args:
        prompt: one row, on the CPU.
        model_sha256: hash of the encoders that made it; another model's speaker is refused.
    """

    prompt: SpeakerPrompt
    model_sha256: str

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the speaker to a file, whole or not at all; ``Converter.speaker`` reads it.

        Raises:
            ConfigurationError: if the path does not end in ``.voice``.
            OSError: if the file cannot be written.
        """
        path = Path(path)
        if path.suffix != SPEAKER_SUFFIX:
            raise ConfigurationError(f"{path}: a speaker is saved as {SPEAKER_SUFFIX}; name it {path.stem}.voice")
        header = {"format": FORMAT, "model_sha256": self.model_sha256}
        tensors = {name: tensor.contiguous() for name, tensor in self.prompt.tensors().items()}
        with atomic_file(path) as temporary:
            temporary.write_bytes(safetensors.torch.save(tensors, {"speaker": json.dumps(header)}))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Speaker":
        """Read a file of :meth:`save`. No code of the file runs.

        Raises:
            ConfigurationError: if the file is missing, damaged, or no speaker.
        """
        path = Path(path)
        if not path.is_file():
            raise ConfigurationError(f"{path}: there is no such file; Speaker.save writes one")
        if path.stat().st_size > GREATEST_BYTES:
            raise ConfigurationError(f"{path}: larger than any speaker ({path.stat().st_size} bytes); save it again")
        try:
            with safetensors.safe_open(path, "pt") as file:
                header = json.loads((file.metadata() or {}).get("speaker", "null"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            prompt = SpeakerPrompt(**tensors)
            speaker = cls(prompt, str(header["model_sha256"]))
        except (SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise ConfigurationError(f"{path} is no speaker, or is damaged; Speaker.save writes one") from error
        if header.get("format") != FORMAT:
            raise ConfigurationError(f"{path} has format {header.get('format')!r}, this version reads {FORMAT}")
        return speaker
