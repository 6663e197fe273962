"""Trained vocoders: folders, checkpoints that refer to them, and what is refused."""

import pickle

import pytest
import torch
import yaml
from safetensors.torch import load_file

from lightning_voiceclone.checkpoints.external_weights import all_weights, weights_sha256
from lightning_voiceclone.checkpoints.part_folder import load_pretrained, save_part
from lightning_voiceclone.checkpoints.vocoder_choice import choose_vocoder, load_vocoder
from lightning_voiceclone.errors import ConfigurationError, LVCError, SpecMismatchError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim
from lightning_voiceclone.vocoders.vocos import Vocos

SMALL = {"width": 16, "hidden": 16, "layers": 1}
SPEC = MelSpectrogram().spec


@pytest.fixture
def trained():
    torch.manual_seed(3)
    vocoder = Vocos(SPEC, **SMALL).eval()
    vocoder.fit_statistics([torch.randn(1, 80, 50)])
    return vocoder


@pytest.fixture
def folder(trained, tmp_path):
    save_part(trained, trained.spec, tmp_path / "vocoder")
    return tmp_path / "vocoder"


def test_a_folder_brings_it_back(trained, folder):
    features = torch.randn(1, 80, 12)
    assert torch.equal(load_vocoder(folder)(features), trained(features))


def test_half_the_bytes_and_nearly_the_same(trained, tmp_path):
    save_part(trained, trained.spec, tmp_path / "half", bits=16)
    features = torch.randn(1, 80, 12)
    assert torch.allclose(load_vocoder(tmp_path / "half")(features), trained(features), atol=2e-3)
    assert all(t.dtype == torch.float16 for t in load_file(tmp_path / "half/weights.safetensors").values()
               if t.is_floating_point())  # fmt: skip


def test_an_external_part_is_referred_to_and_not_copied(trained, folder):
    frozen = Vocos(SPEC, **SMALL, pretrained=str(folder))
    assert not any(p.requires_grad for p in frozen.parameters())
    assert frozen.weights_sha256 == weights_sha256(all_weights(trained))
    holder = torch.nn.ModuleDict({"vocoder": frozen, "other": torch.nn.Linear(2, 2)})
    state = holder.state_dict()
    assert sorted(state) == ["other.bias", "other.weight"]
    holder.load_state_dict(state)  # strict
    features = torch.randn(1, 80, 12)
    assert torch.equal(frozen.eval()(features), trained(features))


def test_finetuning_starts_from_it_and_trains(trained, folder):
    tuned = Vocos(SPEC, **SMALL, pretrained=str(folder), finetune=True)
    assert tuned.weights_sha256 is None
    assert all(p.requires_grad for p in tuned.parameters())
    assert torch.equal(tuned.head.weight, trained.head.weight)
    assert "head.weight" in tuned.state_dict()


def test_none_leaves_fresh_weights():
    assert Vocos(SPEC, **SMALL, pretrained="none").weights_sha256 is None


def test_other_features_are_named(folder):
    with pytest.raises(SpecMismatchError, match=r"hop_length is 200 in the features but 160 in the pretrained Vocos"):
        Vocos(MelSpectrogram(hop_length=200).spec, **SMALL, pretrained=str(folder))


def test_other_settings_are_named(folder):
    with pytest.raises(ConfigurationError, match="width is 32 but 16 in the pretrained weights"):
        Vocos(SPEC, **{**SMALL, "width": 32}, pretrained=str(folder))


def test_a_vocoder_that_ships_nothing(folder):
    vocoder = GriffinLim(SPEC)
    with pytest.raises(ConfigurationError, match="GriffinLim ships no weights"):
        load_pretrained(vocoder, "default")
    with pytest.raises(ConfigurationError, match="is a Vocos, not a GriffinLim"):
        load_pretrained(vocoder, str(folder))


class Harmful:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of the file ran')",))


def test_a_pickle_with_code_is_refused(tmp_path):
    path = tmp_path / "evil.ckpt"
    path.write_bytes(pickle.dumps({"vocoder": Harmful()}))
    with pytest.raises(ConfigurationError, match="not loaded, since that could run code"):
        load_vocoder(path)


def test_a_checkpoint_without_a_vocoder_or_without_its_spec(tmp_path, trained):
    path = tmp_path / "voice.ckpt"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(ConfigurationError, match="holds no vocoder"):
        load_vocoder(path)
    torch.save({"state_dict": {}, "vocoder": {"format": 1, "part": {}}}, path)
    with pytest.raises(ConfigurationError, match="has no spec"):
        load_vocoder(path)


@pytest.mark.parametrize("harm", ["no description", "no weights", "cut weights", "no spec", "newer", "other weights"])
def test_broken_folders(folder, harm):
    description = yaml.safe_load((folder / "part.yaml").read_text())
    if harm == "no description":
        (folder / "part.yaml").unlink()
    elif harm == "no weights":
        (folder / "weights.safetensors").unlink()
    elif harm == "cut weights":
        (folder / "weights.safetensors").write_bytes((folder / "weights.safetensors").read_bytes()[:100])
    elif harm == "no spec":
        del description["spec"]
    elif harm == "newer":
        description["format"] = 9
    else:
        description["part"]["arguments"]["width"] = 32
    if harm != "no description":
        (folder / "part.yaml").write_text(yaml.safe_dump(description))
    with pytest.raises(LVCError) as caught:
        load_vocoder(folder)
    assert str(folder) in str(caught.value)


def test_nothing_there(tmp_path):
    with pytest.raises(ConfigurationError, match="there is nothing at"):
        load_vocoder(tmp_path / "nothing")


def test_a_misspelt_class_names_the_nearest_and_what_there_is():
    with pytest.raises(ConfigurationError, match=r"called 'griffinlim' \(did you mean GriffinLim\?\).* are default, "):
        choose_vocoder("griffinlim", SPEC)


@pytest.mark.parametrize("harm", [{"part": {}}, {"spec": {}}])
def test_descriptions_that_lack_what_they_need(folder, harm):
    description = yaml.safe_load((folder / "part.yaml").read_text())
    (folder / "part.yaml").write_text(yaml.safe_dump({**description, **harm}))
    with pytest.raises(LVCError, match=r"has no spec|spec has no kind"):
        load_vocoder(folder)
