"""Checks that every generator must pass."""

# ruff: noqa: D102 - a check's name describes it

import math
from dataclasses import replace

import pytest
import torch

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Generator
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.testing.conditions import (
    CLONING,
    EVERYTHING,
    NOISE_ONLY,
    change,
    cut,
    frame_fields,
    move,
    random_condition,
    row,
    scramble_padding,
)
from lightning_voiceclone.testing.conformance.export import check_export
from lightning_voiceclone.testing.conformance.part import (
    PartConformance,
    assert_close,
    assert_gradients_reach,
    rebuilt,
    seeded,
)
from lightning_voiceclone.testing.conformance.streaming import check_chunks, streamed_frames

all_dims = pytest.mark.parametrize(
    "dims",
    [pytest.param(NOISE_ONLY, id="noise"), pytest.param(CLONING, id="cloning"), pytest.param(EVERYTHING, id="all")],
)


class GeneratorConformance(PartConformance):
    """Shapes, gradients, padding, context, determinism, dtype and device moves, checkpoints, export."""

    def make(self, dims: Dims) -> Generator:
        """The generator for these widths."""
        seeded()
        part = self.part(dims, **self.arguments)
        assert isinstance(part, Generator)
        return part

    @all_dims
    @pytest.mark.parametrize("frames", [1, 2, 7, 40])
    def test_shape(self, dims: Dims, frames: int) -> None:
        features = self.make(dims)(random_condition(dims, [frames, max(frames - 1, 1)]))
        assert features.shape == (2, dims.features, frames)
        assert features.isfinite().all()

    def test_noise_of_an_utterance(self) -> None:
        features = self.make(NOISE_ONLY)(random_condition(NOISE_ONLY, [9, 5], noise_per_frame=False))
        assert features.shape == (2, NOISE_ONLY.features, 9)

    @all_dims
    def test_missing_need_is_named(self, dims: Dims) -> None:
        generator = self.make(dims)
        assert generator.needs <= random_condition(dims, [4]).tensors().keys()
        for name in sorted(generator.needs):
            with pytest.raises(ConfigurationError, match=name):
                generator(replace(random_condition(dims, [4]), **{name: None}))  # type: ignore[arg-type]

    def test_other_width_is_named(self) -> None:
        wrong = random_condition(replace(CLONING, content=CLONING.content + 1), [4])
        with pytest.raises(ConfigurationError, match=rf"content.*{CLONING.content}.*{CLONING.content + 1}"):
            self.make(CLONING)(wrong)

    def test_no_input_at_all_is_an_error(self) -> None:
        with pytest.raises(ConfigurationError, match="input"):
            self.make(Dims(20))

    @all_dims
    def test_gradients_reach_weights_and_inputs(self, dims: Dims) -> None:
        generator = self.make(dims).train()
        condition = random_condition(dims, [12, 9])
        floats = {name: value for name, value in condition.tensors().items() if value.is_floating_point()}
        wanted = {name: value.requires_grad_() for name, value in floats.items() if name in generator.needs}
        features, losses = generator.forward_with_losses(condition)
        target = torch.randn(features.shape)
        ((features - target).square().mean() + sum(losses.values())).backward()  # type: ignore[union-attr]
        assert_gradients_reach(generator)
        unused = [name for name, value in wanted.items() if value.grad is None or not value.grad.any()]
        assert not unused, f"the output does not depend on {unused}"

    @all_dims
    def test_padding_does_not_leak(self, dims: Dims) -> None:
        generator = self.make(dims).eval()
        condition = random_condition(dims, [20, 11])
        kept = condition.mask(20) > 0
        features, scrambled = generator(condition), generator(scramble_padding(condition))
        assert_close(torch.where(kept, scrambled, 0.0), torch.where(kept, features, 0.0), 1e-6)

    @all_dims
    def test_batch_equals_one_by_one(self, dims: Dims) -> None:
        generator = self.make(dims).eval()
        condition = random_condition(dims, [21, 10, 1])
        together = generator(condition)
        for index, length in enumerate(condition.lengths.tolist()):
            assert_close(together[index : index + 1, :, :length], generator(row(condition, index)))

    @all_dims
    def test_context_is_honest(self, dims: Dims) -> None:
        generator = self.make(dims).eval()
        left, right = generator.context.left, generator.context.right
        if math.isinf(left) or math.isinf(right):
            pytest.skip("context is the whole utterance")
        changed = int(right) + 4
        condition = random_condition(dims, [changed + int(left) + 5])
        moved = {}
        for name, value in frame_fields(condition).items():
            moved[name] = value.clone()
            moved[name][..., changed] += 5.0
        # A frame sees ``left`` frames before it, so a change is seen by as many after the changed one.
        difference = (generator(replace(condition, **moved)) - generator(condition)).abs()  # type: ignore[arg-type]
        seen = difference.amax(dim=(0, 1))
        assert seen[: changed - int(right)].max() == 0
        assert seen[changed + int(left) + 1 :].max() == 0
        assert seen[changed] > 0

    @all_dims
    def test_streamable(self, dims: Dims) -> None:
        generator = self.make(dims).eval().double()
        condition = move(random_condition(dims, [streamed_frames(generator)] * 2), dtype=torch.float64)
        check_chunks(generator, lambda begin, end: cut(condition, begin, end))

    @all_dims
    def test_deterministic_in_eval(self, dims: Dims) -> None:
        generator, condition = self.make(dims).eval(), random_condition(dims, [13, 8])
        assert torch.equal(generator(condition), generator(condition))

    def test_own_losses_are_those_it_names(self) -> None:
        generator = self.make(CLONING).eval()
        condition = random_condition(CLONING, [13, 8])
        features, losses = generator.forward_with_losses(condition)
        assert losses.keys() == generator.loss_names
        assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
        assert_close(features, generator(condition))

    def test_double_precision(self) -> None:
        generator, condition = self.make(EVERYTHING).eval(), random_condition(EVERYTHING, [13, 8])
        single = generator(condition)
        double = generator.double()(move(condition, dtype=torch.float64))
        assert double.dtype == torch.float64
        assert_close(double.float(), single, 1e-3)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_cuda(self) -> None:
        generator, condition = self.make(EVERYTHING).eval(), random_condition(EVERYTHING, [13, 8])
        on_cpu = generator(condition)
        on_cuda = generator.cuda()(move(condition, device="cuda"))
        assert on_cuda.is_cuda
        assert_close(on_cuda.cpu(), on_cpu, 1e-2)

    @all_dims
    def test_checkpoint_round_trip(self, dims: Dims) -> None:
        generator, condition = self.make(dims).eval(), random_condition(dims, [13, 8])
        copy = rebuilt(generator)
        assert copy.needs == generator.needs
        assert torch.equal(copy(condition), generator(condition))

    @pytest.mark.slow
    def test_export(self) -> None:
        dims = EVERYTHING

        def given(frames: int) -> tuple[Condition]:
            seeded()
            references = {
                "reference_frames": torch.randn(2, frames + 3, dims.features),
                "reference_content": torch.randn(2, dims.content, frames + 3),
                "reference_lengths": torch.tensor([frames + 3, frames]),
            }
            return (change(random_condition(dims, [frames, frames - 7]), **references),)

        check_export(self.make(dims).eval(), given, assert_close)
