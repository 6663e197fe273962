"""An exported model beside the one it was made of: the greatest differences of each step and of the samples."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.voice.model import VoiceModel
from lightning_voiceclone.voice.options import RenderOptions

LIMIT = 1e-4  # of samples, in full scale, from the same features
# From the recording: torch's transform, in single precision, rounds quiet bands, by up to 5e-4 in their logarithm. With
# its own in double precision, torch differs from itself by 2e-4 of full scale (10 s of LibriSpeech).
OWN_LIMIT = 1e-3
OWN = "samples, own features"
SEED = 0
PUSHES = 12  # at random, of the recording


@torch.inference_mode()
def differences(
    voice: VoiceModel, runtime: Any, source: np.ndarray, reference: np.ndarray
) -> Iterator[tuple[str, float]]:
    """What is compared, and the greatest difference: of each graph given the same input, then of the samples.

    Args:
        voice: the model, in ``eval``, on the CPU.
        runtime: an ``lvc_runtime.Runtime`` of its export.
        source: (N,) samples at the model's rate.
        reference: (N,) samples of the target.
    """
    audio = torch.from_numpy(source)[None]
    analysis = voice.analyze(audio, centre=False)
    ours = runtime.parts.analyse(source)
    for name in ("features", "f0", "voicing", "energy"):
        if (value := getattr(analysis, name)) is not None:
            yield name, _greatest(value, ours[name])
    frames = {name: value.numpy() for name, value in analysis.tensors().items()}
    for name, encoder in (("content_encoder", voice.content_encoder), ("speaker_encoder", voice.speaker_encoder)):
        if encoder is not None:
            made = encoder(*voice.encoder_input(encoder, analysis.features, analysis))
            graph = runtime.parts.embed(frames) if name == "speaker_encoder" else _content(runtime, frames)
            yield name, _greatest(made, graph)
    prompt = voice.prompt([torch.from_numpy(reference)], voice.spec.sample_rate)
    script = voice.script_from_analysis(voice.analyze(audio))
    condition = voice.condition(script, prompt)
    features = voice.generator(condition)
    made, _ = runtime.parts.run("generator", _fields(condition), runtime.parts.init_state("generator") or {}, 0)
    yield "generator", _greatest(features, made["features"])
    given = {"features": features.numpy()}
    if "f0" in voice.vocoder.needs and condition.f0 is not None:
        given["f0"] = condition.f0.numpy()
    made, _ = runtime.parts.run("vocoder", given, runtime.parts.init_state("vocoder") or {}, 0)
    yield "vocoder", _greatest(voice.vocode(features, condition.f0).clamp(-1, 1), np.clip(made["samples"], -1, 1))
    yield from _samples(voice, runtime, source, reference)


def _samples(voice: VoiceModel, runtime: Any, source: np.ndarray, reference: np.ndarray) -> Iterator[tuple[str, float]]:
    from lvc_runtime.conversion import Conversion, Parts

    class TorchAnalysis(Parts):
        """The exported parts, but with the features of torch."""

        def analyse(self, audio: np.ndarray, begin: int = 0, end: int | None = None) -> dict[str, np.ndarray]:
            analysis = voice.analyze(torch.from_numpy(audio)[None], centre=False)
            made = {name: value.numpy() for name, value in analysis.tensors().items() if name != "lengths"}
            made["power"] = np.square(made["audio"].reshape(1, -1, self.hop)).mean(-1)
            sizes = {"audio": self.hop}
            return {name: value[..., begin * sizes.get(name, 1) : None if end is None else end * sizes.get(name, 1)]
                    for name, value in made.items()}  # fmt: skip

    rate = voice.spec.sample_rate
    prompt = voice.prompt([torch.from_numpy(reference)], rate)
    expected = voice.convert(torch.from_numpy(source), prompt, rate)
    speaker, strength = runtime.analysed([reference]), voice.strength(RenderOptions())
    conversion = Conversion(runtime.parts)
    own, _ = conversion.push(source, conversion.init_state(), speaker, guidance=strength, final=True)
    yield OWN, _greatest(expected, own["samples"][0])
    conversion = Conversion(TorchAnalysis(runtime.folder))
    whole, state = conversion.push(source, conversion.init_state(), speaker, guidance=strength, final=True)
    yield "samples", _greatest(expected, whole["samples"][0])
    if conversion.waiting:
        return
    chunks, state = [], conversion.init_state(conversion.statistics_of(state))
    edges = np.sort(np.random.default_rng(SEED).integers(0, len(source), PUSHES))
    pieces = np.split(source, edges)
    for index, piece in enumerate(pieces):
        made, state = conversion.push(piece, state, speaker, guidance=strength, final=index == len(pieces) - 1)
        chunks.append(made["samples"][0] if made else np.zeros(0, np.float32))
    yield "samples, in chunks", _greatest(expected, np.concatenate(chunks))


def _content(runtime: Any, frames: dict[str, np.ndarray]) -> np.ndarray:
    made, _ = runtime.parts.content(frames, runtime.parts.init_state("content_encoder") or {}, 0)
    return np.asarray(made)


def _fields(condition: Condition) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in condition.tensors().items()}


def _greatest(expected: torch.Tensor, made: np.ndarray) -> float:
    if tuple(expected.shape) != made.shape:
        return float("inf")
    return float(np.abs(expected.numpy().astype(np.float64) - made).max())
