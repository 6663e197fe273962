"""The checks must catch what they are for: each broken part here fails the check of that fault."""

import inspect
import math
import subprocess
import sys
from typing import ClassVar

import pytest
import torch

from lightning_voiceclone import testing
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.content_encoders.transformer import TransformerContentEncoder
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.generators.mlp import MLPGenerator
from lightning_voiceclone.testing.conditions import CLONING, frame_fields, random_condition, row, scramble_padding
from lightning_voiceclone.testing.conformance import (
    ContentEncoderConformance,
    FeatureExtractorConformance,
    GeneratorConformance,
    VocoderConformance,
)
from lightning_voiceclone.vocoders.vocos import Vocos

FAILURE = (AssertionError, pytest.fail.Exception)


class ForgetfulGenerator(MLPGenerator):
    """Ignores an argument of its own when made again."""

    made = 0

    def __init__(self, dims, *, hidden=8):
        type(self).made += 1
        super().__init__(dims, hidden=hidden + type(self).made)


def test_generator_that_is_not_made_the_same_again_is_caught():
    class Forgetful(GeneratorConformance):
        part = ForgetfulGenerator

    with pytest.raises(RuntimeError, match="size mismatch"):
        Forgetful().test_checkpoint_round_trip(CLONING)


class OfMel(VocoderConformance):
    def extractor(self):
        return MelSpectrogram()


class Mistaken:
    """Mixed into a part: declares another context, or another grid, than the part has."""

    def __init__(self, *args, declared, **settings):
        super().__init__(*args, **settings)
        self.context = Context(**declared)


class MistakenGenerator(Mistaken, ConvGenerator):
    pass


class MistakenContentEncoder(Mistaken, TransformerContentEncoder):
    pass


class MistakenVocoder(Mistaken, Vocos):
    pass


class MistakenExtractor(Mistaken, MelSpectrogram):
    pass


class OfGenerator(GeneratorConformance):
    part = MistakenGenerator
    arguments: ClassVar = {"width": 8, "layers": 2}
    real = Context(17, 17, grid=2)

    def check(self):
        self.test_streamable(CLONING)


class OfContentEncoder(ContentEncoderConformance):
    part = MistakenContentEncoder
    arguments: ClassVar = {"channels": 6, "width": 64, "hidden": 16, "layers": 1, "core": 4, "edge": 2}
    real = Context(13, 13, grid=8)

    def check(self):
        self.test_streamable()


class OfVocoder(OfMel):
    part = MistakenVocoder
    arguments: ClassVar = {"width": 8, "hidden": 8, "layers": 1}
    real = Context(15, 15, grid=2)

    def check(self):
        self.test_streamable()


class OfExtractor(FeatureExtractorConformance):
    part = MistakenExtractor
    real = Context(3, 3)

    def check(self):
        self.test_streamable()


OF_KINDS = {"generator": OfGenerator, "content": OfContentEncoder, "vocoder": OfVocoder, "extractor": OfExtractor}


@pytest.mark.parametrize("kind", OF_KINDS)
def test_context_and_grid_that_are_declared_rightly_pass(kind):
    checks = OF_KINDS[kind]()
    checks.arguments = {**checks.arguments, "declared": vars(checks.real)}
    checks.check()


@pytest.mark.parametrize(
    ("kind", "declared"),
    [
        ("generator", {"left": 14}),  # a chunk on the grid sees 16 frames before it
        ("generator", {"right": 15}),  # chunks that end on the grid see 16 after it
        ("generator", {"grid": 1}),
        ("generator", {"left": math.inf}),
        ("content", {"left": 0}),
        ("content", {"right": 5}),  # chunks of whole blocks see the edge and the convolutions, 6 frames, after it
        ("content", {"grid": 1}),
        ("content", {"grid": 2}),
        ("content", {"grid": 4}),
        ("vocoder", {"left": 12}),
        ("vocoder", {"right": 13}),
        ("vocoder", {"grid": 1}),
        ("extractor", {"left": 2}),
        ("extractor", {"right": 2}),
    ],
)
def test_context_and_grid_that_are_declared_wrongly_are_caught(kind, declared):
    checks = OF_KINDS[kind]()
    checks.arguments = {**checks.arguments, "declared": {**vars(checks.real), **declared}}
    with pytest.raises(AssertionError, match=r"differ by|wrong grid|infinite context"):
        checks.check()


class ForgetfulVocoder(Vocos):
    """Has a state, and forgets some of the frames before."""

    kept = 10

    def init_state(self, batch):
        return {"frames": torch.zeros(batch, self.spec.channels, 0)}

    def forward_chunk(self, x, state, ahead=0):
        seen = torch.cat([state["frames"], x], -1)
        known, frames = state["frames"].shape[-1], x.shape[-1] - ahead
        audio = self(seen)[:, known * 160 : (known + frames) * 160]
        return audio, self.after(seen[..., : known + frames][..., -self.kept :], state)

    def after(self, frames, state):
        return {"frames": frames}


class RememberingVocoder(ForgetfulVocoder):
    kept = 16


class ChangingVocoder(RememberingVocoder):
    """Writes over the state that it was given."""

    def after(self, frames, state):
        state["frames"].add_(1)
        return super().after(frames, state)


class Remembering(OfMel):
    part = RememberingVocoder
    arguments = OfVocoder.arguments


@pytest.mark.slow
def test_state_that_forgets_or_is_written_over_is_caught():
    Remembering().test_streamable()
    for part, told in (
        (ForgetfulVocoder, "state of those before .* differ by"),
        (ChangingVocoder, "changed its state"),
    ):
        checks = Remembering()
        checks.part = part
        with pytest.raises(AssertionError, match=told):
            checks.test_streamable()


def test_a_part_without_a_state_refuses_chunks():
    with pytest.raises(ConfigurationError, match="MLPGenerator keeps no state; give forward a chunk"):
        MLPGenerator(CLONING).forward_chunk(random_condition(CLONING, [4]), {})


def test_random_conditions_have_what_the_widths_promise():
    condition = random_condition(CLONING, [5, 3])
    assert frame_fields(condition).keys() == {"content", "f0", "voicing"}
    assert condition.content.shape == (2, CLONING.content, 5)
    assert row(condition, 1).content.shape == (1, CLONING.content, 3)
    scrambled = scramble_padding(condition)
    assert torch.equal(scrambled.content[1, :, :3], condition.content[1, :, :3])
    assert not torch.equal(scrambled.content[1, :, 3:], condition.content[1, :, 3:])


def test_names_are_found_where_they_live():
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name
    with pytest.raises(AttributeError, match="NoSuchConformance"):
        testing.NoSuchConformance  # noqa: B018 - the attribute's look-up is what is tested


def test_base_classes_are_not_collected_themselves():
    assert not any(name.startswith("Test") for name, _ in inspect.getmembers(testing.conformance, inspect.isclass))


def test_plugin_supplies_synthetic_speech(speech_like):
    assert speech_like(0.25).audio.shape == (4000,)
    assert speech_like(0.25, sample_rate=8000).sample_rate == 8000


@pytest.mark.slow
def test_plugin_imports_nothing_heavy():
    code = (
        "import sys, lightning_voiceclone.testing.plugin; print({'torch', 'numpy', 'lightning'} & sys.modules.keys())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "set()"


class BakedGenerator(MLPGenerator):
    """Claims to be exportable, but branches on the number of frames."""

    def forward(self, condition):
        features = super().forward(condition)
        return features if features.shape[2] > 20 else 2 * features


class ConstantGenerator(MLPGenerator):
    """Claims to be exportable, but adds the number of frames as a Python number."""

    def forward(self, condition):
        return super().forward(condition) + float(condition.content.shape[2])


@pytest.mark.slow
@pytest.mark.parametrize("faulty", [BakedGenerator, ConstantGenerator])
def test_part_that_keeps_the_length_it_was_exported_at_is_caught(faulty):
    class Baked(GeneratorConformance):
        part = faulty
        arguments: ClassVar = {"hidden": 8}

    with pytest.raises((*FAILURE, torch._dynamo.exc.UserError), match=r"(?i)guard|specializ|constraint"):
        Baked().test_export()
