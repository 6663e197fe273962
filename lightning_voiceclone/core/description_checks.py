"""Check descriptions of models and parts, from YAML or checkpoints, before anything is built from them."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from lightning_voiceclone.core.kinds import KINDS
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.terminal import printable

FORMAT = 1  # of models and of trained parts
MOST_YAML_BYTES = 256 << 10  # the bundled model has 4 kB
MOST_SCALAR = 4096  # characters of a name, a path or a number
MOST_DEPTH = 24  # of mappings and lists in each other
MOST_VALUES = 20_000
GREATEST_COUNT = 1 << 20  # of channels, layers, samples, Hz
GREATEST_NUMBER = 1e12
GREATEST_SEED = (1 << 64) - 1
RATES = (1000, 768_000)  # Hz
GREATEST_FRAME = 1 << 16  # samples of a frame's window, or of its hop
ROLES = {
    "feature_extractor": "feature_extractors", "generator": "generators", "vocoder": "vocoders",
    "content_encoder": "content_encoders", "speaker_encoder": "speaker_encoders", "pitch": "feature_extractors",
    "energy": "feature_extractors", "text_encoder": "text_encoders",
}  # fmt: skip
TRAINED_KINDS = ("vocoders", "content_encoders", "speaker_encoders", "text_encoders")
NEEDED = ("feature_extractor", "generator", "vocoder")
PART_KINDS = frozenset(name for name, kind in KINDS.items() if kind.stored)
PRIVACY = ("unit", "epsilon", "delta", "noise_multiplier", "clip", "probability", "steps")
OWN_AXES = {"lengths": 1, "speaker": 2, "frames": 3, "content": 3, "register": 1}
TAGS = ("part", "dims", "spec", "mapping")
MOST_NAME = 200
PACKAGE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
VERSION = re.compile(r"[A-Za-z0-9.!+_-]{1,100}")
SHA256 = re.compile(r"[0-9a-f]{64}")


class DescriptionError(ConfigurationError):
    """A file's description of a model or a part is invalid; names the place in it."""


def read_yaml(path: Path) -> Any:
    """The plain values of a small YAML file. Aliases are refused, since a few lines of them can expand to terabytes.

    Raises:
        DescriptionError: if it is too large, not YAML, or nested too deeply.
        OSError: if it cannot be read.
    """
    with path.open("rb") as stream:
        raw = stream.read(MOST_YAML_BYTES + 1)
    if len(raw) > MOST_YAML_BYTES:
        raise DescriptionError(f"it is longer than {MOST_YAML_BYTES} bytes")
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = raw.decode("utf-8")
        _check_events(text, fast)
        return yaml.load(text, Loader=fast)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:  # such as invalid dates and numbers
        raise DescriptionError(f"it is no YAML: {' '.join(str(error).split())}") from error


def _check_events(text: str, loader: Any) -> None:
    depth = 0
    for values, event in enumerate(yaml.parse(text, Loader=loader)):
        if isinstance(event, yaml.AliasEvent):
            raise DescriptionError(f"it has an alias (*{event.anchor}), which nothing of ours writes")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH or values > MOST_VALUES:
            raise DescriptionError(f"it is nested more than {MOST_DEPTH} deep, or has more than {MOST_VALUES} values")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > MOST_SCALAR:
            raise DescriptionError(f"it has a value of more than {MOST_SCALAR} characters")


def check_voice(description: Any) -> None:
    """Refuse what :func:`~lightning_voiceclone.checkpoints.voice_folder.describe_voice` could not return.

    Raises:
        DescriptionError: names the first place that is wrong.
    """
    _check_plain(description, "", 0, [MOST_VALUES])
    top = _mapping(description, "", needed=("format", "parts", "spec", "noise"))
    _check_format(top)
    _mapping(top, "", known=("format", "version", "parts", "spec", "noise", "guidance", "own", "privacy"))
    if "privacy" in top:
        _check_privacy(top["privacy"])
    check_spec(top["spec"], "spec")
    _count(top["noise"], "noise")
    _number(top.get("guidance", 0.0), "guidance")
    parts = _mapping(top["parts"], "parts", needed=NEEDED, known=tuple(ROLES))
    for role, part in parts.items():
        check_part(part, f"parts.{role}", kinds=(ROLES[role],))
    own = _mapping(top.get("own", {}), "own", known=tuple(OWN_AXES))
    for name, shape in own.items():
        if not isinstance(shape, list) or len(shape) != OWN_AXES[name]:
            raise DescriptionError(f"own.{name} is {_shown(shape)}, not a list of {OWN_AXES[name]} sizes")
        for size in shape:
            _count(size, f"own.{name}")


def _check_privacy(record: Any) -> None:
    fields = _mapping(record, "privacy", needed=PRIVACY, known=(*PRIVACY, "joined"))
    _check_optional(fields, "unit", "privacy", PACKAGE.fullmatch, "a word")
    for name in PRIVACY[1:]:
        _number(fields[name], f"privacy.{name}")
    joined = fields.get("joined", [])
    if not isinstance(joined, list):
        raise DescriptionError(f"privacy.joined is {_shown(joined)}, not a list of parts")
    for role in joined:
        if not isinstance(role, str) or role not in ROLES:
            raise DescriptionError(f"privacy.joined has {_shown(role)}, which is no part of a model")


def _check_format(top: Mapping[str, Any]) -> None:
    _check_optional(top, "version", "", VERSION.fullmatch, "a version")
    if top["format"] != FORMAT:
        raise DescriptionError(
            f"it has format {_shown(top['format'])}, this version reads {FORMAT}; update lightning-voiceclone"
        )


def check_trained_part(description: Any) -> None:
    """Refuse what :func:`~lightning_voiceclone.checkpoints.part_folder.description_of` could not return.

    Raises:
        DescriptionError: names the first place that is wrong.
    """
    _check_plain(description, "", 0, [MOST_VALUES])
    top = _mapping(description, "", needed=("format", "spec", "part"))
    _check_format(top)
    _mapping(top, "", known=("format", "version", "spec", "part"))
    check_spec(top["spec"], "spec")
    check_part(top["part"], "part", kinds=TRAINED_KINDS)


def check_roles(checkpoint: Mapping[Any, Any]) -> None:
    """Refuse a checkpoint with an invalid description of a model or a part.

    Raises:
        DescriptionError: names the first place that is wrong.
    """
    checks: dict[str, Callable[[Any], None]] = {
        "voice": check_voice, "vocoder": check_trained_part, "student.encoder": check_trained_part,
        "text_encoder": check_trained_part,
        "discriminator": lambda part: check_part(part, "discriminator", kinds=("discriminators",)),
        "teacher": lambda part: check_part(part, "teacher"),
    }  # fmt: skip
    for role, check in checks.items():
        if (described := checkpoint.get(role)) is not None:
            check(described)


def check_part(part: Any, place: str, *, kinds: Any = PART_KINDS) -> None:
    """Refuse what :func:`~lightning_voiceclone.core.part.describe` could not return.

    Args:
        part: its description.
        place: path of the description in the file, for errors.
        kinds: kinds that are allowed.

    Raises:
        DescriptionError: names the first place that is wrong.
    """
    made = _mapping(part, place, needed=("kind", "name", "arguments"),
                    known=("kind", "name", "package", "version", "arguments", "sha256"))  # fmt: skip
    if not isinstance(made["kind"], str) or made["kind"] not in kinds:
        raise DescriptionError(f"{place}.kind is {_shown(made['kind'])}, but must be {' or '.join(sorted(kinds))}")
    _check_name(made["name"], f"{place}.name")
    _check_optional(made, "package", place, PACKAGE.fullmatch, "the name of a package")
    _check_optional(made, "version", place, VERSION.fullmatch, "a version")
    _check_optional(made, "sha256", place, SHA256.fullmatch, "a hash of 64 hexadecimal digits")
    for name, value in _mapping(made["arguments"], f"{place}.arguments").items():
        _check_name(name, f"{place}.arguments")
        _check_argument(value, f"{place}.arguments.{name}")


def _check_argument(value: Any, place: str) -> None:
    """Check an argument as ``part._encode`` returns it: a number, a string, a list, or a mapping with one tag."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            _check_argument(item, f"{place}[{index}]")
    elif isinstance(value, Mapping):
        if len(value) != 1 or next(iter(value)) not in TAGS:
            raise DescriptionError(f"{place} is a mapping without one of the tags {', '.join(TAGS)}")
        ((tag, content),) = value.items()
        if tag == "part":
            check_part(content, place)
        elif tag == "spec":
            check_spec(content, place)
        else:
            for name, item in _mapping(content, place).items():
                _check_argument(item, f"{place}.{name}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        greatest = GREATEST_SEED if "seed" in place.rsplit(".", 1)[-1] else GREATEST_COUNT
        if isinstance(value, float):
            _number(value, place)
        elif abs(value) > greatest:
            raise DescriptionError(f"{place} is {value}, but must be at most {greatest}")


def check_spec(spec: Any, place: str) -> None:
    """Refuse a mapping of an ``AudioSpec`` whose numbers are invalid, or out of range for audio.

    Raises:
        DescriptionError: names the first place that is wrong.
    """
    fields = _mapping(spec, place, needed=("kind", "channels", "sample_rate", "hop_length"))
    for name, value in fields.items():
        inner = f"{place}.{name}"
        if name == "parts":
            if not isinstance(value, list | tuple):
                raise DescriptionError(f"{inner} is {_shown(value)}, not a list")
            for index, part in enumerate(value):
                check_spec(part, f"{inner}[{index}]")
        elif name == "settings":
            _check_settings(value, inner)
        elif name in ("kind", "framing") and not isinstance(value, str):
            raise DescriptionError(f"{inner} is {_shown(value)}, not a name")
        elif name in ("channels", "sample_rate", "hop_length") or (
            name in ("n_fft", "win_length", "n_mels") and value is not None
        ):
            _count(value, inner, least=1)
        elif name in ("fmin", "fmax", "power", "floor") and value is not None:
            _number(value, inner)
        elif name in ("window", "mel_scale", "mel_norm", "log", "normalization") and not isinstance(value, str | None):
            raise DescriptionError(f"{inner} is {_shown(value)}, not a name")
    if not RATES[0] <= fields["sample_rate"] <= RATES[1]:
        raise DescriptionError(
            f"{place}.sample_rate is {fields['sample_rate']} Hz, but must be {RATES[0]} to {RATES[1]}"
        )
    for name in ("hop_length", "n_fft", "win_length"):
        if (fields.get(name) or 0) > GREATEST_FRAME:
            raise DescriptionError(f"{place}.{name} is {fields[name]}, but must be at most {GREATEST_FRAME}")


def _check_settings(settings: Any, place: str) -> None:
    for name, value in _mapping(settings, place).items():
        _check_name(name, place)
        if not (value is None or isinstance(value, bool | str)):
            _number(value, f"{place}.{name}")


def shown_package(package: Any) -> str | None:
    """A package's name if it is valid, so that a message may suggest to install it; else None."""
    return package if isinstance(package, str) and PACKAGE.fullmatch(package) else None


# The shapes of values ------------------------------------------------------------------------------------------------


def _check_plain(value: Any, place: str, depth: int, left: list[int]) -> None:
    """Allow plain values only, not too deep and not too many; a value that is referred to twice counts twice."""
    left[0] -= 1
    if depth > MOST_DEPTH or left[0] < 0:
        raise DescriptionError(f"it is nested more than {MOST_DEPTH} deep, or has more than {MOST_VALUES} values")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str) or len(key) > MOST_SCALAR:
                raise DescriptionError(f"{place or 'it'} has the key {_shown(key)}, which is no name")
            _check_plain(item, f"{place}.{key}".lstrip("."), depth + 1, left)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_plain(item, f"{place}[{index}]", depth + 1, left)
    elif not (value is None or isinstance(value, str | int | float)):
        raise DescriptionError(f"{place} is {_shown(value)}, which is neither a number nor text")
    elif isinstance(value, str) and len(value) > MOST_SCALAR:
        raise DescriptionError(f"{place} has more than {MOST_SCALAR} characters")
    elif isinstance(value, float) and not math.isfinite(value):
        raise DescriptionError(f"{place} is {value}, which is no number")


def _mapping(value: Any, place: str, *, needed: tuple[str, ...] = (), known: tuple[str, ...] = ()) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise DescriptionError(f"{place or 'it'} is {_shown(value)}, not a mapping")
    if lacking := [name for name in needed if name not in value]:
        raise DescriptionError(f"{place or 'it'} has no {lacking[0]}")
    if known and (unknown := [name for name in value if name not in known]):
        raise DescriptionError(f"{place or 'it'} has {_shown(unknown[0])}, which this version does not know")
    return value


def _count(value: Any, place: str, *, least: int = 0) -> None:
    if type(value) is not int or not least <= value <= GREATEST_COUNT:
        raise DescriptionError(f"{place} is {_shown(value)}, not a whole number from {least} to {GREATEST_COUNT}")


def _number(value: Any, place: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= GREATEST_NUMBER:
        raise DescriptionError(f"{place} is {_shown(value)}, not a number of at most {GREATEST_NUMBER:g}")


def _check_name(value: Any, place: str) -> None:
    if not isinstance(value, str) or not value.isidentifier() or len(value) > MOST_NAME:
        raise DescriptionError(f"{place} has {_shown(value)}, which is no name of a class or an argument")


def _check_optional(
    mapping: Mapping[str, Any], name: str, place: str, matches: Callable[[str], Any], what: str
) -> None:
    value = mapping.get(name)
    if value is not None and not (isinstance(value, str) and matches(value)):
        raise DescriptionError(f"{f'{place}.{name}'.lstrip('.')} is {_shown(value)}, not {what}")


def _shown(value: Any) -> str:
    """A value, shortened so that an error stays one line."""
    text = type(value).__name__ if isinstance(value, Mapping | list | tuple) else printable(repr(value)[:60])
    return f"a {text}" if isinstance(value, Mapping | list | tuple) else text
