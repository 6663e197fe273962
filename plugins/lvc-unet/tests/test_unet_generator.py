import pytest

lvc_unet = pytest.importorskip("lvc_unet", reason="lvc-unet is not installed: pip install plugins/lvc-unet")

import torch  # noqa: E402 - after the skip
from lvc_unet.generator import UNetGenerator  # noqa: E402

from lightning_voiceclone.core.part import Dims, describe  # noqa: E402
from lightning_voiceclone.errors import ConfigurationError  # noqa: E402
from lightning_voiceclone.testing import GeneratorConformance, overfit, speech_batch  # noqa: E402


class TestUNetGenerator(GeneratorConformance):
    part = UNetGenerator
    arguments = {"width": 16, "levels": 2}


@pytest.mark.slow
class TestDeepUNetGenerator(GeneratorConformance):
    part = UNetGenerator
    arguments = {"width": 8, "levels": 4, "kernel_size": 3, "growth": 1.0}


@pytest.mark.slow
def test_overfits_one_batch():
    torch.manual_seed(0)
    dims = Dims(20, content=16, speaker=8, pitch=True)
    features, condition = speech_batch(dims, rows=2, seconds=0.25)
    errors = overfit(UNetGenerator(dims, width=48, levels=2), features, condition, steps=40, learning_rate=8e-3)
    assert errors[-1] < 0.3 * errors[0]


def test_description_names_the_package():
    assert describe(UNetGenerator(Dims(4, noise=2), width=8))["package"] == "lvc-unet"


def test_growth_below_one_is_named():
    with pytest.raises(ConfigurationError, match=r"growth is 0\.5"):
        UNetGenerator(Dims(4, noise=2), growth=0.5)
