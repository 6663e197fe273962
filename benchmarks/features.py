"""Feature extractors against librosa: 16 recordings of 2 s, ours as one batch, librosa's one by one.

    OMP_NUM_THREADS=2 python benchmarks/features.py

Both have the same number of threads (OMP_NUM_THREADS, else all cores) and pad their audio themselves; librosa's
filterbanks are made once, outside the clock. Rounds of the two are interleaved, each of several calls in a row, as in
training and preparing; ``--calls 1`` times single calls, each with the caches as the other library left them. The
table gives medians.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

THREADS = int(os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0)))))
# Both libraries read these when they are imported.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"]

import librosa  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from lightning_voiceclone.features.prosody import Energy, Pitch  # noqa: E402
from lightning_voiceclone.features.spectral import MFCC, STFT, MelSpectrogram  # noqa: E402
from lightning_voiceclone.testing.signals import speech_like  # noqa: E402

ROWS, SECONDS, RATE, N_FFT, HOP, ROUNDS = 16, 2.0, 16000, 1024, 160, 15
REQUIRED = {"MelSpectrogram": 5.0, "MFCC": 5.0}
MARGIN = (N_FFT - HOP) // 2
FRAMING = {"hop_length": HOP, "center": False}
MEL_FILTERS = librosa.filters.mel(sr=RATE, n_fft=N_FFT, n_mels=80)
MFCC_FILTERS = librosa.filters.mel(sr=RATE, n_fft=N_FFT, n_mels=128)


def padded(audio: np.ndarray) -> np.ndarray:
    return np.pad(audio, MARGIN, mode="reflect")


def librosa_stft(audio: np.ndarray) -> np.ndarray:
    return np.abs(librosa.stft(padded(audio), n_fft=N_FFT, **FRAMING))


def librosa_mel(audio: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(MEL_FILTERS @ librosa_stft(audio), 1e-5))


def librosa_mfcc(audio: np.ndarray) -> np.ndarray:
    power = MFCC_FILTERS @ librosa_stft(audio) ** 2
    return librosa.feature.mfcc(S=librosa.power_to_db(power, top_db=None), n_mfcc=13)


def librosa_rms(audio: np.ndarray) -> np.ndarray:
    return librosa.feature.rms(y=padded(audio), frame_length=N_FFT, **FRAMING)


def librosa_yin(audio: np.ndarray) -> np.ndarray:
    return librosa.yin(padded(audio), fmin=60, fmax=500, sr=RATE, frame_length=N_FFT, **FRAMING)


PAIRS = [
    (MelSpectrogram(), librosa_mel),
    (MFCC(), librosa_mfcc),
    (STFT(), librosa_stft),
    (Energy(), librosa_rms),
    (Pitch(), librosa_yin),
]


def milliseconds(work: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        work()
    return 1000 * (time.perf_counter() - start) / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5, help="in a row, in each round (default: 5)")
    calls = parser.parse_args().calls
    torch.set_num_threads(THREADS)
    audio = np.stack([speech_like(SECONDS, speaker=row, seed=row).audio for row in range(ROWS)])
    batch = torch.from_numpy(audio)
    table = Table(title=f"{ROWS} x {SECONDS:g} s, {THREADS} thread(s) each, median of {ROUNDS} interleaved rounds"
                        f" of {calls} call(s)")  # fmt: skip
    for heading in ("extractor", "ours, ms", "librosa, ms", "ratio", "required"):
        table.add_column(heading, justify="left" if heading == "extractor" else "right")
    with torch.inference_mode():
        for extractor, theirs in PAIRS:
            name = type(extractor).__name__
            rounds = []
            for _ in range(ROUNDS + 2):  # the first two warm up
                ours_ms = milliseconds(lambda extractor=extractor: extractor(batch), calls)
                rounds.append((ours_ms, milliseconds(lambda theirs=theirs: [theirs(row) for row in audio], calls)))
            ours, librosas = (statistics.median(column) for column in zip(*rounds[2:], strict=True))
            required = f"{REQUIRED[name]:g}" if name in REQUIRED else ""
            table.add_row(name, f"{ours:.2f}", f"{librosas:.2f}", f"{librosas / ours:.1f}", required)
    Console().print(table)


if __name__ == "__main__":
    main()
