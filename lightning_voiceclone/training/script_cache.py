"""Scripts of whole recordings, computed once and kept: what a text encoder is trained to predict."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lightning_voiceclone import __version__
from lightning_voiceclone.checkpoints.external_weights import all_weights, weights_sha256
from lightning_voiceclone.checkpoints.part_folder import FREE
from lightning_voiceclone.core.conditions import Script
from lightning_voiceclone.core.masking import resample_frames
from lightning_voiceclone.core.part import describe
from lightning_voiceclone.features.prosody import median_f0
from lightning_voiceclone.utils.files import atomic_file
from lightning_voiceclone.voice.model import VoiceModel

SPEAKER_SECONDS = 6.0  # from the middle of a recording, for its speaker embedding
FULL_SCALE = 32768.0


class ScriptCache:
    """The scripts of recordings by a model's encoders, in a folder; computed where they are not there yet.

    A file is named by the recording's samples, its folder by the features' normaliser, the encoders, their weights and
    the versions of their packages: what was stored for others is never used. Values are stored in half precision, and
    used so from the first time on.

    Args:
        voice: frozen model, on the CPU.
        folder: in which the cache makes its own.
    """

    def __init__(self, voice: VoiceModel, folder: Path) -> None:
        self.voice = voice
        self.folder = folder / f"scripts-{_fingerprint(voice)}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def script(self, audio: Tensor) -> Script:
        """One row of content, prosody and speaker of a recording (N,), N a multiple of the hop."""
        path = self.folder / f"{digest(audio)}.safetensors"
        stored = read_stored(path)
        if stored is None:
            with torch.random.fork_rng(devices=[]):  # what follows is the same, whatever was stored
                stored = {name: value.half() for name, value in self._computed(audio).items()}
            with atomic_file(path, durable=False) as temporary:
                save_file(stored, temporary)
        values = {name: value.float() for name, value in stored.items()}
        return self._script(values, len(audio) // self.voice.spec.hop_length)

    @torch.inference_mode()
    def _computed(self, audio: Tensor) -> dict[str, Tensor]:
        voice = self.voice
        analysis = voice.analyze(audio[None])
        assert voice.content_encoder is not None
        made = {
            "content": voice.content_encoder(*voice.encoder_input(voice.content_encoder, analysis.features, analysis))
        }
        made |= {name: value for name, value in analysis.tensors().items() if name in ("f0", "voicing", "energy")}
        if voice.speaker_encoder is not None:
            most = int(SPEAKER_SECONDS * voice.spec.frame_rate) * voice.spec.hop_length
            middle = audio[max(len(audio) - most, 0) // 2 :][:most]
            made["speaker"] = voice.embed(voice.analyze(middle[None], prosody=False))
        return {name: value.contiguous() for name, value in made.items()}

    def _script(self, values: dict[str, Tensor], frames: int) -> Script:
        assert self.voice.content_encoder is not None
        rates = self.voice.content_encoder.frame_rate, self.voice.spec.frame_rate
        content = resample_frames(values.pop("content"), frames, *rates)
        register = median_f0(values["f0"]) if "f0" in values else None
        return Script(torch.tensor([frames]), content, register=register, **values)


def digest(audio: Tensor, *more: str) -> str:
    """Name of a recording (N,) by its samples, and of what else decides a result."""
    samples = np.rint(audio.numpy() * FULL_SCALE).astype(np.int32)
    made = hashlib.sha256(samples.tobytes())
    for one in more:
        made.update(b"\0" + one.encode())
    return made.hexdigest()[:24]


def read_stored(path: Path) -> dict[str, Tensor] | None:
    """What is stored; None where nothing is, or where the file is damaged, so that it is computed again."""
    try:
        return load_file(path) if path.is_file() else None
    except (SafetensorError, OSError):
        return None


def _fingerprint(voice: VoiceModel) -> str:
    parts: dict[str, Any] = {"version": __version__, "normalizer": weights_sha256(all_weights(voice.normalizer))}
    for role in ("content_encoder", "speaker_encoder", "pitch", "energy"):
        part = getattr(voice, role)
        if part is None:
            continue
        made = describe(part)
        arguments = {name: value for name, value in made["arguments"].items() if name not in FREE}
        parts[role] = [made["name"], made["version"], arguments, weights_sha256(all_weights(part))]
    text = json.dumps([voice.spec.to_mapping(), parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
