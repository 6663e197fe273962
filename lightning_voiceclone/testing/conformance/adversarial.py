"""Checks that every discriminator and every adversarial loss must pass."""

# ruff: noqa: D102 - a check's name describes it

import inspect
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import AdversarialLoss, Discriminator
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.losses.adversarial import WassersteinLoss
from lightning_voiceclone.testing.conditions import CLONING, NOISE_ONLY, random_condition
from lightning_voiceclone.testing.conformance.part import (
    PartConformance,
    assert_close,
    assert_gradients_reach,
    rebuilt,
    seeded,
)


class DiscriminatorConformance(PartConformance):
    """Shapes, gradients of both orders, independent rows, determinism, dtype and device moves, checkpoints."""

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

    @pytest.mark.parametrize("dims", [NOISE_ONLY, CLONING, Dims(1, noise=1)], ids=["13", "20", "1"])
    @pytest.mark.parametrize("size", [1, 2, 17, 60])
    def test_shape(self, dims: Dims, size: int) -> None:
        x, condition = self.inputs(dims, size)
        outputs = self.make(dims)(x, condition)
        assert outputs
        for maps in outputs:
            assert maps
            for map_ in maps:
                assert map_.shape[0] == 2
                assert map_.numel()
                assert map_.isfinite().all()

    def test_without_condition(self) -> None:
        x, condition = self.inputs(CLONING, 30)
        discriminator = self.make(CLONING).eval()
        assert_close(discriminator(x)[0][-1], discriminator(x, condition)[0][-1])

    def test_gradients_reach_weights_and_input(self) -> None:
        x, condition = self.inputs(CLONING, 300)
        discriminator = self.make(CLONING).train()
        x.requires_grad_()
        sum(maps[-1].square().mean() for maps in discriminator(x, condition)).backward()  # type: ignore[union-attr]
        assert_gradients_reach(discriminator)
        assert x.grad is not None
        assert x.grad.any()

    def test_gradient_penalty_reaches_weights(self) -> None:
        real, condition = self.inputs(CLONING, 64)
        discriminator = self.make(CLONING).train()
        penalty = WassersteinLoss().penalty(discriminator, real, torch.randn_like(real), condition)
        assert penalty is not None
        penalty.backward()
        gradients = [weight.grad for weight in discriminator.parameters() if weight.grad is not None]
        assert any(gradient.any() for gradient in gradients)
        assert all(gradient.isfinite().all() for gradient in gradients)

    def test_rows_are_independent(self) -> None:
        x, condition = self.inputs(CLONING, 60)
        discriminator = self.make(CLONING).eval()
        together, alone = discriminator(x, condition), discriminator(x[:1], random_condition(CLONING, [60]))
        for maps, maps_alone in zip(together, alone, strict=True):
            assert_close(maps[-1][:1], maps_alone[-1])

    def test_speaker_changes_the_output(self) -> None:
        if "speaker" not in inspect.signature(self.part.__init__).parameters:
            pytest.skip("has no option speaker")
        x, condition = self.inputs(CLONING, 60)
        discriminator = self.make(CLONING, speaker=True).eval()
        assert condition.speaker is not None
        other = replace(condition, speaker=-condition.speaker)
        for maps, maps_other in zip(discriminator(x, condition), discriminator(x, other), strict=True):
            assert not torch.allclose(maps[-1], maps_other[-1])
        with pytest.raises(ConfigurationError, match="speaker"):
            discriminator(x, replace(condition, speaker=None))
        with pytest.raises(ConfigurationError, match="speaker"):
            self.make(NOISE_ONLY, speaker=True)

    def test_deterministic_in_eval(self) -> None:
        x, condition = self.inputs(CLONING, 60)
        discriminator = self.make(CLONING).eval()
        assert torch.equal(discriminator(x, condition)[0][-1], discriminator(x, condition)[0][-1])

    def test_double_precision(self) -> None:
        x, _ = self.inputs(CLONING, 60)
        discriminator = self.make(CLONING).eval()
        single = discriminator(x)[0][-1]
        double = discriminator.double()(x.double())[0][-1]
        assert double.dtype == torch.float64
        assert_close(double.float(), single, 1e-3)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_cuda(self) -> None:
        x, _ = self.inputs(CLONING, 60)
        discriminator = self.make(CLONING).eval()
        on_cpu = discriminator(x)[0][-1]
        assert_close(discriminator.cuda()(x.cuda())[0][-1].cpu(), on_cpu, 1e-2)

    def test_checkpoint_round_trip(self) -> None:
        x, condition = self.inputs(CLONING, 60)
        discriminator = self.make(CLONING).eval()
        assert torch.equal(rebuilt(discriminator)(x, condition)[0][-1], discriminator(x, condition)[0][-1])


class AdversarialLossConformance(PartConformance):
    """Scalars, the mean over sub-discriminators, gradients of the right sign, finite at the ends."""

    def make(self) -> AdversarialLoss:
        """The loss."""
        part = self.part(**self.arguments)
        assert isinstance(part, AdversarialLoss)
        return part

    def test_mean_over_sub_discriminators(self) -> None:
        loss = self.make()
        seeded()
        real, fake = [torch.randn(2, 1, 9), torch.randn(2, 3)], [torch.randn(2, 1, 9), torch.randn(2, 3)]
        assert loss.discriminator(real, fake).shape == loss.generator(fake).shape == ()
        apart = [loss.discriminator(real[index : index + 1], fake[index : index + 1]) for index in range(2)]
        assert_close(loss.discriminator(real, fake), torch.stack(apart).mean(), 1e-6)
        apart = [loss.generator(fake[index : index + 1]) for index in range(2)]
        assert_close(loss.generator(fake), torch.stack(apart).mean(), 1e-6)

    def test_gradients_have_the_right_sign(self) -> None:
        loss = self.make()
        # Between the labels that losses use (-1 or 0 for fake, 1 for real), where no gradient is 0.
        real, fake = torch.full((4, 1), 0.5, requires_grad=True), torch.full((4, 1), 0.5, requires_grad=True)
        loss.discriminator([real], [fake]).backward()
        assert real.grad is not None
        assert fake.grad is not None
        assert (real.grad < 0).all(), "the discriminator's loss must fall with higher logits of real"
        assert (fake.grad > 0).all(), "the discriminator's loss must fall with lower logits of fake"
        fake.grad = None
        loss.generator([fake]).backward()
        assert fake.grad is not None
        assert (fake.grad < 0).all(), "the generator's loss must fall with higher logits of fake"

    def test_finite_at_the_ends(self) -> None:
        loss = self.make()
        for end in (-200.0, 200.0):
            logits = torch.full((3, 1), end, requires_grad=True)
            total = loss.discriminator([logits], [logits]) + loss.generator([logits])
            total.backward()
            assert total.isfinite()
            assert logits.grad is not None
            assert logits.grad.isfinite().all()

    def test_penalty_is_none_or_a_scalar(self) -> None:
        from lightning_voiceclone.networks.discriminators.mlp import MLPDiscriminator

        seeded()
        real, fake = torch.randn(3, 5, 7), torch.randn(3, 5, 7)
        penalty = self.make().penalty(MLPDiscriminator(Dims(5), hidden=8), real, fake, None)
        assert penalty is None or (penalty.ndim == 0 and penalty.isfinite() and penalty >= 0)

    def test_round_trip(self) -> None:
        loss = self.make()
        seeded()
        real, fake = [torch.randn(4, 2)], [torch.randn(4, 2)]
        copy = rebuilt(loss)
        assert isinstance(copy, AdversarialLoss)
        assert torch.equal(copy.discriminator(real, fake), loss.discriminator(real, fake))
