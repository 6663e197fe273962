from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from lightning_voiceclone.checkpoints.checkpoint_file import STORAGES, CheckpointFile
from lightning_voiceclone.errors import ConfigurationError


def saved(path: Path, value):
    torch.save(value, path)
    return CheckpointFile(path)


def test_it_reads_what_torch_reads(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    norm = torch.nn.BatchNorm1d(3)
    checkpoint = {
        "state_dict": norm.state_dict(),
        "optimizer_states": [
            {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.99)}]}
        ],
        "shared": [base, base[1:3, ::2], base.T, base],
        "types": [torch.ones(2, dtype=kind) for kind in STORAGES.values()],
        "empty": torch.zeros(0, 3), "number": torch.tensor(2), "plain": [None, True, -(2**40), 0.5, "é", ()],
        "ordered": OrderedDict(b=1, a=2),
    }  # fmt: skip
    path = tmp_path / "whole.ckpt"
    ours = saved(path, checkpoint).everything()
    theirs = torch.load(path, weights_only=True)
    assert ours["plain"] == theirs["plain"]
    assert ours["optimizer_states"][0]["param_groups"] == theirs["optimizer_states"][0]["param_groups"]
    assert ours["state_dict"]._metadata == theirs["state_dict"]._metadata
    assert list(ours["ordered"]) == ["b", "a"]
    pairs = [*zip(ours["shared"], theirs["shared"], strict=True), *zip(ours["types"], theirs["types"], strict=True),
             (ours["empty"], theirs["empty"]), (ours["number"], theirs["number"])]  # fmt: skip
    for one, other in pairs:
        assert (one.dtype, one.shape, one.stride()) == (other.dtype, other.shape, other.stride())
        assert torch.equal(one, other)
    ours["shared"][0][1, 0] = 99.0  # views of one storage stay so
    assert ours["shared"][1][0, 0] == 99.0
    assert ours["shared"][3] is ours["shared"][0]


def test_every_changed_byte_of_a_tensor_is_found(tmp_path):
    path = tmp_path / "a.ckpt"
    file = saved(path, {"x": torch.arange(64, dtype=torch.uint8) + 100})
    raw = path.read_bytes()
    start = raw.index(bytes(range(100, 164)))
    for place in (0, 31, 63):
        path.write_bytes(raw[: start + place] + b"\0" + raw[start + place + 1 :])
        with pytest.raises(ConfigurationError, match="do not have their checksum; copy the file anew"):
            file.everything()


def test_tensors_are_read_when_they_are_asked_for(tmp_path):
    file = saved(tmp_path / "a.ckpt", {"wanted": torch.ones(3), "other": torch.zeros(5)})
    assert file.values["other"].shape == (5,)
    assert torch.equal(file.tensors({"x": file.values["wanted"]})["x"], torch.ones(3))


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", torch.nn.Linear(1, 1), Path("x"), {(1, 2): 3}, {1.5: 3}])
def test_what_is_neither_plain_nor_a_tensor_is_refused(tmp_path, value):
    with pytest.raises(ConfigurationError, match="holds more than weights and plain values"):
        saved(tmp_path / "a.ckpt", {"x": value})
