"""Weights in fewer bits."""

import pytest
import torch

from lightning_voiceclone.checkpoints.storage_bits import SCALE, dequantize, quantize_storage
from lightning_voiceclone.errors import ConfigurationError, NotFiniteError


def weights():
    random = torch.Generator().manual_seed(0)
    return {
        "matrix": torch.randn(64, 100, generator=random) * torch.logspace(-3, 3, 64)[:, None],
        "kernel": torch.randn(32, 16, 9, generator=random),
        "bias": torch.randn(64, generator=random),
        "count": torch.tensor(7),
    }


def test_32_bits_are_as_they_were():
    packed = quantize_storage(weights(), 32)
    assert all(torch.equal(dequantize(packed)[name], value) for name, value in weights().items())


def test_8_bits_err_by_half_a_step_of_their_row_at_most():
    packed = quantize_storage(weights(), 8)
    assert packed["matrix"].dtype == packed["kernel"].dtype == torch.int8
    assert packed["matrix" + SCALE].shape == (64,)
    assert packed["bias"].dtype == torch.float16
    assert packed["count"].dtype == torch.int64
    for name in ("matrix", "kernel"):
        was, now = weights()[name].flatten(1), dequantize(packed)[name].flatten(1)
        step = was.abs().amax(1, keepdim=True) / 127
        assert ((was - now).abs() <= 0.501 * step).all()
    assert dequantize(packed).keys() == weights().keys()


def test_a_row_of_zeros_stays_zero():
    packed = quantize_storage({"x": torch.zeros(64, 64)}, 8)
    assert torch.equal(dequantize(packed)["x"], torch.zeros(64, 64))


def test_dequantised_weights_quantise_to_the_same():
    once = dequantize(quantize_storage(weights(), 8))
    twice = dequantize(quantize_storage(once, 8))
    torch.testing.assert_close(twice["matrix"], once["matrix"], rtol=1e-6, atol=0)


def test_other_numbers_of_bits_are_refused():
    with pytest.raises(ConfigurationError, match="32, 16, 8 bits, not 4"):
        quantize_storage(weights(), 4)


def test_weights_that_are_not_finite_are_not_written():
    for bits in (32, 16, 8):
        with pytest.raises(NotFiniteError, match=r"^b has numbers that are infinite or none, and is not written"):
            quantize_storage({"a": torch.ones(3), "b": torch.tensor([1.0, torch.nan])}, bits)
