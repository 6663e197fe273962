import pytest
import torch

from lightning_voiceclone import plugins
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.generators.mlp import MLPGenerator
from lightning_voiceclone.networks.generators.recurrent import RecurrentGenerator
from lightning_voiceclone.networks.generators.reference import ReferenceGenerator
from lightning_voiceclone.networks.generators.transformer import TransformerGenerator, rotate
from lightning_voiceclone.networks.generators.vae import VAEGenerator
from lightning_voiceclone.parts import Dims
from lightning_voiceclone.testing.conditions import CLONING, NOISE_ONLY, random_condition
from lightning_voiceclone.testing.conformance import GeneratorConformance
from lightning_voiceclone.testing.overfitting import overfit, speech_batch


class TestMLPGenerator(GeneratorConformance):
    part = MLPGenerator
    arguments = {"hidden": 24}


class TestConvGenerator(GeneratorConformance):
    part = ConvGenerator
    arguments = {"width": 24, "layers": 3}


class TestConvGeneratorOfOneFrame(GeneratorConformance):
    part = ConvGenerator
    arguments = {"width": 16, "layers": 2, "kernel_size": 3, "frames_per_step": 1, "dropout": 0.1}


class TestConvGeneratorOfThreeFrames(GeneratorConformance):
    part = ConvGenerator
    arguments = {"width": 16, "layers": 2, "kernel_size": 3, "frames_per_step": 3, "dilations": (2, 1)}


class TestReferenceGenerator(GeneratorConformance):
    part = ReferenceGenerator
    arguments = {"width": 24, "layers": 3, "heads": 3, "head_width": 8, "look_up": (0, 2)}


class TestRecurrentGenerator(GeneratorConformance):
    part = RecurrentGenerator
    arguments = {"hidden": 16}


class TestRecurrentGeneratorLSTM(GeneratorConformance):
    part = RecurrentGenerator
    arguments = {"hidden": 16, "layers": 1, "cell": "lstm"}


class TestTransformerGenerator(GeneratorConformance):
    part = TransformerGenerator
    arguments = {"width": 24, "layers": 2, "heads": 3}


class TestVAEGenerator(GeneratorConformance):
    part = VAEGenerator
    arguments = {"width": 24, "layers": 2, "latent": 6}


SMALL = {
    MLPGenerator: {"hidden": 96},
    ConvGenerator: {"width": 64, "layers": 3},
    ReferenceGenerator: {"width": 48, "layers": 2},
    RecurrentGenerator: {"hidden": 64, "layers": 1},
    TransformerGenerator: {"width": 64, "layers": 2},
    VAEGenerator: {"width": 48, "layers": 1, "latent": 16},
}


@pytest.mark.parametrize("part", SMALL, ids=lambda part: part.__name__)
def test_learns_one_batch_by_heart(part):
    torch.manual_seed(0)
    dims = Dims(20, content=16, speaker=8, pitch=True)
    features, condition = speech_batch(dims)
    errors = overfit(part(dims, **SMALL[part]), features, condition, steps=200)
    assert errors[-1] < 0.5 * errors[0]


def test_beginnings_are_small():
    for part, arguments in SMALL.items():
        torch.manual_seed(0)
        features = part(CLONING, **arguments)(random_condition(CLONING, [50]))
        assert features.abs().mean() < 0.2, part.__name__


def test_chunk_with_its_context_equals_the_whole_exactly():
    torch.manual_seed(0)
    generator = ConvGenerator(CLONING, width=16, layers=2, frames_per_step=2).eval()
    left, right = generator.context
    condition = random_condition(CLONING, [4 * left])
    whole = generator(condition)
    start, end = 2 * left, 2 * left + 10
    cut = slice(start - left, end + right)
    chunk = type(condition)(
        lengths=torch.tensor([end + right - start + left]),
        content=condition.content[:, :, cut],
        f0=condition.f0[:, cut],
        voicing=condition.voicing[:, cut],
        speaker=condition.speaker,
    )
    torch.testing.assert_close(generator(chunk)[:, :, left : left + 10], whole[:, :, start:end], rtol=0, atol=1e-6)


def test_conv_context_by_hand():
    # enter reaches 2 steps and the blocks 2 * (1 + 2 + 4); one more for the step's other frame; 2 frames a step.
    assert ConvGenerator(NOISE_ONLY, layers=3).context == (34, 34)
    assert ConvGenerator(NOISE_ONLY, layers=3, frames_per_step=1).context == (16, 16)


def test_speaker_is_heard():
    for part, arguments in SMALL.items():
        torch.manual_seed(0)
        generator = part(CLONING, **arguments).eval()
        one, other = random_condition(CLONING, [9]), random_condition(CLONING, [9], seed=1)
        mixed = type(one)(**{**vars(one), "speaker": other.speaker})
        assert (generator(one) - generator(mixed)).abs().max() > 1e-4, part.__name__


def test_rotary_products_depend_on_distance_alone():
    torch.manual_seed(0)
    query, key = torch.randn(8, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
    queries, keys = rotate(query.expand(1, 1, 12, 8)), rotate(key.expand(1, 1, 12, 8))
    products = (queries @ keys.transpose(-1, -2))[0, 0]
    for distance in range(6):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))


def test_vae_draws_in_training_and_not_in_eval():
    torch.manual_seed(0)
    generator = VAEGenerator(NOISE_ONLY, width=16, layers=1, latent=4)
    condition = random_condition(NOISE_ONLY, [10])
    assert not torch.equal(generator(condition), generator(condition))
    assert torch.equal(generator.eval()(condition), generator(condition))


@pytest.mark.parametrize(
    ("part", "arguments", "told"),
    [
        (ConvGenerator, {"kernel_size": 4}, "kernel_size is 4"),
        (ConvGenerator, {"dilations": ()}, "dilations"),
        (ConvGenerator, {"frames_per_step": 0}, "frames_per_step is 0"),
        (TransformerGenerator, {"width": 30, "heads": 4}, "width 30 .* 32"),
        (RecurrentGenerator, {"cell": "elman"}, "elman.*gru, lstm"),
        (MLPGenerator, {"layers": 1}, "layers"),
    ],
)
def test_values_that_cannot_work_are_named(part, arguments, told):
    with pytest.raises(ConfigurationError, match=told):
        part(NOISE_ONLY, **arguments)


@pytest.mark.parametrize("part", SMALL, ids=lambda part: part.__name__)
def test_trains_in_mixed_precision(part):
    torch.manual_seed(0)
    generator = part(CLONING, **SMALL[part])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features, losses = generator.forward_with_losses(random_condition(CLONING, [12, 9]))
    (features.float().square().mean() + sum(losses.values())).backward()
    assert all(weight.grad.isfinite().all() for weight in generator.parameters())


def test_every_generator_that_ships_is_tried():
    shipped = {p.name for p in plugins.installed() if p.kind == "generators" and p.package == "lightning-voiceclone"}
    assert shipped == {part.__name__ for part in SMALL}
