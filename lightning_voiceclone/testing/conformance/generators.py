"""Checks that every generator must pass."""

# ruff: noqa: D102 - a check's name describes it

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Generator
from lightning_voiceclone.core.part import Dims, Part
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
from lightning_voiceclone.testing.conformance.expect import (
    expect,
    expect_close,
    expect_refusal,
    expect_same,
    expect_shape,
)
from lightning_voiceclone.testing.conformance.export import check_export
from lightning_voiceclone.testing.conformance.part import (
    NetworkConformance,
    assert_gradients_reach,
    rebuilt,
    seeded,
)
from lightning_voiceclone.testing.conformance.streaming import check_chunks, streamed_frames

all_dims = pytest.mark.parametrize(
    "dims",
    [pytest.param(NOISE_ONLY, id="noise"), pytest.param(CLONING, id="cloning"), pytest.param(EVERYTHING, id="all")],
)


class GeneratorConformance(NetworkConformance):
    """Shapes, needs, gradients, padding, context, determinism, dtype and device moves, checkpoints, export."""

    claims = frozenset({"deterministic", "differentiable", "exportable", "streamable"})

    def make(self, dims: Dims) -> Generator:
        """The generator for these widths."""
        seeded()
        part = self.part(dims, **self.arguments)
        assert isinstance(part, Generator)
        return part

    def used(self) -> Generator:
        return self.make(EVERYTHING).eval()

    def example(self, part: Part, variant: int = 0) -> tuple[Any, ...]:
        return (random_condition(EVERYTHING, [13, 8], seed=variant),)

    @all_dims
    @pytest.mark.parametrize("frames", [1, 2, 7, 40])
    def test_shape(self, dims: Dims, frames: int) -> None:
        features = self.make(dims)(random_condition(dims, [frames, max(frames - 1, 1)]))
        expect_shape(features, (2, dims.features, frames), f"features of {frames} frames")

    def test_noise_of_an_utterance(self) -> None:
        features = self.make(NOISE_ONLY)(random_condition(NOISE_ONLY, [9, 5], noise_per_frame=False))
        expect_shape(features, (2, NOISE_ONLY.features, 9), "features from noise (B, Z)")

    @all_dims
    def test_missing_need_is_named(self, dims: Dims) -> None:
        generator = self.make(dims)
        there = random_condition(dims, [4]).tensors().keys()
        expect(generator.needs <= there, f"needs among {sorted(there)}", sorted(generator.needs))
        for name in sorted(generator.needs):
            without = change(random_condition(dims, [4]), **{name: None})
            expect_refusal(lambda without=without: generator(without), ConfigurationError, name)  # type: ignore[misc]

    @all_dims
    def test_needs_are_complete(self, dims: Dims) -> None:
        generator = self.make(dims).eval()
        whole = random_condition(dims, [13, 8])
        unneeded = dict.fromkeys(whole.tensors().keys() - generator.needs - {"lengths"})
        try:
            features = generator(change(whole, **unneeded))
        except Exception as error:
            found = f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
            raise AssertionError(f"expected features from its needs, {sorted(generator.needs)}; got {found}") from error
        expect_same(features, generator(whole), 0, f"no use of {sorted(unneeded)}, which are not among its needs")

    def test_other_width_is_named(self) -> None:
        wrong = random_condition(replace(CLONING, content=CLONING.content + 1), [4])
        generator = self.make(CLONING)
        widths = str(CLONING.content), str(CLONING.content + 1)
        expect_refusal(lambda: generator(wrong), ConfigurationError, "content", *widths)

    def test_no_input_at_all_is_an_error(self) -> None:
        expect_refusal(lambda: self.make(Dims(20)), ConfigurationError, "input")

    @all_dims
    def test_gradients_reach_weights_and_inputs(self, dims: Dims) -> None:
        generator = self.make(dims).train()
        condition = random_condition(dims, [12, 9])
        floats = {name: value for name, value in condition.tensors().items() if value.is_floating_point()}
        wanted = {name: value.requires_grad_() for name, value in floats.items() if name in generator.needs}
        features, losses = generator.forward_with_losses(condition)
        target = torch.randn(features.shape)
        own = [loss.mean() for loss in losses.values()]
        ((features - target).square().mean() + sum(own)).backward()
        assert_gradients_reach(generator)
        unused = [name for name, value in wanted.items() if value.grad is None or not value.grad.any()]
        expect(not unused, f"a gradient of each of its needs, {sorted(wanted)}", f"none of {unused}")

    @all_dims
    def test_padding_does_not_leak(self, dims: Dims) -> None:
        generator = self.make(dims).eval()
        condition = random_condition(dims, [20, 11])
        kept = condition.mask(20) > 0
        features, scrambled = generator(condition), generator(scramble_padding(condition))
        expect_close(torch.where(kept, scrambled, 0.0), torch.where(kept, features, 0.0), 1e-6,
                     "the same real frames whatever the padding holds")  # fmt: skip

    @all_dims
    def test_batch_equals_one_by_one(self, dims: Dims) -> None:
        generator = self.make(dims).eval()
        condition = random_condition(dims, [21, 10, 1])
        together = generator(condition)
        for index, length in enumerate(condition.lengths.tolist()):
            expect_close(together[index : index + 1, :, :length], generator(row(condition, index)), 1e-4,
                         f"row {index} of a batch to be as it is alone")  # fmt: skip

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
        expect(float(seen[changed]) > 0, f"other features at frame {changed}, which changes", "the same")
        frames = len(seen)
        found = [frame - changed for frame in range(frames)
                 if seen[frame] > 0 and changed not in generator.context.seen_by(frame, frames)]  # fmt: skip
        expect(not found, f"no change beyond the declared context of {left:g} and {right:g} frames",
               f"changes {found[:6]} frames away")  # fmt: skip

    @all_dims
    def test_streamable(self, dims: Dims) -> None:
        generator = self.make(dims).eval().double()
        condition = move(random_condition(dims, [streamed_frames(generator)] * 2), dtype=torch.float64)
        check_chunks(generator, lambda begin, end: cut(condition, begin, end))

    @torch.no_grad()
    def test_encoded_reference(self) -> None:
        """What it encodes of the reference gives the features that it gives with the reference itself."""
        generator = self.make(CLONING).eval().double()
        condition = move(random_condition(CLONING, [8, 8]), dtype=torch.float64)
        reference = {name: value for name, value in condition.tensors().items() if name.startswith("reference_")}
        state, encoded = generator.init_state(2), generator.encode_reference(Condition(condition.lengths, **reference))
        if state is None:
            pytest.skip("keeps no state")
        taken = sorted(set(encoded) & set(state))
        expect(not taken, "names of its own for what is encoded", f"those of the state, {taken}")
        expect(all(len(value) == 2 for value in encoded.values()), "values whose first axis is the batch, of 2 rows",
               {name: tuple(value.shape) for name, value in encoded.items()})  # fmt: skip
        kept = {name: value for name, value in condition.tensors().items() if not (encoded and name in reference)}
        made, after = generator.forward_chunk(Condition(**kept), state | encoded)
        expect_close(made, generator(condition), 1e-6, "the same features with what was encoded of the reference")
        expect(after.keys() == state.keys(), f"a next state of {sorted(state)}", sorted(after))

    @all_dims
    def test_deterministic_in_eval(self, dims: Dims) -> None:
        generator, condition = self.make(dims).eval(), random_condition(dims, [13, 8])
        expect_same(generator(condition), generator(condition), 0, "the same features again, out of training")

    def test_own_losses_are_those_it_names(self) -> None:
        generator = self.make(CLONING).eval()
        condition = random_condition(CLONING, [13, 8])
        features, losses = generator.forward_with_losses(condition)
        names = sorted(generator.loss_names)
        expect(sorted(losses) == names, f"the losses that loss_names lists, {names}", sorted(losses))
        for name, loss in losses.items():
            expect_shape(loss, (2,), f"one value a row of the loss {name}")
            alone = generator.forward_with_losses(row(condition, 1))[1][name]
            expect_close(loss[1:], alone, 1e-4, f"the loss {name} of row 1 of a batch to be as it is alone")
        expect_close(features, generator(condition), 1e-4, "the features of forward beside the losses")

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_cuda(self) -> None:
        generator, condition = self.make(EVERYTHING).eval(), random_condition(EVERYTHING, [13, 8])
        on_cpu = generator(condition)
        on_cuda = generator.cuda()(move(condition, device="cuda"))
        expect_close(on_cuda.cpu(), on_cpu, 1e-2, "the same on a GPU")

    @all_dims
    def test_checkpoint_round_trip(self, dims: Dims) -> None:
        generator, condition = self.make(dims).eval(), random_condition(dims, [13, 8])
        copy = rebuilt(generator)
        expect(copy.needs == generator.needs, f"the needs {sorted(generator.needs)} after a checkpoint", copy.needs)
        expect_same(copy(condition), generator(condition), 0, "the same features after a checkpoint")

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

        check_export(self.make(dims).eval(), given,
                     lambda ours, theirs: expect_close(ours, theirs, 1e-4, "what the part itself gives"))  # fmt: skip
