"""The audio contract: the exact definition of a sequence of features, and the check that two parts agree on it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lightning_voiceclone.errors import SpecMismatchError

# Fields of older files, each with the only value that it ever had. Read, not written.
REMOVED: dict[str, str | None] = {"framing": "centred", "normalization": None}
Setting = bool | int | float | str | None


@dataclass(frozen=True, kw_only=True)
class AudioSpec:
    """Definition of a sequence of features.

    Frame t of every extractor is centred on sample (t + 1/2) * hop_length: audio is padded by reflection with
    (n_fft - hop_length) / 2 samples at each end, so that N samples give exactly N // hop_length frames, and features
    of different extractors with one hop line up.

    Args:
        kind: the extractor's name: mel, mfcc, stft, waveform, pitch, energy or stack. One of another package has a
            name of its own, unless it computes the same features.
        channels: F, numbers a frame.
        sample_rate: in Hz.
        hop_length: samples from one frame to the next.
        n_fft: samples of a frame's analysis, or None where there is none.
        win_length: samples of its window.
        window: the window's name.
        n_mels: bands of the mel filterbank.
        fmin: lowest frequency in Hz.
        fmax: highest frequency in Hz.
        mel_scale: slaney or htk.
        mel_norm: slaney (bands of equal area) or None.
        power: exponent of the magnitude before the logarithm.
        log: base of the logarithm (e or 10), or None for a linear scale.
        floor: the least value, before the logarithm.
        parts: of a stack, the specs of its parts, in order.
        settings: further settings that define the features, by name, for extractors of other packages: numbers,
            strings, truth values or None. Given as a mapping, kept as pairs in the order of their names.
    """

    kind: str
    channels: int
    sample_rate: int
    hop_length: int
    n_fft: int | None = None
    win_length: int | None = None
    window: str | None = None
    n_mels: int | None = None
    fmin: float | None = None
    fmax: float | None = None
    mel_scale: str | None = None
    mel_norm: str | None = None
    power: float | None = None
    log: str | None = None
    floor: float | None = None
    parts: tuple["AudioSpec", ...] = ()
    settings: Mapping[str, Setting] | tuple[tuple[str, Setting], ...] = ()

    def __post_init__(self) -> None:
        """Keep the settings as pairs, so that equal specs are equal and can be hashed."""
        pairs = sorted(dict(self.settings).items())
        for name, value in pairs:
            if not name.isidentifier() or not (value is None or isinstance(value, bool | int | float | str)):
                raise SpecMismatchError(
                    f"the setting {name!r} of a spec is {value!r:.60}; give it the name of an argument, and a number, a"
                    " string, a truth value or None"
                )
        object.__setattr__(self, "settings", tuple(pairs))

    def setting(self, name: str) -> Setting:
        """One of ``settings``.

        Raises:
            SpecMismatchError: if the spec has no such setting.
        """
        settings = dict(self.settings)
        if name not in settings:
            raise SpecMismatchError(f"the spec of {self.kind} features has no setting {name!r}, only {[*settings]}")
        return settings[name]

    @property
    def frame_rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop_length

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits, equal for equal specs; the name of a folder of cached features."""
        return hashlib.sha256(json.dumps(self._hashed(), sort_keys=True).encode()).hexdigest()[:12]

    def _hashed(self) -> dict[str, Any]:
        """The mapping with the removed fields, so that cache folders of older versions keep their names."""
        return self.to_mapping() | REMOVED | {"parts": [part._hashed() for part in self.parts]}

    def to_mapping(self) -> dict[str, Any]:
        """As a plain mapping, for YAML, JSON and checkpoints."""
        plain = asdict(self) | {"parts": [part.to_mapping() for part in self.parts], "settings": dict(self.settings)}
        if not self.settings:
            del plain["settings"]
        return plain

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "AudioSpec":
        """From :meth:`to_mapping`.

        Raises:
            SpecMismatchError: if the mapping has a field that this version does not know, or lacks one.
        """
        known = {field.name for field in fields(cls)}
        for name in REMOVED.keys() & mapping.keys():
            if mapping[name] != REMOVED[name]:
                raise SpecMismatchError(
                    f"the spec has {name} {mapping[name]!r}, expected {REMOVED[name]!r}; write the file that holds it"
                    " anew"
                )
        mapping = {name: value for name, value in mapping.items() if name not in REMOVED}
        if unknown := set(mapping) - known:
            raise SpecMismatchError(
                f"the spec has fields that this version does not know: {', '.join(sorted(unknown))};"
                " it was written by a newer lightning-voiceclone"
            )
        if lacking := {"kind", "channels", "sample_rate", "hop_length"} - set(mapping):
            raise SpecMismatchError(f"the spec lacks {', '.join(sorted(lacking))}; write the file that holds it anew")
        parts = tuple(cls.from_mapping(part) for part in mapping.get("parts", ()))
        return cls(**{**mapping, "parts": parts})

    def differences(self, other: "AudioSpec") -> list[tuple[str, Any, Any]]:
        """Fields in which the two differ, each with this spec's value and the other's."""
        pairs = [(f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self)
                 if f.name not in ("parts", "settings")]  # fmt: skip
        left, right = dict(self.settings), dict(other.settings)
        pairs += [(f"settings.{name}", left.get(name), right.get(name)) for name in sorted({**left, **right})]
        found = [pair for pair in pairs if pair[1] != pair[2]]
        if len(self.parts) != len(other.parts):
            return [*found, ("number of parts", len(self.parts), len(other.parts))]
        for index, (mine, theirs) in enumerate(zip(self.parts, other.parts, strict=True)):
            found += [(f"parts[{index}].{name}", left, right) for name, left, right in mine.differences(theirs)]
        return found


def check_join(left_name: str, left: AudioSpec, right_name: str, right: AudioSpec) -> None:
    """Refuse to join two parts whose specs differ.

    Raises:
        SpecMismatchError: names each differing field with both values.
    """
    if differences := left.differences(right):
        listed = "; ".join(f"{name} is {ours!r} in {left_name} but {theirs!r} in {right_name}"
                           for name, ours, theirs in differences)  # fmt: skip
        raise SpecMismatchError(f"{left_name} and {right_name} do not fit: {listed}; give both the same value")
