import json
from dataclasses import replace

import pytest

from lightning_voiceclone.core.spec import AudioSpec, check_join
from lightning_voiceclone.errors import SpecMismatchError

MEL = AudioSpec(kind="mel", channels=80, sample_rate=16000, hop_length=160, n_fft=1024, n_mels=80, fmin=0.0, log="e")
PITCH = AudioSpec(kind="pitch", channels=2, sample_rate=16000, hop_length=160)
STACK = AudioSpec(kind="stack", channels=82, sample_rate=16000, hop_length=160, parts=(MEL, PITCH))


@pytest.mark.parametrize("spec", [MEL, STACK], ids=["mel", "stack"])
def test_mapping_round_trip_through_json(spec):
    copy = AudioSpec.from_mapping(json.loads(json.dumps(spec.to_mapping())))
    assert copy == spec
    assert copy.fingerprint == spec.fingerprint


def older(spec):
    """The mapping as it was written with ``framing`` and ``normalization``."""
    parts = [older(part) for part in spec.parts]
    return spec.to_mapping() | {"framing": "centred", "normalization": None, "parts": parts}


@pytest.mark.parametrize("spec", [MEL, STACK], ids=["mel", "stack"])
def test_removed_fields_are_read_and_not_written(spec):
    assert AudioSpec.from_mapping(older(spec)) == spec
    assert "framing" not in json.dumps(spec.to_mapping())
    assert "normalization" not in json.dumps(spec.to_mapping())


@pytest.mark.parametrize(("name", "value"), [("framing", "edges"), ("normalization", "mean")])
def test_a_removed_field_with_another_value_is_refused(name, value):
    with pytest.raises(SpecMismatchError, match=f"{name} '{value}', expected"):
        AudioSpec.from_mapping({**older(MEL), name: value})


def test_folders_of_features_keep_their_names():
    """As the version that still wrote the removed fields computed them."""
    assert (MEL.fingerprint, STACK.fingerprint) == ("b7e5c5f20be6", "7671b5a4faca")


def test_frame_rate():
    assert MEL.frame_rate == 100.0


def test_differences_are_named_with_both_values():
    other = replace(MEL, channels=40, fmin=50.0)
    assert MEL.differences(other) == [("channels", 80, 40), ("fmin", 0.0, 50.0)]
    assert MEL.differences(MEL) == []
    assert other.fingerprint != MEL.fingerprint


def test_differences_inside_a_stack_name_the_part():
    other = replace(STACK, parts=(MEL, replace(PITCH, hop_length=80)))
    assert STACK.differences(other) == [("parts[1].hop_length", 160, 80)]
    assert STACK.differences(replace(STACK, parts=(MEL,))) == [("number of parts", 2, 1)]


def test_join_names_where_two_parts_differ():
    check_join("generator", MEL, "vocoder", MEL)
    with pytest.raises(SpecMismatchError, match="hop_length is 160 in generator but 256 in vocoder"):
        check_join("generator", MEL, "vocoder", replace(MEL, hop_length=256))


def test_unknown_field_points_to_a_newer_version():
    with pytest.raises(SpecMismatchError, match=r"colour.*newer"):
        AudioSpec.from_mapping({**MEL.to_mapping(), "colour": "pink"})
