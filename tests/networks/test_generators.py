import math
from dataclasses import replace

import pytest
import torch

from lightning_voiceclone.core import registry
from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.generators import reference
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.generators.linear import LinearGenerator
from lightning_voiceclone.networks.generators.mlp import MLPGenerator
from lightning_voiceclone.networks.generators.recurrent import RecurrentGenerator
from lightning_voiceclone.networks.generators.reference import SHARPNESS, ReferenceAttention, ReferenceGenerator
from lightning_voiceclone.networks.generators.transformer import TransformerGenerator, rotate
from lightning_voiceclone.networks.generators.vae import VAEGenerator
from lightning_voiceclone.testing.conditions import CLONING, NOISE_ONLY, change, move, random_condition
from lightning_voiceclone.testing.conformance import GeneratorConformance
from lightning_voiceclone.testing.overfitting import overfit, speech_batch

FRAMES = ("content", "f0", "voicing", "energy", "noise")


class TestLinearGenerator(GeneratorConformance):
    part = LinearGenerator


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


class TestCausalConvGenerator(GeneratorConformance):
    part = ConvGenerator
    arguments = {"width": 16, "layers": 3, "causal": True}


class TestCausalReferenceGenerator(GeneratorConformance):
    part = ReferenceGenerator
    arguments = {"width": 16, "layers": 3, "heads": 2, "head_width": 8, "causal": True}


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


@pytest.mark.slow
@pytest.mark.parametrize("part", SMALL, ids=lambda part: part.__name__)
def test_overfits_one_batch(part):
    torch.manual_seed(0)
    dims = Dims(20, content=16, speaker=8, pitch=True)
    features, condition = speech_batch(dims, rows=2, seconds=0.25)
    errors = overfit(part(dims, **SMALL[part]), features, condition, steps=40, learning_rate=8e-3)
    assert errors[-1] < 0.3 * errors[0]


def test_beginnings_are_small():
    for part, arguments in SMALL.items():
        torch.manual_seed(0)
        features = part(CLONING, **arguments)(random_condition(CLONING, [50]))
        assert features.abs().mean() < 0.2, part.__name__


def test_conv_context_by_hand():
    # enter reaches 2 steps and the blocks 2 * (1 + 2 + 4); 2 frames a step, and the step's other frame.
    assert ConvGenerator(NOISE_ONLY, layers=3).context == Context(33, 33, grid=2)
    assert ConvGenerator(NOISE_ONLY, layers=3, frames_per_step=1).context == Context(16, 16)


@torch.no_grad()
def test_a_causal_generator_sees_the_past_of_its_step_alone():
    generator = ConvGenerator(CLONING, width=16, layers=3, causal=True).double().eval()
    assert generator.context == Context(66, 0, grid=2)
    condition = move(random_condition(CLONING, [100]), dtype=torch.float64)
    moved = replace(condition, content=condition.content.clone())
    moved.content[..., 21] += 5
    seen = (generator(moved) - generator(condition)).abs().amax(1)[0].nonzero().flatten().tolist()
    assert seen == list(range(20, 22 + 64))  # of the step, and 2 * 2 * (1 + 1 + 2 + 4) steps of 2 frames


@torch.no_grad()
def test_chunks_take_what_was_prepared_of_the_reference():
    generator = ReferenceGenerator(CLONING, width=16, layers=2, causal=True).eval()
    condition, parts = random_condition(CLONING, [8]), []
    prepared, state = generator.encode_reference(condition), generator.init_state(1)
    frames = {name: value for name, value in condition.tensors().items() if name in FRAMES}
    for begin in range(0, 8, 2):
        chunk = Condition(torch.tensor([2]), speaker=condition.speaker,
                          **{name: value[..., begin : begin + 2] for name, value in frames.items()})  # fmt: skip
        features, state = generator.forward_chunk(chunk, state | prepared)
        parts.append(features)
    torch.testing.assert_close(torch.cat(parts, 2), generator(condition), rtol=0, atol=1e-6)
    assert not set(prepared) & set(state)
    assert sorted(prepared) == ["1.key", "1.value", "content", "mask"]


@torch.no_grad()
def test_layers_that_look_up_share_the_content_of_the_reference():
    generator = ReferenceGenerator(CLONING, width=16, layers=3, causal=True, look_up=(0, 2)).eval()
    condition = random_condition(CLONING, [8])
    prepared = generator.encode_reference(condition)
    assert sorted(prepared) == ["0.key", "0.value", "2.key", "2.value", "content", "mask"]
    features, _ = generator.forward_chunk(condition, generator.init_state(1) | prepared)
    torch.testing.assert_close(features, generator(condition), rtol=0, atol=1e-6)


def test_speaker_changes_the_output():
    for part, arguments in SMALL.items():
        torch.manual_seed(0)
        generator = part(CLONING, **arguments).eval()
        one, other = random_condition(CLONING, [9]), random_condition(CLONING, [9], seed=1)
        mixed = type(one)(**{**vars(one), "speaker": other.speaker})
        assert (generator(one) - generator(mixed)).abs().max() > 1e-4, part.__name__


# Looking up in the reference ------------------------------------------------------------------------------------------


def looking(frames_per_step=1, heads=2, **changes):
    """Attention and the x that asks, a reference in which each frame says something of its own, and its source."""
    torch.manual_seed(0)
    attention = ReferenceAttention(CLONING, 24, frames_per_step=frames_per_step, heads=heads, head_width=8).eval()
    condition = random_condition(CLONING, [12, 9])
    return attention, torch.randn(2, 24, 12 // frames_per_step), change(condition, **changes)


def found(attention, x, condition):
    """What is found (B, steps, heads, head_width + 1), before it is brought to the generator's width."""
    caught = []
    with attention.out.register_forward_pre_hook(lambda module, args: caught.append(args[0])):
        attention(x, condition)
    return caught[0].unflatten(2, (attention.heads, -1))


@torch.no_grad()
def test_content_of_the_reference_is_found_there():
    attention, x, condition = looking()
    place = torch.tensor([3, 0, 9, 9, 5, 1, 2, 8, 7, 4, 6, 3])
    content = 2.5 * condition.reference_content[:, :, place]  # louder or not: the direction counts
    attention.sharpness.fill_(math.log(3000.0))
    values = attention.value(condition.reference_frames).unflatten(2, (2, 8))[:, place]
    told = found(attention, x, change(condition, content=content, lengths=torch.tensor([12, 12])))
    torch.testing.assert_close(told[..., :8], values, rtol=0, atol=1e-4)
    torch.testing.assert_close(told[..., 8], torch.ones(2, 12, 2), rtol=0, atol=1e-5)  # how like it is


@torch.no_grad()
def test_what_is_found_by_hand():
    attention, x, condition = looking()
    told = found(attention, x, condition)
    said = torch.nn.functional.normalize(condition.content, dim=1)
    there = torch.nn.functional.normalize(condition.reference_content, dim=1)
    frames = condition.reference_frames
    for row, step, head in ((0, 0, 0), (0, 11, 1), (1, 8, 0)):
        count = int(condition.reference_lengths[row])
        likeness = said[row, :, step] @ there[row, :, :count]
        part = slice(8 * head, 8 * head + 8)
        key = attention.key(torch.cat([there[row].T, frames[row]], 1))[:count, part]
        query = attention.query(attention.norm(x).transpose(1, 2))[row, step, part]
        weights = (SHARPNESS[head] * likeness + key @ query / 8**0.5).softmax(0)
        expected = torch.cat([weights @ attention.value(frames[row])[:count, part], (weights @ likeness)[None]])
        torch.testing.assert_close(told[row, step, head], expected, rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("frames_per_step", [1, 2, 3])
def test_the_padding_of_the_reference_changes_nothing(frames_per_step):
    attention, x, condition = looking(frames_per_step, reference_lengths=torch.tensor([11, 8]))
    frames, content = condition.reference_frames.clone(), condition.reference_content.clone()
    for row, length in enumerate([11, 8]):
        frames[row, length:], content[row, :, length:] = float("nan"), 1e4
    scrambled = change(condition, reference_frames=frames, reference_content=content)
    assert torch.equal(attention(x, scrambled), attention(x, condition))
    cut = {name: getattr(condition, name)[1:] for name in ("content", "reference_frames", "reference_content")}
    alone = change(condition, lengths=condition.lengths[1:], content=cut["content"],
                   reference_frames=cut["reference_frames"][:, :8], reference_content=cut["reference_content"][..., :8],
                   reference_lengths=torch.tensor([8]))  # fmt: skip
    torch.testing.assert_close(attention(x[1:], alone), attention(x, condition)[1:], rtol=0, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("frames_per_step", [1, 2])
def test_the_order_of_reference_frames_does_not_matter(frames_per_step):
    attention, x, condition = looking(frames_per_step, reference_lengths=torch.tensor([10, 10]))
    order = torch.tensor([7, 2, 9, 0, 4, 1, 8, 3, 6, 5]) if frames_per_step == 1 else torch.tensor(
        [6, 7, 0, 1, 8, 9, 4, 5, 2, 3]
    )  # fmt: skip
    moved = change(condition, reference_frames=condition.reference_frames[:, order],
                   reference_content=condition.reference_content[..., order])  # fmt: skip
    torch.testing.assert_close(attention(x, moved), attention(x, condition), rtol=0, atol=1e-6)


@torch.no_grad()
def test_looked_up_in_parts_as_at_once(monkeypatch):
    attention, x, condition = looking()
    whole = attention(x, condition)
    for count in (1, 5, 12):
        monkeypatch.setattr(reference, "QUERIES", count)
        torch.testing.assert_close(attention(x, condition), whole, rtol=0, atol=1e-6)


@torch.no_grad()
def test_the_reference_is_used_only_where_there_is_content_to_look_up_by():
    torch.manual_seed(0)
    generator = ReferenceGenerator(CLONING, width=16, layers=2).eval()
    condition = random_condition(CLONING, [12, 9])
    other = change(condition, reference_frames=condition.reference_frames.roll(1, 0))
    assert (generator(other) - generator(condition)).abs().max() > 1e-3
    assert {"reference_frames", "reference_content", "reference_lengths"} <= generator.needs
    assert ReferenceGenerator(CLONING, width=16, layers=2, look_up=()).needs == ConvGenerator(CLONING).needs
    plain = ReferenceGenerator(NOISE_ONLY, width=16, layers=2)
    assert plain.needs == {"noise"}
    torch.manual_seed(0)
    conv = ConvGenerator(NOISE_ONLY, width=16, layers=2).eval()
    conv.load_state_dict(plain.state_dict())
    assert torch.equal(plain.eval()(random_condition(NOISE_ONLY, [9])), conv(random_condition(NOISE_ONLY, [9])))


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "arguments", "told"),
    [
        (ConvGenerator, {"kernel_size": 4}, "kernel_size is 4"),
        (ConvGenerator, {"dilations": ()}, "dilations"),
        (ConvGenerator, {"frames_per_step": 0}, "frames_per_step is 0"),
        (TransformerGenerator, {"width": 30, "heads": 4}, "width 30 .* 32"),
        (RecurrentGenerator, {"cell": "elman"}, "elman.*gru, lstm"),
        (MLPGenerator, {"layers": 1}, "layers"),
        (MLPGenerator, {"norm": "layer"}, "norm is 'layer'; it must be batch or none"),
        (ReferenceGenerator, {"heads": 0}, "heads is 0"),
        (ReferenceGenerator, {"head_width": 0}, "head_width is 0"),
        (ReferenceGenerator, {"layers": 3, "look_up": (1, 3)}, r"look_up has 3.*blocks 0 to 2"),
        (ReferenceGenerator, {"look_up": (-1,)}, "look_up has -1"),
    ],
)
def test_values_that_cannot_work_are_named(part, arguments, told):
    with pytest.raises(ConfigurationError, match=told):
        part(CLONING if part is ReferenceGenerator else NOISE_ONLY, **arguments)


@pytest.mark.parametrize("part", SMALL, ids=lambda part: part.__name__)
def test_trains_in_mixed_precision(part):
    torch.manual_seed(0)
    generator = part(CLONING, **SMALL[part])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features, losses = generator.forward_with_losses(random_condition(CLONING, [12, 9]))
    (features.float().square().mean() + sum(loss.mean() for loss in losses.values())).backward()
    assert all(weight.grad.isfinite().all() for weight in generator.parameters())


def test_every_generator_that_ships_is_tried():
    shipped = {p.name for p in registry.installed() if p.kind == "generators" and p.package == "lightning-voiceclone"}
    assert shipped == {part.__name__ for part in SMALL} | {"LinearGenerator"}  # which has nothing to overfit with


def test_batch_norm_and_dropout_of_the_mlp_generator():
    torch.manual_seed(0)
    generator = MLPGenerator(NOISE_ONLY, hidden=16, norm="batch", dropout=0.5)
    condition, seen = random_condition(NOISE_ONLY, [40, 40]), []
    loud = change(condition, noise=100 * condition.noise)
    generator.norms[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
    first, second = generator.train()(loud), generator(loud)
    torch.testing.assert_close(seen[0].std((0, 2)), torch.ones(16), rtol=0, atol=0.02)
    assert not torch.equal(first, second)
    assert torch.equal(generator.eval()(loud), generator(loud))
    alone, together = generator(loud.rows(slice(1))), generator(loud)
    torch.testing.assert_close(alone, together[:1])
