"""A client: it trains on its recordings, and sends weights alone."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from flwr.client import NumPyClient, start_client

from lightning_voiceclone.checkpoints.voice_folder import load_voice
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.training.adaptation import recordings_in, screened
from lvc_flower.local import LocalTraining, check_enough
from lvc_flower.weights import Arrays


class FlowerClient(NumPyClient):
    """Flower's side of a client.

    Args:
        training: of the recordings.
    """

    def __init__(self, training: LocalTraining) -> None:
        self.training = training
        self.rounds = 0
        self.fault: LVCError | None = None  # of the last round

    def fit(self, parameters: Arrays, config: dict[str, Any]) -> tuple[Arrays, int, dict[str, Any]]:
        """A round; one that fails gives nothing back, and the server is told why in a line."""
        try:
            made = self.training.round(parameters, config)
        except LVCError as error:
            self.fault = error
            return [], 0, {"fault": str(error)}
        self.rounds, self.fault = self.rounds + 1, None
        return made, self.training.samples, {}


def take_part(
    server: str,
    data: Path,
    checkpoint: str,
    *,
    seed: int = 0,
    denoise: str = "auto",
    wait: float = 60.0,
    progress: bool = True,
    note: Callable[[str], None] = print,
) -> int:
    """Train on the recordings of a folder, round by round, until the server ends.

    Args:
        server: HOST:PORT of it.
        data: folder of one speaker's recordings.
        checkpoint: model that the server starts from.
        seed: of crops and noise.
        denoise: as of ``lvc adapt``.
        wait: seconds to wait for a server.
        progress: whether to show a progress bar.
        note: called with notes on the recordings, a line each.

    Returns:
        The number of rounds that it took part in.

    Raises:
        LVCError: if the recordings or the model cannot be used, or no server is there.
    """
    paths = recordings_in(data, note)
    check_enough(paths)
    voice = load_voice(checkpoint)
    recordings, _ = screened(voice, paths, denoise, note)
    with tempfile.TemporaryDirectory(prefix="lvc-federate-") as folder:
        client = FlowerClient(LocalTraining(voice, recordings, Path(folder), seed=seed, progress=progress))
        try:
            start_client(server_address=server, client=client.to_client(), insecure=True, max_wait_time=wait)
        except grpc.RpcError as error:
            if not client.rounds:
                raise ConfigurationError(
                    f"no server answers at {server} within {wait:g} s; start it with lvc-federate server, or name its"
                    " address with --server"
                ) from error
            raise ConfigurationError(
                f"the server at {server} is gone after {client.rounds} round(s); what it has written so far is in its"
                " folder"
            ) from error
    if client.fault is not None:
        raise client.fault
    return client.rounds
