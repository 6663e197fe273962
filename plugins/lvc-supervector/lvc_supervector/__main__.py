"""``python -m lvc_supervector``: fit the encoder to recordings of many speakers."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from safetensors.torch import save_file
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.mixture import GaussianMixture
from torch import Tensor

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.data.corpora import Table
from lightning_voiceclone.utils.files import atomic_file
from lvc_supervector.encoder import RATE, SHIPPED, Cepstra, supervector

SECONDS = 4.0  # of the pieces whose speakers are discriminated; as long as a short utterance
MIXTURE_FRAMES = 300_000
COMPONENTS = 300  # of the supervectors that the discriminant analysis sees


def main(argv: Sequence[str] | None = None) -> None:
    """Fit, and write the file."""
    parser = argparse.ArgumentParser("python -m lvc_supervector", description=__doc__)
    parser.add_argument("table", type=Path, help="TSV with path, speaker and corpus")
    parser.add_argument("--corpora", nargs="+", help="values of the column corpus to take; all")
    parser.add_argument("--output", type=Path, default=SHIPPED, help="file to write (the one that ships)")
    parser.add_argument("--gaussians", type=int, default=128, help="of the mixture (128)")
    parser.add_argument("--channels", type=int, default=150, help="numbers of an embedding (150)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    frames, speakers = zip(*_pieces(options.table, options.corpora), strict=True)
    weights = fit(list(frames), list(speakers), options.gaussians, options.channels, options.seed)
    with atomic_file(options.output) as temporary:
        save_file(weights, temporary)
    print(f"{len(frames)} pieces of {len(set(speakers))} speakers; written to {options.output}")


def fit(
    frames: Sequence[Tensor], speakers: Sequence[str], gaussians: int, channels: int, seed: int = 0
) -> dict[str, Tensor]:
    """The encoder's tensors, from the cepstra (T, D) of pieces of recordings and whose they are."""
    chosen = torch.cat(list(frames))
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(chosen))[:MIXTURE_FRAMES])
    mixture = GaussianMixture(gaussians, covariance_type="diag", max_iter=60, tol=1e-3, reg_covar=1e-3,
                              init_params="k-means++", random_state=seed)  # fmt: skip
    mixture.fit(chosen[order].numpy())
    log_weights, means = torch.from_numpy(np.log(mixture.weights_)), torch.from_numpy(mixture.means_)
    background = log_weights.float(), means.float(), torch.from_numpy(mixture.covariances_).sqrt().float()
    vectors = torch.stack([supervector(piece, *background) for piece in frames]).numpy()
    few = PCA(min(COMPONENTS, len(vectors) - 1, vectors.shape[1]), random_state=seed).fit(vectors)
    analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
    analysis.fit(few.transform(vectors), speakers)
    directions = few.components_.T @ analysis.scalings_[:, : min(channels, len(set(speakers)) - 1)]
    return {
        "log_weights": background[0], "means": background[1], "deviations": background[2],
        "centre": torch.from_numpy(few.mean_).float(),
        "directions": torch.from_numpy(np.ascontiguousarray(directions)).half(),
    }  # fmt: skip


def _pieces(table: Path, corpora: list[str] | None) -> Iterator[tuple[Tensor, str]]:
    cepstra, hop = Cepstra(), int(SECONDS * RATE)
    recordings = list(Table(table, where={"corpus": corpora} if corpora else None).recordings())
    for recording in track(recordings, description="listening"):
        audio = torch.from_numpy(
            read_audio(table.parent / recording.path, RATE, start=recording.start, end=recording.end)[0]
        )
        pieces = audio.split(hop)
        for piece in pieces:
            if len(piece) >= hop // 2:
                yield cepstra(piece), recording.speaker


if __name__ == "__main__":
    main()
