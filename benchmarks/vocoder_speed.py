"""How fast vocoders are: times of real time, HiFi-GAN fused against plain, WaveNet with states against without.

    OMP_NUM_THREADS=2 python benchmarks/vocoder_speed.py

Needs plugins/lvc-hifigan and plugins/lvc-wavenet (pip install); leaves out what is not installed. Weights are fresh:
their output does not change how long it takes. Rounds of what is compared are interleaved; medians are printed.
"""

import copy
import os
import statistics
import time
from collections.abc import Callable

THREADS = int(os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0)))))

import torch  # noqa: E402 - reads the number of threads when it is imported
from torch import Tensor  # noqa: E402

from lightning_voiceclone.core import registry  # noqa: E402
from lightning_voiceclone.core.interfaces import Vocoder  # noqa: E402
from lightning_voiceclone.features.spectral import MelSpectrogram  # noqa: E402
from lightning_voiceclone.testing.signals import speech_like  # noqa: E402
from lightning_voiceclone.vocoders.vocos import REFINE  # noqa: E402

SECONDS, ROUNDS, SAMPLES = 10.0, 3, 2000
MEL = MelSpectrogram()
INSTALLED = {plugin.name for plugin in registry.installed() if plugin.kind == "vocoders"}


def made(name: str, **settings: object) -> Vocoder:
    torch.manual_seed(0)
    vocoder: Vocoder = registry.find("vocoders", name).load()(MEL.spec, **settings)
    return vocoder.eval().requires_grad_(False)


def seconds_of(work: Callable[[], Tensor]) -> tuple[float, Tensor]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def real_time_factor(name: str, features: Tensor, **settings: object) -> None:
    vocoder = made(name, **settings)
    vocoder.fuse()
    vocoder(features)
    median = statistics.median(seconds_of(lambda: vocoder(features))[0] for _ in range(ROUNDS))
    name = f"{name}({', '.join(f'{key}={value}' for key, value in settings.items())})"
    print(f"{name}: {median:.3f} s for {SECONDS:g} s, {median / SECONDS:.4f} of real time ({THREADS} threads)")


def hifigan(features: Tensor, version: str, rounds: int) -> None:
    plain = made("HiFiGAN", version=version)
    folded = copy.deepcopy(plain)
    folded.fuse()
    plain(features), folded(features)
    times = []
    for _ in range(rounds):
        plain_seconds, expected = seconds_of(lambda: plain(features))
        folded_seconds, actual = seconds_of(lambda: folded(features))
        times.append((plain_seconds, folded_seconds))
    ratio = statistics.median(after / before for before, after in times)
    before, after = (statistics.median(column) for column in zip(*times, strict=True))
    difference = ((actual - expected).abs().max() / expected.abs().max()).item()
    print(f"HiFiGAN {version}: plain {before:.2f} s, folded {after:.2f} s, ratio {ratio:.2f} (at most 0.9);"
          f" {after / SECONDS:.3f} of real time; they differ by {difference:.1e} of the greatest sample")  # fmt: skip


def wavenet(features: Tensor) -> None:
    from lvc_wavenet.generation import generate, generate_naively, in_double
    from lvc_wavenet.vocoder import to_audio

    vocoder = made("WaveNet")
    hop = MEL.spec.hop_length
    network = in_double(vocoder.network)
    some = features[:, :, : -(-SAMPLES // hop)].double()
    draws = vocoder.draws(some.shape[-1] * hop)
    generate(network, some[..., :1], hop, draws)
    fast, cached = seconds_of(lambda: generate(network, some, hop, draws))
    fast *= SAMPLES / cached.shape[1]  # whole frames are generated
    slow, naive = seconds_of(lambda: generate_naively(network, some, hop, draws[:SAMPLES]))
    difference = (to_audio(cached[:, :SAMPLES]) - to_audio(naive)).abs().max().item()
    print(f"WaveNet: {SAMPLES} samples with states {fast:.2f} s, without {slow:.1f} s, {slow / fast:.0f} times as fast"
          f" (at least 20); they differ by {difference:.1e}; {fast / SAMPLES * MEL.spec.sample_rate:.1f} of real time"
          f" (receptive field {network.receptive_field} samples)")  # fmt: skip


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(THREADS)
    features = MEL(torch.from_numpy(speech_like(SECONDS).audio)[None])
    real_time_factor("Vocos", features)
    real_time_factor("Vocos", features, refine=REFINE)
    if "HiFiGAN" in INSTALLED:
        hifigan(features, "v1", ROUNDS)
        hifigan(features, "v2", ROUNDS)
    if "WaveNet" in INSTALLED:
        wavenet(features)


if __name__ == "__main__":
    main()
