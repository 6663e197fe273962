"""Compare descriptions of parts."""

from collections.abc import Collection, Mapping
from typing import Any

from lightning_voiceclone.core.part import current_terms
from lightning_voiceclone.core.spec import REMOVED

SOURCES = ("pretrained", "start")  # arguments that name where weights come from
# Arguments that act when a part is used, neither on its weights nor on their training.
IN_USE = frozenset({"refine", "one_speaker"})


def same_making(left: Any, right: Any) -> bool:
    """Whether two descriptions make the same part, whichever versions of its package wrote them down.

    Arguments that act in use alone (``IN_USE``) may differ.
    """
    return _that_matters(left) == _that_matters(right)


def first_difference(
    left: Mapping[str, Mapping[str, Any] | None], right: Mapping[str, Mapping[str, Any] | None], but: Collection[str]
) -> str | None:
    """The first role, in alphabetical order, with parts made otherwise or with other frozen weights; None for none.

    Args:
        left: by role, how the parts of one were made (:func:`describe`); None for one that was left out.
        right: the same of the other.
        but: roles that may differ.
    """
    for role in sorted((set(left) | set(right)) - set(but)):
        one, other = but_place(left.get(role)), but_place(right.get(role))
        if not same_making(one, other) or (one or {}).get("sha256") != (other or {}).get("sha256"):
            return role
    return None


def but_place(made: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """How a part was made, without the place of frozen weights: their hash identifies them, wherever they are."""
    if made is None or not made.get("sha256"):
        return made
    return {**made, "arguments": {name: value for name, value in made["arguments"].items() if name not in SOURCES}}


def _that_matters(value: Any) -> Any:
    if isinstance(value, list):
        return [_that_matters(item) for item in value]
    if isinstance(value, Mapping):
        if not {"kind", "name", "arguments"} - set(value):
            called, given = current_terms(value)
            value = {"name": called, "arguments": {name: item for name, item in given.items() if name not in IN_USE}}
        elif set(value) == {"spec"}:
            value = {"spec": _without_removed(value["spec"])}
        return {key: _that_matters(item) for key, item in value.items()}
    return value


def _without_removed(spec: Any) -> Any:
    """A spec's mapping without the fields that only older files have."""
    if isinstance(spec, list):
        return [_without_removed(part) for part in spec]
    if not isinstance(spec, Mapping):
        return spec
    return {name: _without_removed(value) for name, value in spec.items() if name not in REMOVED}
