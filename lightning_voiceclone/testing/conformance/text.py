"""Checks that every text encoder must pass."""

# ruff: noqa: D102 - a check's name describes it

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_voiceclone.core.conditions import Script, SpeakerPrompt
from lightning_voiceclone.core.interfaces import TextEncoder
from lightning_voiceclone.core.part import Dims, Part
from lightning_voiceclone.errors import AlignmentError
from lightning_voiceclone.testing.conformance.expect import expect, expect_close, expect_shape
from lightning_voiceclone.testing.conformance.part import (
    NetworkConformance,
    assert_gradients_reach,
    rebuilt,
    seeded,
)
from lightning_voiceclone.testing.conformance.styles import PER_FRAME, one_row, random_script


class TextEncoderConformance(NetworkConformance):
    """Scripts of the promised fields and rate, padding, durations, losses by row, gradients, determinism, checkpoints.

    ``vocabulary`` is how many tokens there are; those drawn are from 1 to ``vocabulary`` - 1, and padding is 0. A check
    is skipped where attention, with the weights of the test, does not follow the text. ``styles`` are two values that
    the style encoder reads, where there is one that takes values.
    """

    dims = Dims(20, content=6, pitch=True, energy=True)
    claims = frozenset({"deterministic"})
    vocabulary = 20
    sizes = (12, 7)
    styles = ("neutral", "happy")

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

    def used(self) -> TextEncoder:
        return self.make()

    def example(self, part: Part, variant: int = 0) -> tuple[Any, ...]:
        tokens, lengths = self.tokens()
        return torch.where(tokens > 0, self.vocabulary - tokens, 0) if variant else tokens, lengths

    def outcome(self, part: Any, *arguments: Any) -> Any:
        tokens = arguments[0]  # with given durations: predicted ones are rounded, in each precision otherwise
        script = part(*arguments, durations=torch.where(tokens > 0, 1 + torch.arange(tokens.shape[1]) % 5, 0))
        return replace(script, register=None)  # which may be NaN

    def free(self, encode: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
        """The encoder's output with durations of its own."""
        try:
            return encode(*arguments, **settings)
        except AlignmentError as error:
            pytest.skip(f"without training, {error}")

    def target(self, frames: tuple[int, int] = (40, 23)) -> Script:
        """The script of recordings of two rows of so many frames; its padding is random."""
        return random_script(frames, self.dims.content)

    def styled(self, encoder: TextEncoder, target: Script) -> Script:
        """The script with the style vectors of an encoder that takes any."""
        styles = encoder.style_encoder
        if styles is None:
            return target
        x = target if styles.takes == "script" else torch.stack([styles.read(value) for value in self.styles])
        return replace(target, style=styles(x))

    def test_a_script_of_what_it_states(self) -> None:
        encoder = self.make()
        script = self.free(encoder, *self.tokens())
        expect(
            encoder.frame_rate == self.dims.frame_rate, f"{self.dims.frame_rate} frames a second", encoder.frame_rate
        )
        expect(encoder.channels == self.dims.content, f"{self.dims.content} channels of content", encoder.channels)
        rows, frames = len(self.sizes), int(script.lengths.max())
        expect(int(script.lengths.min()) >= 1, "at least a frame of each row", script.lengths.tolist())
        expect_shape(script.content, (rows, encoder.channels, frames), "content")
        expect(script.speaker is None, "no speaker: text has none of its own", "one")
        for name in PER_FRAME[1:]:
            expect_shape(getattr(script, name), (rows, frames), name)
        assert script.voicing is not None
        assert script.f0 is not None
        register = tuple(script.register.shape) if script.register is not None else None
        expect(register == (rows,), f"a register of the shape ({rows},)", register)
        least, most = float(script.voicing.min()), float(script.voicing.max())
        expect(0 <= least <= most <= 1, "voicing from 0 to 1", f"{least:.3g} to {most:.3g}")
        expect(float(script.f0.min()) >= 0, "f0 of at least 0", float(script.f0.min()))

    def test_batch_equals_one_by_one(self) -> None:
        encoder, (tokens, lengths) = self.make(), self.tokens()
        together = self.free(encoder, tokens, lengths)
        for index, size in enumerate(self.sizes):
            alone = self.free(encoder, tokens[index : index + 1, :size], lengths[index : index + 1])
            frames = int(alone.lengths[0])
            batch = int(together.lengths[index])
            expect(batch == frames, f"{frames} frames of row {index} of a batch, as of it alone", batch)
            for name in PER_FRAME:
                expect_close(getattr(together, name)[index, ..., :frames], getattr(alone, name)[0], 1e-4,
                             f"{name} of row {index} of a batch to be as alone")  # fmt: skip

    def test_padding_does_not_leak(self) -> None:
        encoder, (tokens, lengths) = self.make(), self.tokens()
        other = torch.where(tokens == 0, self.vocabulary - 1, tokens)
        ours, theirs = self.free(encoder, tokens, lengths), self.free(encoder, other, lengths)
        lengths_same = torch.equal(ours.lengths, theirs.lengths)
        expect(lengths_same, f"lengths {ours.lengths.tolist()} whatever the padding holds", theirs.lengths.tolist())
        for index, frames in enumerate(ours.lengths.tolist()):
            expect_close(theirs.content[index, :, :frames], ours.content[index, :, :frames], 1e-5,
                         "the same content whatever the padding holds")  # fmt: skip

    def test_faster_is_shorter(self) -> None:
        encoder, inputs = self.make(), self.tokens()
        slow, fast = (self.free(encoder, *inputs, speed=speed).lengths for speed in (0.5, 2.0))
        expect(bool((fast < slow).all()), f"fewer frames at speed 2 than {slow.tolist()} at 0.5", fast.tolist())

    def test_durations_are_those_of_the_tokens(self) -> None:
        encoder, (tokens, lengths) = self.make(), self.tokens()
        durations = self.free(encoder.durations, tokens, lengths)
        expect_shape(durations, tuple(tokens.shape), "durations")
        expect(float(durations.min()) >= 0, "durations of at least 0", float(durations.min()))
        padding = float(durations[tokens == 0].abs().max())
        expect(padding == 0, "padding of 0 frames", padding)
        apart = float((self.free(encoder, tokens, lengths).lengths - durations.sum(1)).abs().max())
        expect(apart <= max(self.sizes), f"a script as long as its durations, to {max(self.sizes)} frames", apart)

    def test_given_durations_count(self) -> None:
        encoder, (tokens, lengths) = self.make(), self.tokens()
        given = torch.where(tokens > 0, 1 + torch.arange(tokens.shape[1]) % 5, 0)
        script = encoder(tokens, lengths, durations=given)
        wanted = given.sum(1).tolist()
        expect(script.lengths.tolist() == wanted, f"{wanted} frames, as given", script.lengths.tolist())
        expect(script.content.shape[2] == max(wanted), f"{max(wanted)} frames of content", script.content.shape[2])
        for speed in (0.5, 2.0):
            lengths_now = encoder(tokens, lengths, speed=speed, durations=given).lengths.tolist()
            expect(lengths_now == wanted, f"{wanted} frames, as given, at speed {speed}", lengths_now)

    def test_losses_are_one_value_a_row(self) -> None:
        encoder, (tokens, lengths), target = self.make(), self.tokens(), self.target()
        together = encoder.losses(tokens, lengths, target)
        expect(bool(together), "at least one loss", "none")
        for name, loss in together.items():
            expect_shape(loss, (len(self.sizes),), f"the loss {name}, a value a row,")
        for index, size in enumerate(self.sizes):
            row = one_row(target, index)
            alone = encoder.losses(tokens[index : index + 1, :size], lengths[index : index + 1], row)
            for name, loss in alone.items():
                expect_close(together[name][index], loss[0], 1e-4, f"{name} of row {index} of a batch to be as alone")

    def test_losses_with_known_durations(self) -> None:
        encoder, (tokens, lengths) = self.make(), self.tokens()
        known = torch.where(tokens > 0, 2, 0)
        first, second = known.sum(1).tolist()
        for loss in encoder.losses(tokens, lengths, self.target((first, second)), known).values():
            expect_shape(loss, (len(self.sizes),), "a loss with known durations, a value a row,")

    def test_gradients_reach_weights(self) -> None:
        encoder = self.make().train()
        losses = encoder.losses(*self.tokens(), self.styled(encoder, self.target()))
        sum((loss.sum() for loss in losses.values()), torch.zeros(())).backward()
        assert_gradients_reach(encoder)

    def test_style_is_a_condition(self) -> None:
        encoder, (tokens, lengths) = self.make(), self.tokens()
        if encoder.style_encoder is None:
            pytest.skip("takes no style")
        seeded()
        drawn = torch.randn(3, encoder.style_encoder.channels)
        given = torch.where(tokens > 0, 2, 0)

        def content(*rows: int) -> Tensor:
            prompt = SpeakerPrompt(lengths, style=drawn[list(rows)])
            return encoder(tokens, lengths, prompt, durations=given).content

        first, second = content(0, 1), content(2, 1)
        apart = float((first[0] - second[0]).detach().abs().max())
        expect(apart > 1e-6, "other content in another style", f"content that differs by {apart:.3g}")
        expect_close(second[1], first[1], 1e-5, "the same of row 1 whatever the style of row 0")

    def test_deterministic_in_eval_and_after_a_checkpoint(self) -> None:
        encoder, inputs = self.make(), self.tokens()
        script = self.free(encoder, *inputs)
        for other in (encoder, rebuilt(encoder)):
            for name, value in other(*inputs).tensors().items():
                expect_close(value, getattr(script, name), 0, f"the same {name} again, and after a checkpoint")
