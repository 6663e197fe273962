"""Checks that every text encoder must pass."""

# ruff: noqa: D102 - a check's name describes it

import torch
from torch import Tensor

from lightning_voiceclone.core.conditions import Script
from lightning_voiceclone.core.interfaces import TextEncoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.testing.conformance.part import (
    PartConformance,
    assert_close,
    assert_gradients_reach,
    rebuilt,
    seeded,
)

PER_FRAME = ("content", "f0", "voicing", "energy")


class TextEncoderConformance(PartConformance):
    """Scripts of the promised fields and rate, padding, speed, losses by row, gradients, determinism, checkpoints.

    ``vocabulary`` is how many tokens there are; those drawn are from 1 to ``vocabulary`` - 1, and padding is 0.
    """

    dims = Dims(20, content=6, pitch=True, energy=True)
    vocabulary = 20
    sizes = (12, 7)

    def make(self) -> TextEncoder:
        """The encoder for ``dims``, as it is used."""
        seeded()
        part = self.part(self.dims, **self.arguments)
        assert isinstance(part, TextEncoder)
        return part.eval()

    def tokens(self) -> tuple[Tensor, Tensor]:
        """Tokens (B, L), padded with 0, and how many of each row are real."""
        seeded()
        lengths = torch.tensor(self.sizes)
        drawn = torch.randint(1, self.vocabulary, (len(self.sizes), max(self.sizes)))
        return torch.where(torch.arange(max(self.sizes)) < lengths[:, None], drawn, 0), lengths

    def target(self, frames: tuple[int, int] = (40, 23)) -> Script:
        """The script of recordings of two rows of so many frames; its padding is random."""
        seeded()
        voicing = torch.rand(2, max(frames))
        f0 = torch.where(voicing > 0.5, 100 + 50 * voicing, 0.0)
        return Script(torch.tensor(frames), torch.randn(2, self.dims.content, max(frames)), f0=f0, voicing=voicing,
                      energy=torch.randn(2, max(frames)), register=torch.full((2,), 130.0))  # fmt: skip

    def test_a_script_of_what_it_states(self) -> None:
        encoder = self.make()
        script = encoder(*self.tokens())
        assert encoder.frame_rate == self.dims.frame_rate
        assert script.content.shape[:2] == (len(self.sizes), encoder.channels)
        assert encoder.channels == self.dims.content
        frames = script.content.shape[2]
        assert 1 <= int(script.lengths.min()) <= int(script.lengths.max()) == frames
        assert script.speaker is None, "text has no speaker of its own"
        for name in PER_FRAME[1:]:
            assert getattr(script, name).shape == (len(self.sizes), frames)
        assert script.register is not None
        assert script.register.shape == (len(self.sizes),)
        for name in PER_FRAME:
            assert getattr(script, name).isfinite().all()
        assert script.voicing is not None
        assert 0 <= float(script.voicing.min()) <= float(script.voicing.max()) <= 1
        assert script.f0 is not None
        assert script.f0.min() >= 0

    def test_batch_equals_one_by_one(self) -> None:
        encoder, (tokens, lengths) = self.make(), self.tokens()
        together = encoder(tokens, lengths)
        for index, size in enumerate(self.sizes):
            alone = encoder(tokens[index : index + 1, :size], lengths[index : index + 1])
            frames = int(alone.lengths[0])
            assert int(together.lengths[index]) == frames
            for name in PER_FRAME:
                assert_close(getattr(together, name)[index, ..., :frames], getattr(alone, name)[0])

    def test_padding_does_not_leak(self) -> None:
        encoder, (tokens, lengths) = self.make(), self.tokens()
        other = torch.where(tokens == 0, self.vocabulary - 1, tokens)
        ours, theirs = encoder(tokens, lengths), encoder(other, lengths)
        assert torch.equal(ours.lengths, theirs.lengths)
        for index, frames in enumerate(ours.lengths.tolist()):
            assert_close(theirs.content[index, :, :frames], ours.content[index, :, :frames], 1e-5)

    def test_faster_is_shorter(self) -> None:
        encoder, inputs = self.make(), self.tokens()
        slow, fast = (encoder(*inputs, speed=speed).lengths for speed in (0.5, 2.0))
        assert (fast < slow).all(), f"{fast.tolist()} frames at speed 2, {slow.tolist()} at 0.5"

    def test_losses_are_one_value_a_row(self) -> None:
        encoder, (tokens, lengths), target = self.make(), self.tokens(), self.target()
        together = encoder.losses(tokens, lengths, target)
        assert together
        for name, loss in together.items():
            assert loss.shape == (len(self.sizes),), f"{name} is {tuple(loss.shape)}"
            assert loss.isfinite().all()
        for index, size in enumerate(self.sizes):
            row = target.rows(slice(index, index + 1))
            frames = int(row.lengths[0])
            cut = row.map(lambda value, frames=frames: value if value.ndim == 1 else value[..., :frames])  # type: ignore[misc]
            alone = encoder.losses(tokens[index : index + 1, :size], lengths[index : index + 1], cut)
            for name, loss in alone.items():
                assert_close(together[name][index], loss[0])

    def test_gradients_reach_weights(self) -> None:
        encoder = self.make().train()
        losses = encoder.losses(*self.tokens(), self.target())
        sum((loss.sum() for loss in losses.values()), torch.zeros(())).backward()
        assert_gradients_reach(encoder)

    def test_deterministic_in_eval_and_after_a_checkpoint(self) -> None:
        encoder, inputs = self.make(), self.tokens()
        script = encoder(*inputs)
        for other in (encoder, rebuilt(encoder)):
            for name, value in other(*inputs).tensors().items():
                torch.testing.assert_close(value, getattr(script, name), rtol=0, atol=0, equal_nan=True)
