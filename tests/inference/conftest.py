import json
from functools import partial

import pytest
import torch
from forks import completed

from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.networks.content_encoders.causal import CausalContentEncoder
from lightning_voiceclone.networks.speaker_encoders.recurrent import RecurrentSpeakerEncoder
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import STREAMER, small_live_voice, small_voice
from lightning_voiceclone.vocoders.vocos import Vocos


def exportable_voice():
    """A small model with guidance, whose content encoder keeps a state; the rest has finite contexts."""
    inputs = Dims(STREAMER.features)
    torch.manual_seed(0)
    content = CausalContentEncoder(inputs, channels=STREAMER.content, width=64, hidden=8, layers=1, past=8)
    speaker = RecurrentSpeakerEncoder(inputs, channels=STREAMER.speaker, width=8, layers=1, bands=8, piece=40)
    return small_voice(
        STREAMER, spread=0.3, content_encoder=content, speaker_encoder=speaker, guidance=0.5,
        vocoder=lambda spec: Vocos(spec, width=8, hidden=8, layers=1, pretrained="none", harmonic=True),
    )  # fmt: skip


@pytest.fixture(scope="session")
def exportable():
    return Converter(exportable_voice(), denoise="off", note=lambda line: None)


@pytest.fixture(scope="session")
def export(exportable, tmp_path_factory):
    """The exported folder, and what its check reported. Costs half a minute and 400 MB: made once, in a fork."""
    return exported(exportable, tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="session")
def live():
    """A small model whose parts all keep a state."""
    speaker = RecurrentSpeakerEncoder(Dims(STREAMER.features), channels=STREAMER.speaker, width=8, layers=1, bands=8,
                                      piece=40)  # fmt: skip
    vocoder = partial(Vocos, width=8, hidden=8, layers=1, harmonic=True, causal=True)
    voice = small_live_voice(guidance=0.5, speaker_encoder=speaker, vocoder=vocoder)
    return Converter(voice, denoise="off", note=lambda line: None)


@pytest.fixture(scope="session")
def live_export(live, tmp_path_factory):
    return exported(live, tmp_path_factory.mktemp("live_export"))


def exported(exportable, folder):
    pytest.importorskip("lvc_runtime", reason="lvc-runtime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    source, reference = speech_like(4.0).audio, speech_like(2.0, speaker=1, seed=1).audio

    def run():
        from lightning_voiceclone.inference.export.folder import export_model

        found = {}
        export_model(exportable, folder / "small", source, reference, report=found.__setitem__)
        (folder / "found.json").write_text(json.dumps(found))

    ended = completed(run, folder)
    assert ended.returncode == 0, ended.stderr
    return folder / "small", json.loads((folder / "found.json").read_text())
