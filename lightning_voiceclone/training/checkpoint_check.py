"""Is a checkpoint of the parts that are to go on training, told before any weight is loaded."""

from collections.abc import Collection, Mapping
from typing import Any

from lightning_voiceclone.errors import SpecMismatchError
from lightning_voiceclone.parts import but_place, first_difference, same_making

Descriptions = Mapping[str, Mapping[str, Any] | None]


def check_same_parts(stored: Descriptions, present: Descriptions, *, but: Collection[str] = ()) -> None:
    """Refuse a checkpoint of other parts. Versions of their packages may differ.

    Args:
        stored: by role (generator, discriminator, …), how the checkpoint's parts were made (``parts.describe``); None
            for one that was left out.
        present: the same of this configuration.
        but: roles that may differ.

    Raises:
        SpecMismatchError: names the first role, in alphabetical order, with another part or other frozen weights, and
            both.
    """
    role = first_difference(stored, present, but)
    if role is None:
        return
    left, right = stored.get(role), present.get(role)
    if not same_making(but_place(left), but_place(right)):
        raise SpecMismatchError(
            f"{role} is {_told(left)} in the checkpoint but {_told(right)} in this configuration;"
            " use the configuration that the checkpoint was made with (config.yaml beside it)"
        )
    hashes = [str((part or {}).get("sha256"))[:12] for part in (left, right)]
    raise SpecMismatchError(
        f"the frozen weights of {role} have the hash {hashes[0]} in the checkpoint but {hashes[1]} now; bring back"
        " those that it was trained with"
    )


def _told(part: Mapping[str, Any] | None) -> str:
    if part is None:
        return "absent"
    settings = {name: value for name, value in part["arguments"].items() if not isinstance(value, dict)}
    return f"{part['name']}({', '.join(f'{name}={value}' for name, value in settings.items())})"
