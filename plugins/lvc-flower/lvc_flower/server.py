"""The server: it holds the weights, and never gets a recording."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flwr.common import FitIns, Parameters, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server import ServerConfig, start_server
from flwr.server.strategy import FedAvg

from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.training.adaptation import GeneratorState, check_settings, finish, interpolate, weights_of
from lightning_voiceclone.utils.terminal import printable
from lvc_flower.weights import Arrays, fingerprint, mean, packed, unpacked


@dataclass(frozen=True)
class Plan:
    """A federated adaptation.

    Args:
        clients: that the first round waits for.
        rounds: after each of which the weights are averaged.
        steps: of each client in a round.
        learning_rate: of AdamW.
        strength: interpolation from the original to the trained weights.
        wait: seconds for the first round's clients; it begins with those that came.
        timeout: seconds of a round; clients that have not answered by then are left out of it.
    """

    clients: int
    rounds: int = 10
    steps: int = 30
    learning_rate: float = 1e-4
    strength: float = 0.6
    wait: float = 600.0
    timeout: float = 3600.0

    def __post_init__(self) -> None:
        for name in ("clients", "rounds", "wait", "timeout"):
            if not getattr(self, name) >= 1:
                raise ConfigurationError(f"{name} is {getattr(self, name):g}; it must be at least 1")
        check_settings(self.steps, self.learning_rate, self.strength, 0)


class Averaging(FedAvg):
    """Flower's strategy of federated averaging, weighted by samples of speech, with whoever is there.

    Args:
        plan: of the adaptation.
        first: arrays to begin with.
        model: fingerprint of the model that they are of.
        keep: called with the arrays after each round.
        note: called with a line after each round.
    """

    def __init__(
        self, plan: Plan, first: Arrays, model: str, keep: Callable[[Arrays], None], note: Callable[[str], None]
    ) -> None:
        super().__init__(initial_parameters=ndarrays_to_parameters(first), fraction_evaluate=0.0)
        self.plan, self.model, self.keep, self.note = plan, model, keep, note
        self.asked = self.done = 0

    def configure_fit(self, server_round: int, parameters: Parameters, client_manager: Any) -> Any:
        """Give the weights to every client that is there."""
        if server_round == 1:
            client_manager.wait_for(self.plan.clients, timeout=int(self.plan.wait))
        there = [client for _, client in sorted(client_manager.all().items())]
        self.asked = len(there)
        if not there:
            self.note(f"round {server_round}: no client is there")
        settings = {"steps": self.plan.steps, "learning_rate": self.plan.learning_rate, "model": self.model}
        return [(client, FitIns(parameters, settings)) for client in there]

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        """Average what came back; a round of which nothing did changes nothing."""
        answers = [answer for _, answer in results]
        for answer in answers:
            if fault := answer.metrics.get("fault"):
                self.note(f"round {server_round}: a client: {printable(str(fault))}")
        good = [(parameters_to_ndarrays(answer.parameters), answer.num_examples)
                for answer in answers if answer.num_examples > 0]  # fmt: skip
        lost = f"; {self.asked - len(good)} lost" if len(good) < self.asked else ""
        self.note(f"round {server_round} of {self.plan.rounds}: {len(good)} of {self.asked} clients{lost}")
        if not good:
            return None, {}
        good.sort(key=lambda part: (part[1], part[0][0].tobytes()))  # so that sums are rounded alike
        made = mean(good)
        self.done += 1
        self.keep(made)
        return ndarrays_to_parameters(made), {}


def serve(
    address: str, checkpoint: str, output: Path, plan: Plan, *, bits: int = 16, note: Callable[[str], None] = print
) -> int:
    """Adapt a model on the recordings of clients, and write it after each round.

    Args:
        address: HOST:PORT to listen on.
        checkpoint: model to start from.
        output: folder to write.
        plan: of the adaptation.
        bits: of a stored weight.
        note: called with a line after each round.

    Returns:
        The number of rounds in which weights came back.

    Raises:
        ConfigurationError: if the address cannot be listened on, or no client ever answered.
    """
    check_free(address)
    voice = load_voice(checkpoint)
    before, model = weights_of(voice.generator), fingerprint(voice)

    def keep(arrays: Arrays) -> None:
        interpolate(voice, before, unpacked(arrays, before).average, plan.strength)
        finish(voice)
        save_voice(voice, output, bits=bits)

    strategy = Averaging(plan, packed(GeneratorState(before, before)), model, keep, note)
    start_server(server_address=address, strategy=strategy,
                 config=ServerConfig(num_rounds=plan.rounds, round_timeout=plan.timeout))  # fmt: skip
    if not strategy.done:
        raise ConfigurationError(
            f"no client gave weights back in {plan.rounds} round(s), so nothing was written; start them with"
            f" lvc-federate client --server {address} --data FOLDER"
        )
    return strategy.done


def check_free(address: str) -> None:
    """Refuse an address that cannot be listened on.

    Raises:
        ConfigurationError: names it, and why.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigurationError(f"the address is {address!r}; give HOST:PORT, as 127.0.0.1:8080")
    try:
        family, *_, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(place)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(f"{address} cannot be listened on: {error}; name another address") from error
