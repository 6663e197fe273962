"""The training of a client, which needs no Flower."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.training.adaptation import train_generator, weights_of
from lightning_voiceclone.voice.model import VoiceModel
from lvc_flower.weights import Arrays, fingerprint, packed, unpacked

FEWEST = 2  # recordings


def check_enough(paths: Sequence[Path]) -> None:
    """Refuse a client with one recording.

    Raises:
        ConfigurationError: names it.
    """
    if len(paths) < FEWEST:
        raise ConfigurationError(
            f"{paths[0]} is the only recording; a client needs at least {FEWEST}, since the reference of a crop comes"
            " from another one: add some, or cut it in two"
        )


class LocalTraining:
    """What a client does in a round; what it needs from one round to the next is in a folder of its own.

    Args:
        voice: the model that server and clients begin with.
        recordings: samples (N,) of one speaker.
        folder: for the state of the optimizer.
        seed: of crops and noise.
        progress: whether to show a progress bar.
    """

    def __init__(
        self, voice: VoiceModel, recordings: Sequence[Tensor], folder: Path, *, seed: int = 0, progress: bool = False
    ) -> None:
        self.voice, self.recordings, self.seed, self.progress = voice, recordings, seed, progress
        self.checkpoint = folder / "client.ckpt"
        self.model, self.like = fingerprint(voice), weights_of(voice.generator)

    @property
    def samples(self) -> int:
        """Of all recordings."""
        return sum(map(len, self.recordings))

    def round(self, arrays: Arrays, settings: dict[str, Any]) -> Arrays:
        """The weights after the round's steps from the given ones.

        Raises:
            LVCError: if they are another model's, or the training diverges.
        """
        if settings["model"] != self.model:
            raise ConfigurationError(
                "this client's model is not the server's; name the same with --checkpoint, of the same version"
            )
        begin = unpacked(arrays, self.like)
        state = train_generator(
            copy.deepcopy(self.voice), self.recordings, steps=int(settings["steps"]), seed=self.seed, begin=begin,
            learning_rate=float(settings["learning_rate"]), checkpoint=self.checkpoint, progress=self.progress,
        )  # fmt: skip
        return packed(state)
