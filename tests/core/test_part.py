import json

import pytest
import torch
from torch import nn

from lightning_voiceclone.checkpoints.description import first_difference
from lightning_voiceclone.core.interfaces import Generator, SpeakerEncoder
from lightning_voiceclone.core.part import Dims, build, describe
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.errors import ConfigurationError, PluginError
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.speaker_encoders.statistics import StatisticsSpeakerEncoder


class Wrapper(Generator):
    """A part that holds others, a spec and a mapping."""

    def __init__(self, dims, encoders, /, *, spec=None, options=None):
        super().__init__()
        self.dims, self.encoders, self.spec, self.options = dims, nn.ModuleList(encoders), spec, options

    def forward(self, condition):
        return condition.noise


def test_description_is_plain_and_makes_an_equal_part():
    torch.manual_seed(0)
    generator = ConvGenerator(Dims(8, noise=2), width=12, layers=1, dilations=(3,))
    description = json.loads(json.dumps(describe(generator)))
    assert description["kind"] == "generators"
    assert description["package"] == "lightning-voiceclone"
    assert description["arguments"]["width"] == 12
    copy = build(description)
    copy.load_state_dict(generator.state_dict())
    assert copy.context == generator.context
    assert describe(copy) == describe(generator)


def test_nested_parts_specs_and_mappings_come_back():
    spec = AudioSpec(kind="mel", channels=8, sample_rate=16000, hop_length=160)
    encoder = StatisticsSpeakerEncoder(Dims(8), channels=4, width=8)
    part = Wrapper(Dims(8, noise=1), [encoder, encoder], spec=spec, options={"a": [1, {"b": None}], "tag": "x"})
    description = json.loads(json.dumps(describe(part)))
    assert description["package"] is None
    copy = build(description)
    assert copy.dims == part.dims
    assert copy.spec == spec
    assert copy.options == {"a": [1, {"b": None}], "tag": "x"}
    assert [type(encoder) for encoder in copy.encoders] == [StatisticsSpeakerEncoder] * 2
    assert all(isinstance(encoder, SpeakerEncoder) and encoder.channels == 4 for encoder in copy.encoders)


def test_argument_that_cannot_be_written_down_is_named():
    with pytest.raises(ConfigurationError, match=r"Wrapper.*Tensor"):
        describe(Wrapper(Dims(8), [], options=torch.zeros(2)))


def test_missing_package_is_named():
    description = {"kind": "generators", "name": "GoneGenerator", "package": "lvc-gone", "arguments": {}}
    with pytest.raises(PluginError, match="pip install lvc-gone, if you trust it"):
        build(description)


@pytest.mark.parametrize("package", ["x; rm -rf /", "git+https://example.org/x", "-r", "a b", ".."])
def test_no_installation_is_advised_for_what_is_no_package(package):
    description = {"kind": "generators", "name": "GoneGenerator", "package": package, "arguments": {}}
    with pytest.raises(PluginError, match="which is no name of a package") as caught:
        build(description)
    assert "pip install" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"channels": "4"}, "channels is '4', of the type str; it must be int"),
        ({"channels": True}, "channels is True, of the type bool; it must be int"),
        ({"channels": 4.0}, "channels is 4.0, of the type float; it must be int"),
        ({"channels": None}, "channels is None, of the type NoneType; it must be int"),
        ({"dims": 8}, "dims is 8, of the type int; it must be Dims"),
    ],
)
def test_arguments_of_other_types_are_refused(arguments, words):
    described = describe(StatisticsSpeakerEncoder(Dims(8), channels=4, width=8))
    with pytest.raises(ConfigurationError, match=f"StatisticsSpeakerEncoder: {words}"):
        build({**described, "arguments": described["arguments"] | arguments})


def test_class_of_no_package_asks_for_its_module():
    description = {"kind": "generators", "name": "GoneGenerator", "package": None, "arguments": {}}
    with pytest.raises(PluginError, match="import the module that defines it"):
        build(description)


def test_external_weights_are_the_same_wherever_they_are():
    def made(path, sha256):
        return {"encoder": {"kind": "k", "name": "N", "arguments": {"width": 4, "pretrained": path}, "sha256": sha256}}

    assert first_difference(made("here", "1"), made("there", "1"), ()) is None
    assert first_difference(made("here", "1"), made("here", "2"), ()) == "encoder"
    assert first_difference(made("here", None), made("there", None), ()) == "encoder"


def test_a_whole_number_beyond_64_bits_is_refused_before_it_is_counted_up_to():
    with pytest.raises(ConfigurationError, match=r"an argument is 10+, expected at most 9223372036854775807"):
        ConvGenerator(Dims(20, content=4), width=8, layers=10**40)
