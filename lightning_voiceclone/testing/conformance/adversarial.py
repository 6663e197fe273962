"""Checks that every discriminator and every adversarial loss must pass."""

# ruff: noqa: D102 - a check's name describes it

import inspect
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import AdversarialLoss, Discriminator
from lightning_voiceclone.core.part import Dims, Part
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.losses.adversarial import WassersteinLoss
from lightning_voiceclone.testing.conditions import CLONING, NOISE_ONLY, random_condition
from lightning_voiceclone.testing.conformance.expect import (
    expect,
    expect_close,
    expect_refusal,
    expect_same,
    expect_shape,
)
from lightning_voiceclone.testing.conformance.part import (
    NetworkConformance,
    assert_gradients_reach,
    rebuilt,
    seeded,
)


class DiscriminatorConformance(NetworkConformance):
    """Shapes, gradients of both orders, whether rows couple, determinism, dtype and device moves, checkpoints."""

    def make(self, dims: Dims, **more: object) -> Discriminator:
        """The discriminator for these widths."""
        seeded()
        part = self.part(dims, **{**self.arguments, **more})
        assert isinstance(part, Discriminator)
        return part

    def inputs(self, dims: Dims, size: int, rows: int = 2) -> tuple[Tensor, Condition]:
        """Input of the discriminator, of ``size`` frames or samples, and its condition."""
        seeded()
        by_features = self.part.takes == "features"  # type: ignore[attr-defined]
        x = torch.randn(rows, dims.features if by_features else 1, size)
        return x, random_condition(dims, [size] * rows)

    def used(self) -> Discriminator:
        return self.make(CLONING).eval()

    def example(self, part: Part, variant: int = 0) -> tuple[Any, ...]:
        x, condition = self.inputs(CLONING, 60)
        return (x.flip(-1) if variant else x, condition)

    @pytest.mark.parametrize("dims", [NOISE_ONLY, CLONING, Dims(1, noise=1)], ids=["13", "20", "1"])
    @pytest.mark.parametrize("size", [1, 2, 17, 60])
    def test_shape(self, dims: Dims, size: int) -> None:
        x, condition = self.inputs(dims, size)
        outputs = self.make(dims)(x, condition)
        expect(bool(outputs) and all(outputs), "a list of maps for each sub-discriminator", "an empty one")
        for map_ in (map_ for maps in outputs for map_ in maps):
            expect(map_.shape[0] == 2, "maps of 2 rows for 2 rows", tuple(map_.shape))
            expect(map_.numel() > 0, f"numbers in each map, of an input of {size}", f"none, {tuple(map_.shape)}")
            expect(bool(map_.isfinite().all()), "finite maps", "others")

    def test_without_condition(self) -> None:
        x, condition = self.inputs(CLONING, 30)
        discriminator = self.make(CLONING).eval()
        for without, given in zip(discriminator(x), discriminator(x, condition), strict=True):
            expect_close(without[-1], given[-1], 1e-4, "without a condition the logits with one that has no padding")

    def test_padding_does_not_leak(self) -> None:
        if self.part.takes != "features":  # type: ignore[attr-defined]
            pytest.skip("takes audio, whose crops have no padding")
        x, _ = self.inputs(CLONING, 60)
        discriminator, condition = self.make(CLONING).eval(), random_condition(CLONING, [60, 41])
        scrambled = x.clone()
        scrambled[1, :, 41:] += 10
        for ours, theirs in zip(discriminator(x, condition), discriminator(scrambled, condition), strict=True):
            expect_close(theirs[-1], ours[-1], 1e-5, "the same logits whatever the padding of the condition holds")

    def test_gradients_reach_weights_and_input(self) -> None:
        x, condition = self.inputs(CLONING, 300)
        discriminator = self.make(CLONING).train()
        x.requires_grad_()
        sum(maps[-1].square().mean() for maps in discriminator(x, condition)).backward()  # type: ignore[union-attr]
        assert_gradients_reach(discriminator)
        expect(x.grad is not None and bool(x.grad.any()), "a gradient of the input", "none")

    def test_gradient_penalty_reaches_weights(self) -> None:
        real, condition = self.inputs(CLONING, 64)
        discriminator = self.make(CLONING).train()
        penalty = WassersteinLoss().penalty(discriminator, real, torch.randn_like(real), condition)
        assert penalty is not None
        penalty.mean().backward()
        gradients = [weight.grad for weight in discriminator.parameters() if weight.grad is not None]
        expect(any(bool(gradient.any()) for gradient in gradients), "a gradient of the gradient penalty", "none")
        finite = all(bool(gradient.isfinite().all()) for gradient in gradients)
        expect(finite, "a finite gradient of the gradient penalty", "one that is not")

    def test_rows_are_independent(self) -> None:
        x, condition = self.inputs(CLONING, 60)
        discriminator = self.make(CLONING)
        discriminator.train(not discriminator.per_row)  # batch norm couples rows in training alone
        together, alone = discriminator(x, condition), discriminator(x[:1], random_condition(CLONING, [60]))
        if not discriminator.per_row:
            differ = any(_differ(maps[-1][:1], maps_alone[-1])
                         for maps, maps_alone in zip(together, alone, strict=True))  # fmt: skip
            expect(differ, "logits that depend on the other rows, as per_row is False", "the same as of one row alone")
            return
        for maps, maps_alone in zip(together, alone, strict=True):
            for map_, map_alone in zip(maps, maps_alone, strict=True):
                expect_close(map_[:1], map_alone, 1e-4, "the first row of a batch to be as it is alone")

    def test_speaker_changes_the_output(self) -> None:
        if "speaker" not in inspect.signature(self.part.__init__).parameters:
            pytest.skip("has no option speaker")
        x, condition = self.inputs(CLONING, 60)
        discriminator = self.make(CLONING, speaker=True).eval()
        assert condition.speaker is not None
        other = replace(condition, speaker=-condition.speaker)
        for maps, maps_other in zip(discriminator(x, condition), discriminator(x, other), strict=True):
            differ = not torch.allclose(maps[-1], maps_other[-1])
            expect(differ, "other logits for another speaker, with speaker=True", "the same")
        nobody = replace(condition, speaker=None)
        expect_refusal(lambda: discriminator(x, nobody), ConfigurationError, "speaker")
        expect_refusal(lambda: self.make(NOISE_ONLY, speaker=True), ConfigurationError, "speaker")

    def test_deterministic_in_eval(self) -> None:
        x, condition = self.inputs(CLONING, 60)
        discriminator = self.make(CLONING).eval()
        first, second = (discriminator(x, condition)[0][-1] for _ in range(2))
        expect_same(first, second, 0, "the same logits again, out of training")

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_cuda(self) -> None:
        x, _ = self.inputs(CLONING, 60)
        discriminator = self.make(CLONING).eval()
        on_cpu = discriminator(x)[0][-1]
        expect_close(discriminator.cuda()(x.cuda())[0][-1].cpu(), on_cpu, 1e-2, "the same on a GPU")

    def test_checkpoint_round_trip(self) -> None:
        x, condition = self.inputs(CLONING, 60)
        discriminator = self.make(CLONING).eval()
        logits = rebuilt(discriminator)(x, condition)[0][-1]
        expect_same(logits, discriminator(x, condition)[0][-1], 0, "the same logits after a checkpoint")


class AdversarialLossConformance(NetworkConformance):
    """One value a row, the mean over sub-discriminators, gradients of the right sign, finite at the ends."""

    claims = frozenset({"deterministic"})

    def make(self) -> AdversarialLoss:
        """The loss."""
        part = self.part(**self.arguments)
        assert isinstance(part, AdversarialLoss)
        return part

    def used(self) -> AdversarialLoss:
        return self.make()

    def example(self, part: Part, variant: int = 0) -> tuple[Any, ...]:
        seeded(variant)
        return [torch.randn(2, 1, 9), torch.randn(2, 3)], [torch.randn(2, 1, 9), torch.randn(2, 3)]

    def outcome(self, part: Any, *arguments: Any) -> Any:
        real, fake = arguments
        return [part.discriminator(real, fake), part.generator(fake)]

    def test_mean_over_sub_discriminators(self) -> None:
        loss = self.make()
        seeded()
        real, fake = [torch.randn(2, 1, 9), torch.randn(2, 3)], [torch.randn(2, 1, 9), torch.randn(2, 3)]
        expect_shape(loss.discriminator(real, fake), (2,), "one value a row of the discriminator's loss")
        expect_shape(loss.generator(fake), (2,), "one value a row of the generator's loss")
        apart = [loss.discriminator(real[index : index + 1], fake[index : index + 1]) for index in range(2)]
        mean = "the mean of the losses of each sub-discriminator"
        expect_close(loss.discriminator(real, fake), torch.stack(apart).mean(0), 1e-6, mean)
        apart = [loss.generator(fake[index : index + 1]) for index in range(2)]
        expect_close(loss.generator(fake), torch.stack(apart).mean(0), 1e-6, mean)

    def test_rows_are_independent(self) -> None:
        loss = self.make()
        seeded()
        real, fake = ([torch.randn(3, 1, 9), torch.randn(3, 3)] for _ in range(2))
        one = [logits[:1] for logits in real], [logits[:1] for logits in fake]
        pairs = [(loss.discriminator(real, fake)[:1], loss.discriminator(*one)),
                 (loss.generator(fake)[:1], loss.generator(one[1]))]  # fmt: skip
        if loss.per_row:
            for together, alone in pairs:
                expect_close(together, alone, 1e-5, "the first row's loss in a batch to be as it is alone")
            return
        differ = any(_differ(together, alone) for together, alone in pairs)
        expect(differ, "losses that depend on the other rows, as per_row is False", "the same as of one row alone")

    def test_gradients_have_the_right_sign(self) -> None:
        loss = self.make()
        # Between the labels that losses use (-1 or 0 for fake, 1 for real), where no gradient is 0.
        real, fake = torch.full((4, 1), 0.5, requires_grad=True), torch.full((4, 1), 0.5, requires_grad=True)
        loss.discriminator([real], [fake]).sum().backward()
        _expect_slope(real, -1, "the discriminator's loss to fall with higher logits of real")
        _expect_slope(fake, 1, "the discriminator's loss to fall with lower logits of fake")
        fake.grad = None
        loss.generator([fake]).sum().backward()
        _expect_slope(fake, -1, "the generator's loss to fall with higher logits of fake")

    def test_finite_at_the_ends(self) -> None:
        loss = self.make()
        for end in (-200.0, 200.0):
            logits = torch.full((3, 1), end, requires_grad=True)
            total = (loss.discriminator([logits], [logits]) + loss.generator([logits])).sum()
            total.backward()
            expect(bool(total.isfinite()), f"finite losses at logits of {end:g}", float(total))
            finite = logits.grad is not None and bool(logits.grad.isfinite().all())
            expect(finite, f"finite gradients at logits of {end:g}", "others")

    def test_penalty_is_none_or_one_value_a_row(self) -> None:
        from lightning_voiceclone.networks.discriminators.mlp import MLPDiscriminator

        seeded()
        real, fake = torch.randn(3, 5, 7), torch.randn(3, 5, 7)
        penalty = self.make().penalty(MLPDiscriminator(Dims(5), hidden=8), real, fake, None)
        if penalty is not None:
            expect_shape(penalty, (3,), "one value a row of the penalty")
            expect(bool((penalty >= 0).all()), "a penalty of at least 0", float(penalty.min()))

    def test_round_trip(self) -> None:
        loss = self.make()
        seeded()
        real, fake = [torch.randn(4, 2)], [torch.randn(4, 2)]
        copy = rebuilt(loss)
        assert isinstance(copy, AdversarialLoss)
        ours, theirs = copy.discriminator(real, fake), loss.discriminator(real, fake)
        expect_same(ours, theirs, 0, "the same loss after a checkpoint")


def _differ(one: Tensor, other: Tensor) -> bool:
    """By more than rounding, which depends on the number of rows."""
    return not torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def _expect_slope(logits: Tensor, sign: int, what: str) -> None:
    gradient = logits.grad
    right = gradient is not None and bool((sign * gradient > 0).all())
    expect(right, what, "no gradient" if gradient is None else f"a slope of {float(gradient.mean()):.3g}")
