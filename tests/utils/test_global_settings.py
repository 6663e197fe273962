"""Settings of the whole process are put back as they were."""

import torch

from lightning_voiceclone.utils import global_settings


def test_a_default_device_leaves_no_mode_behind():
    before = global_settings.current()
    modes = torch._C._len_torch_function_stack()
    torch.set_default_device("meta")
    assert global_settings.changes(before) == {"default device": "meta (before: cpu)"}
    global_settings.restore(before)
    assert torch.zeros(1).device.type == "cpu"
    assert torch._C._len_torch_function_stack() == modes


def test_deterministic_algorithms_that_only_warn_do_so_again():
    first = global_settings.current()
    try:
        torch.use_deterministic_algorithms(True, warn_only=True)
        before = global_settings.current()
        torch.use_deterministic_algorithms(True)
        global_settings.restore(before)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        global_settings.restore(first)
    assert not torch.are_deterministic_algorithms_enabled()
