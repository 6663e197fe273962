"""Text encoders with styles: what style vectors change, and that recordings and labels are followed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from lightning_voiceclone.core.conditions import Script, SpeakerPrompt
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.networks.style_encoders.labels import StyleLabels
from lightning_voiceclone.networks.style_encoders.tokens import GlobalStyleTokens
from lightning_voiceclone.networks.text_encoders.parallel import ParallelTextEncoder
from lightning_voiceclone.testing.conformance import StyleEncoderConformance, TextEncoderConformance
from lightning_voiceclone.testing.conformance.part import seeded
from lightning_voiceclone.testing.styles import STYLES, PictureStyleEncoder, styled_speech
from lightning_voiceclone.testing.voices import small_voice

WIDTHS = Dims(20, content=6, pitch=True, energy=True)
SMALL = {"width": 64, "hidden": 32, "layers": 1, "frame_layers": 1, "vocabulary": 20, "phonemes": 1}
TOKENS = {"channels": 32, "tokens": 4, "heads": 2, "width": 32, "layers": 1}
TEXT = torch.tensor([[3, 1, 4, 1, 5, 2]])
LENGTHS = torch.tensor([6])
REGISTER = float(np.sqrt(STYLES["fast"][1] * STYLES["slow"][1]))  # Hz, of who speaks in both styles


class TestWithStyleTokens(TextEncoderConformance):
    part = ParallelTextEncoder

    @property
    def arguments(self):
        return {**SMALL, "style_encoder": GlobalStyleTokens(**TOKENS)}


class TestWithLabels(TextEncoderConformance):
    part = ParallelTextEncoder

    @property
    def arguments(self):
        return {**SMALL, "style_encoder": StyleLabels(channels=4)}


class TestPictureStyleEncoder(StyleEncoderConformance):
    part = PictureStyleEncoder

    @pytest.fixture(autouse=True)
    def pictures(self, tmp_path):
        self.values = tuple(str(tmp_path / f"{name}.npy") for name in "ab")
        for seed, path in enumerate(self.values):
            np.save(path, np.random.default_rng(seed).random((4, 6)) ** (1 + seed))


def encoder(**settings):
    seeded()
    return ParallelTextEncoder(WIDTHS, **{**SMALL, **settings}).eval()


def prompt(style=None):
    return SpeakerPrompt(torch.tensor([50]), register=torch.tensor([REGISTER]), style=style)


def test_without_a_style_the_numbers_are_those_of_an_encoder_without_styles():
    plain, styled = encoder(), encoder(style_encoder=StyleLabels(channels=4))
    styled.load_state_dict(plain.state_dict(), strict=False)
    for style in (None, torch.zeros(1, 4)):
        for name, value in styled(TEXT, LENGTHS, prompt(style)).tensors().items():
            assert torch.equal(value, getattr(plain(TEXT, LENGTHS, prompt()), name)), name
    assert torch.equal(styled.durations(TEXT, LENGTHS), plain.durations(TEXT, LENGTHS))
    assert set(plain.state_dict()) == {name for name in styled.state_dict() if not name.startswith("style")}


def test_styles_that_are_not_given_draw_nothing():
    target = Script(torch.tensor([24]), torch.randn(1, 6, 24), f0=torch.zeros(1, 24), voicing=torch.zeros(1, 24),
                    energy=torch.zeros(1, 24), register=torch.tensor([100.0]))  # fmt: skip
    ends = []
    for part in (encoder(), encoder(style_encoder=StyleLabels(channels=4))):
        seeded()
        part.train().losses(TEXT, LENGTHS, target)
        ends.append(torch.get_rng_state())
    assert torch.equal(*ends)


@pytest.fixture(scope="module")
def speech():
    """Tokens, lengths, durations, scripts and styles of utterances; each text is there in both styles."""
    voice = small_voice(WIDTHS)

    def made(seeds, style=None, register=1.0):
        found = [styled_speech(style or list(STYLES)[seed % 2], seed=seed // 2, register=register) for seed in seeds]
        frames = torch.tensor([len(one.audio) // 160 for one in found])
        audio = pad_sequence([one.audio for one in found], batch_first=True)
        with torch.no_grad():
            script = voice.script_from_analysis(voice.analyze(audio, frames))
        script = replace(script, register=torch.full((len(found),), register * REGISTER))
        tokens, durations = (torch.stack([getattr(one, name) for one in found]) for name in ("tokens", "durations"))
        return tokens, torch.full((len(found),), tokens.shape[1]), durations, script, [one.style for one in found]

    return made


def trained(part, speech, styles):
    """The encoder after some steps on 8 utterances, whose style vectors ``styles`` gives of scripts and names."""
    tokens, lengths, durations, script, names = speech(range(8))
    optimizer = torch.optim.AdamW(part.train().parameters(), lr=2e-3)
    for _ in range(50):
        target = replace(script, style=styles(script, names))
        losses = part.losses(tokens, lengths, target, durations)
        loss = sum(weight * losses[name].mean() for name, weight in (("duration", 1), ("pitch", 2), ("voicing", 0.2)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return part.eval()


def spoken(part, style):
    """Frames of a token, and f0 over the register in semitones, in a style."""
    with torch.no_grad():
        script = part(TEXT, LENGTHS, prompt(style), durations=torch.full_like(TEXT, 6))
        frames = float(part.durations(TEXT, LENGTHS, prompt(style)).mean())
    voiced = script.f0[script.f0 > 0]
    return frames, 12 * float((voiced / REGISTER).log2().mean())


@pytest.mark.slow
def test_the_style_of_a_recording_is_followed(speech):
    part = encoder(style_encoder=GlobalStyleTokens(**TOKENS))
    trained(part, speech, lambda script, names: part.style_encoder(script))
    with torch.no_grad():  # of recordings of other texts, by someone who speaks a third higher
        fast, slow = (part.style_encoder(speech([200], style, register=1.26)[3]) for style in STYLES)
    (quick, high), (long, low) = spoken(part, fast), spoken(part, slow)
    assert long / quick > 1.8  # 9 / 4 = 2.25 in the recordings
    assert high - low > 5  # 7.0 semitones in the recordings


@pytest.mark.slow
def test_labels_are_followed(speech):
    labels = StyleLabels(labels=list(STYLES), channels=8)
    part = encoder(style_encoder=labels)
    trained(part, speech, lambda script, names: labels(torch.stack([labels.read(name) for name in names])))
    (quick, high), (long, low) = (spoken(part, labels(labels.read(style)[None]).detach()) for style in STYLES)
    assert long / quick > 1.8
    assert high - low > 5
