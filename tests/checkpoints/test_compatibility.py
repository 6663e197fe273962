"""Checkpoints of other parts are told by the role and by both parts."""

import pytest
import torch

from lightning_voiceclone.checkpoints.compatibility import check_same_optimizers, check_same_parts
from lightning_voiceclone.core.part import Dims, describe
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError
from lightning_voiceclone.networks.discriminators.patch import PatchDiscriminator


def part(name, version="1.0", **arguments):
    return {"kind": "generators", "name": name, "package": "p", "version": version, "arguments": arguments}


def test_versions_of_packages_may_differ():
    check_same_parts({"generator": part("A", width=2)}, {"generator": part("A", version="2.0", width=2)})


def test_arguments_that_are_new_have_their_defaults_in_older_checkpoints():
    made, other = (describe(PatchDiscriminator(Dims(4), width=4, layers=1, speaker=False, minibatch=minibatch))
                   for minibatch in (False, True))  # fmt: skip
    arguments = {name: value for name, value in made["arguments"].items() if name not in ("minibatch", "dropout")}
    older = {"discriminator": {**made, "version": "0.0.1", "arguments": arguments}}
    check_same_parts(older, {"discriminator": made})
    with pytest.raises(SpecMismatchError, match="discriminator is PatchDiscriminator"):
        check_same_parts(older, {"discriminator": other})


def test_fields_that_specs_had_once_make_no_difference():
    spec = AudioSpec(
        kind="stack",
        channels=2,
        sample_rate=16000,
        hop_length=160,
        parts=(AudioSpec(kind="pitch", channels=2, sample_rate=16000, hop_length=160),),
    ).to_mapping()
    older = {**spec, "framing": "centred", "parts": [{**spec["parts"][0], "normalization": None}]}
    check_same_parts({"vocoder": part("A", spec={"spec": older})}, {"vocoder": part("A", spec={"spec": spec})})
    other = {**spec, "hop_length": 80}
    with pytest.raises(SpecMismatchError, match="vocoder"):
        check_same_parts({"vocoder": part("A", spec={"spec": older})}, {"vocoder": part("A", spec={"spec": other})})


@pytest.mark.parametrize(("stored", "present", "told"), [
    ({"generator": part("A", width=2)}, {"generator": part("A", width=3)},
     r"generator is A\(width=2\) in the checkpoint but A\(width=3\) in this"),
    ({"generator": part("A")}, {"generator": part("B")}, r"generator is A\(\) .* but B\(\)"),
    ({}, {"discriminator": part("A")}, r"discriminator is absent in the checkpoint but A\(\)"),
    ({"discriminator": part("A"), "generator": part("A")}, {"discriminator": None, "generator": part("B")},
     r"discriminator is A\(\) in the checkpoint but absent"),
])  # fmt: skip
def test_the_first_other_part_is_named(stored, present, told):
    with pytest.raises(SpecMismatchError, match=told):
        check_same_parts(stored, present)


def test_some_roles_may_differ():
    stored = {"generator": part("A"), "vocoder": part("A")}
    check_same_parts(stored, {"generator": part("A"), "vocoder": part("B")}, but={"vocoder"})
    with pytest.raises(SpecMismatchError, match="vocoder"):
        check_same_parts(stored, {"generator": part("A"), "vocoder": part("B")})


def test_other_external_weights_are_refused():
    with pytest.raises(SpecMismatchError, match=r"frozen weights of content_encoder have the hash aaaa.* but bbbb"):
        check_same_parts({"content_encoder": {**part("A"), "sha256": "a" * 64}},
                         {"content_encoder": {**part("A"), "sha256": "b" * 64}})  # fmt: skip


def trained_optimizer(kind=torch.optim.AdamW, width=3, **settings):
    """An optimizer of a layer that took a step."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(width, 2)
    optimizer = kind(layer.parameters(), lr=0.1, **settings)
    layer(torch.ones(1, width)).sum().backward()
    optimizer.step()
    return optimizer


def test_the_same_optimizers_go_on_whichever_steps_they_took():
    ours = [trained_optimizer(), torch.optim.AdamW(torch.nn.Linear(3, 1).parameters())]  # the second is warming up
    check_same_optimizers([o.state_dict() for o in ours], ours, [], [])
    plain = [torch.optim.SGD(torch.nn.Linear(3, 1).parameters(), lr=0.1)]  # which keeps nothing
    check_same_optimizers([plain[0].state_dict()], plain, [None], [{}])


def test_states_of_other_optimizers_or_none_are_refused():
    ours = [trained_optimizer(), trained_optimizer()]
    state = ours[0].state_dict()
    empty = {**state, "state": {}}
    bad_shape = {**state, "state": {0: {**state["state"][0], "exp_avg": torch.zeros(7, 9)}}}
    for stored, words in [
        (None, "has the state of no optimizers, but 2 are to go on"),
        ([], "has the state of 0 optimizers, but 2 are"),
        ([state], "has the state of 1 optimizers, but 2 are"),
        ([empty, empty], "has empty states of all optimizers"),
        ([{}, state], "has no state of an optimizer where AdamW has its own"),
        (["a", "b"], "has no state of an optimizer where AdamW has its own"),
        (
            [trained_optimizer(torch.optim.SGD).state_dict(), state],
            r"has the state of another optimizer than AdamW \(amsgrad, betas",
        ),
        ([bad_shape, state], "has a state that does not fit the shapes of the weights of AdamW"),
    ]:
        with pytest.raises(ConfigurationError, match=f"^the checkpoint {words}.*--model.start CHECKPOINT$"):
            check_same_optimizers(stored, ours, [], [])
    with pytest.raises(ConfigurationError, match="has the state of 0 schedulers, but 2 are to go on"):
        check_same_optimizers([state, state], ours, [1, 2], [])
