"""Federated adaptation: averages, equality with central training, and real processes on loopback."""

import os
import signal
import socket
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from forks import Fork

pytest.importorskip("lvc_flower", reason="lvc-flower is neither installed nor beside its tests")
from lvc_flower import cli
from lvc_flower.local import LocalTraining, check_enough
from lvc_flower.weights import fingerprint, mean, packed, unpacked

from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.generators.reference import ReferenceGenerator
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.training.adaptation import GeneratorState, adapt, recordings_in, screened, weights_of


def voice():
    return small_voice(Dims(20, content=4, speaker=8, pitch=True, energy=True),
                       generator=partial(ReferenceGenerator, width=16, layers=2, heads=2, head_width=8))  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of three speakers, two recordings each."""
    root = tmp_path_factory.mktemp("clients")
    for speaker in range(3):
        for number in range(2):
            path = root / f"{speaker}" / f"{number}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, speech_like(3.0, speaker=speaker, seed=number).audio, 16000)
    return root


# Averages ------------------------------------------------------------------------------------------------------------


def test_the_mean_is_weighted_by_samples():
    one, two = [np.float32([1, 2])], [np.float32([5, 10])]
    assert mean([(one, 3), (two, 1)])[0].tolist() == [2, 4]
    assert mean([(one, 3), (two, 1)])[0].dtype == np.float32


def test_the_mean_of_one_client_is_equal_to_the_bit():
    drawn = np.random.default_rng(0).standard_normal((50, 50)).astype(np.float32)
    given = [drawn, np.float32([-0.0, 1e-45]), np.array(7)]
    for before, after in zip(given, mean([(given, 48_000_123)]), strict=True):
        assert before.tobytes() == after.tobytes()


def test_arrays_of_another_generator_are_refused():
    like = weights_of(voice().generator)
    state = GeneratorState(like, like)
    assert all(torch.equal(value, like[name]) for name, value in unpacked(packed(state), like).average.items())
    with pytest.raises(ConfigurationError, match="must name the same model"):
        unpacked(packed(state)[:-1], like)


def test_a_model_is_known_by_its_weights():
    one, other = voice(), voice()
    assert fingerprint(one) == fingerprint(other)
    other.normalizer.mean[0] += 1e-6
    assert fingerprint(one) != fingerprint(other)


# Clients -------------------------------------------------------------------------------------------------------------


def rounds_of(folder, data, count, steps):
    """The generator's averaged weights after so many rounds of one client, as the server makes them."""
    start = voice()
    clean, _ = screened(start, recordings_in(data), "auto", lambda line: None)
    client = LocalTraining(start, clean, folder)
    arrays = packed(GeneratorState(client.like, client.like))
    for _ in range(count):
        settings = {"model": client.model, "steps": steps, "learning_rate": 1e-3}
        arrays = mean([(client.round(arrays, settings), client.samples)])
    return unpacked(arrays, client.like).average


@pytest.mark.slow
def test_two_rounds_of_one_client_equal_central_adaptation_to_the_bit(folders, tmp_path):
    central = adapt(voice(), recordings_in(folders / "0"), steps=2, learning_rate=1e-3, strength=1.0, progress=False)
    federated = rounds_of(tmp_path, folders / "0", 2, 1)
    before, moved = weights_of(voice().generator), 0
    for name, value in weights_of(central.generator).items():
        assert torch.equal(value, federated[name]), name
        moved += not torch.equal(value, before[name])
    assert moved


def test_a_client_of_another_model_is_refused(tmp_path):
    client = LocalTraining(voice(), [torch.zeros(16000)], tmp_path)
    with pytest.raises(ConfigurationError, match="this client's model is not the server's"):
        client.round([], {"model": "another", "steps": 1, "learning_rate": 1e-3})


def test_a_good_round_clears_the_fault_of_one_before(flower):
    from lvc_flower.client import FlowerClient

    class Second:
        """A training of which the first round fails."""

        samples, done = 5, 0

        def round(self, parameters, config):
            self.done += 1
            if self.done == 1:
                raise ConfigurationError("too little memory")
            return parameters

    client = FlowerClient(Second())
    assert client.fit([1], {}) == ([], 0, {"fault": "too little memory"})
    assert client.fault is not None
    assert client.fit([1], {}) == ([1], 5, {})
    assert client.fault is None
    assert client.rounds == 1


def test_a_client_with_one_recording_is_refused():
    with pytest.raises(ConfigurationError, match=r"a/0\.wav is the only recording; a client needs at least 2"):
        check_enough([Path("a/0.wav")])


# Processes -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def flower():
    pytest.importorskip("flwr", reason="needs Flower: pip install plugins/lvc-flower")


def free_address():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


@pytest.mark.slow
def test_server_and_clients_go_on_when_one_vanishes(flower, folders, tmp_path):
    """Three clients; the third is killed when the first round is over, and the others finish the second."""
    model, output, address = tmp_path / "model", tmp_path / "adapted", free_address()
    save_voice(voice(), model)
    quick = ["--wait", "60", "--checkpoint", str(model)]
    server = ["server", "--output", str(output), "--address", address, "--clients", "3", "--rounds", "2"]
    server += ["--steps", "1", "--learning-rate", "1e-3", *quick]
    names = [["client", "--server", address, "--data", str(folders / f"{row}"), *quick] for row in range(3)]
    with Fork(partial(cli.main, server), tmp_path) as serving:
        clients = [Fork(partial(cli.main, name), tmp_path) for name in names]
        first = next(line for line in serving.stderr if line.startswith("round"))
        os.kill(clients[2].pid, signal.SIGKILL)
        out, err = serving.communicate(300)
        ends = [client.communicate(120) for client in clients]
    assert first == "round 1 of 2: 3 of 3 clients\n"
    assert serving.returncode == 0, err
    assert "adapted in 2 of 2 rounds" in out
    assert "round 2 of 2: 2 of " in err
    assert [client.returncode for client in clients] == [0, 0, -signal.SIGKILL], ends
    assert [text for text, _ in ends[:2]] == ["took part in 2 rounds\n"] * 2
    before, after = voice().state_dict(), load_voice(output).state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert "generator" in changed


@pytest.mark.slow
def test_mistakes_are_one_line(flower, folders, tmp_path, capsys):
    alone = tmp_path / "alone"
    alone.mkdir()
    soundfile.write(alone / "0.wav", speech_like(6.0).audio, 16000)
    model = tmp_path / "model"
    save_voice(voice(), model)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        used = f"127.0.0.1:{taken.getsockname()[1]}"
        wrong = {
            "is the only recording": ["client", "--data", str(alone)],
            f"no server answers at {free_address()[:10]}": [
                "client", "--data", str(folders / "0"), "--server", free_address(), "--wait", "1"],
            "cannot be listened on": ["server", "--output", str(tmp_path / "o"), "--address", used, "--clients", "1"],
            "give HOST:PORT": ["server", "--output", str(tmp_path / "o"), "--address", "here", "--clients", "1"],
            "clients is 0; it must be at least 1": ["server", "--output", str(tmp_path / "o"), "--clients", "0"],
        }  # fmt: skip
        for text, words in wrong.items():
            assert cli.main([*words, "--checkpoint", str(model)]) == 2
            err = capsys.readouterr().err
            assert text in err
            assert len(err.splitlines()) == 1
    assert not (tmp_path / "o").exists()
