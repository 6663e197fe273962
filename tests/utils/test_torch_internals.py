"""What torch and torchaudio keep private still does what it is used for."""

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from lightning_voiceclone.utils import torch_internals


def test_tensors_move_towards_their_targets_by_the_weight():
    values, targets = [torch.zeros(2), torch.ones(3)], [torch.full((2,), 4.0), torch.full((3,), 5.0)]
    torch_internals.lerp_all(values, targets, 0.25)
    assert values[0].tolist() == [1.0, 1.0]
    assert values[1].tolist() == [2.0, 2.0, 2.0]


def test_buffers_that_state_dictionaries_hold():
    module = nn.Module()
    module.register_buffer("kept", torch.zeros(1))
    module.register_buffer("left", torch.zeros(1), persistent=False)
    assert torch_internals.is_persistent(module, "kept")
    assert not torch_internals.is_persistent(module, "left")
    assert set(module.state_dict()) == {"kept"}


class _Counted(TorchFunctionMode):
    calls = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.calls += 1
        return func(*args, **(kwargs or {}))


def test_modes_see_nothing_in_the_block():
    with _Counted() as counted:
        torch.zeros(1)
        assert counted.calls == 1
        with torch_internals.without_function_modes():
            torch.zeros(1)
        assert counted.calls == 1


def test_modules_read_versions_where_they_are_set():
    seen = []

    class Versioned(nn.Module):
        _version = 3

        def _load_from_state_dict(self, state, prefix, metadata, *rest):
            seen.append(metadata.get("version"))

    state = Versioned().state_dict()
    Versioned().load_state_dict(state)
    torch_internals.set_versions(state, {"": {"version": 7}})
    Versioned().load_state_dict(state)
    assert seen == [3, 7]


def test_bundles_state_whether_their_waveforms_are_normalised():
    pipelines = pytest.importorskip("torchaudio.pipelines")
    assert torch_internals.normalizes_waveform(pipelines.HUBERT_LARGE)
    assert not torch_internals.normalizes_waveform(pipelines.WAV2VEC2_BASE)
    assert "_normalize_waveform" in type(pipelines.HUBERT_LARGE).__dataclass_fields__


def test_a_length_of_one_can_be_left_open():
    """``tests/inference/test_export.py`` has an encoder that needs it."""
    assert not torch_internals.is_open_to_one()
    with torch_internals.open_to_one():
        assert torch_internals.is_open_to_one()
    assert not torch_internals.is_open_to_one()
