"""Checkpoints of other parts are told by the role and by both parts."""

import pytest

from lightning_voiceclone.errors import SpecMismatchError
from lightning_voiceclone.training.checkpoint_check import check_same_parts


def part(name, version="1.0", **arguments):
    return {"kind": "generators", "name": name, "package": "p", "version": version, "arguments": arguments}


def test_versions_of_packages_may_differ():
    check_same_parts({"generator": part("A", width=2)}, {"generator": part("A", version="2.0", width=2)})


@pytest.mark.parametrize(("stored", "present", "told"), [
    ({"generator": part("A", width=2)}, {"generator": part("A", width=3)},
     r"generator is A\(width=2\) in the checkpoint but A\(width=3\) in this"),
    ({"generator": part("A")}, {"generator": part("B")}, r"generator is A\(\) .* but B\(\)"),
    ({}, {"discriminator": part("A")}, r"discriminator is absent in the checkpoint but A\(\)"),
    ({"discriminator": part("A"), "generator": part("A")}, {"discriminator": None, "generator": part("B")},
     r"discriminator is A\(\) in the checkpoint but absent"),
])  # fmt: skip
def test_the_first_other_part_is_told(stored, present, told):
    with pytest.raises(SpecMismatchError, match=told):
        check_same_parts(stored, present)


def test_some_roles_may_differ():
    stored = {"generator": part("A"), "vocoder": part("A")}
    check_same_parts(stored, {"generator": part("A"), "vocoder": part("B")}, but={"vocoder"})
    with pytest.raises(SpecMismatchError, match="vocoder"):
        check_same_parts(stored, {"generator": part("A"), "vocoder": part("B")})


def test_other_frozen_weights_are_told():
    with pytest.raises(SpecMismatchError, match=r"frozen weights of content_encoder have the hash aaaa.* but bbbb"):
        check_same_parts({"content_encoder": {**part("A"), "sha256": "a" * 64}},
                         {"content_encoder": {**part("A"), "sha256": "b" * 64}})  # fmt: skip
