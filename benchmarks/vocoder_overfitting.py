"""Each trainable vocoder overfits one utterance of 2 s, in a stated number of steps.

    python benchmarks/vocoder_overfitting.py ../shared/speech/LJSpeech/wavs/LJ001-0001.flac --steps 300

Without a recording the utterance is synthetic. A step sees a random half second of it. Those with a likelihood are
trained by it (bits a sample; 8 is the chance level), the others by the mel loss of VocoderModule alone, and measured by
the mean absolute difference of the natural-log mel features of the whole utterance. Adam with a rate of 1e-3. Weights
are fresh; HiFiGAN is its version v2.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.core import registry
from lightning_voiceclone.core.interfaces import Vocoder
from lightning_voiceclone.errors import SpecMismatchError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.losses.mel import MultiResolutionMelLoss
from lightning_voiceclone.testing.signals import speech_like

SECONDS, CROP_SECONDS = 2.0, 0.5
SETTINGS = {"HiFiGAN": {"version": "v2"}}
MEL = MelSpectrogram()


def utterance(path: Path | None) -> Tensor:
    """(1, N), 2 s at the features' rate."""
    rate = MEL.spec.sample_rate
    audio = speech_like(SECONDS).audio if path is None else read_audio(path, rate)[0]
    return torch.from_numpy(audio[: round(SECONDS * rate)])[None]


def measure(vocoder: Vocoder, features: Tensor, audio: Tensor) -> float:
    vocoder.eval()
    with torch.no_grad():
        if "likelihood" in vocoder.capabilities:
            return vocoder.likelihood(features, audio).mean().item()
        return (MEL(vocoder(features)) - features).abs().mean().item()


def overfit(vocoder: Vocoder, features: Tensor, audio: Tensor, steps: int) -> None:
    loss, hop = MultiResolutionMelLoss(MEL.spec.sample_rate), MEL.spec.hop_length
    frames = round(CROP_SECONDS * MEL.spec.frame_rate)
    optimizer = torch.optim.Adam(vocoder.parameters(), lr=1e-3)
    vocoder.train()
    for _ in range(steps):
        begin = int(torch.randint(features.shape[-1] - frames + 1, ()))
        seen, said = features[..., begin : begin + frames], audio[:, begin * hop : (begin + frames) * hop]
        by_likelihood = "likelihood" in vocoder.capabilities
        distance = (vocoder.likelihood(seen, said) if by_likelihood else loss(vocoder(seen), said)).mean()
        optimizer.zero_grad()
        distance.backward()
        optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path, nargs="?")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--vocoders", nargs="+", help="these alone, by name")
    options = parser.parse_args()
    audio = utterance(options.recording)
    features = MEL(audio)
    audio = audio[:, : features.shape[-1] * MEL.spec.hop_length]
    print(f"{SECONDS:g} s of {options.recording or 'synthetic speech'}, {options.steps} steps")
    for plugin in registry.installed():
        if plugin.kind != "vocoders" or (options.vocoders and plugin.name not in options.vocoders):
            continue
        torch.manual_seed(0)
        try:
            vocoder: Vocoder = plugin.load()(MEL.spec, **SETTINGS.get(plugin.name, {}))
        except SpecMismatchError:
            continue  # it is of other features
        if not any(weight.requires_grad for weight in vocoder.parameters()):
            continue
        vocoder.fit_statistics([features])
        before, start = measure(vocoder, features, audio), time.perf_counter()
        overfit(vocoder, features, audio, options.steps)
        seconds, after = time.perf_counter() - start, measure(vocoder, features, audio)
        size = sum(p.numel() for p in vocoder.parameters()) / 1e6
        what = "bits a sample" if "likelihood" in vocoder.capabilities else "mel L1"
        print(
            f"{plugin.name} ({size:.2f} M): {what} {before:.2f} at first, {after:.2f} at last, {seconds:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
