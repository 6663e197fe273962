"""Voice folders, part folders and checkpoints that were altered, by accident or on purpose."""

import copy
import io
import itertools
import json
import pickle
import pickletools
import random
import shutil
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml

from lightning_voiceclone.checkpoints.part_folder import description_of, load_part, save_part
from lightning_voiceclone.checkpoints.voice_folder import describe_voice, load_voice, save_voice
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.networks.generators.reference import ReferenceGenerator
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.vocoders.vocos import Vocos
from lightning_voiceclone.voice.model import VoiceModel

RAN = "code-ran"  # a file of this name beside the altered ones is what their code would make
FLIPS = 12  # files of each kind with some bytes changed
FIELDS = 120  # files with one field of the description changed
VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    7,
    2**20,
    2**20 + 1,
    2**31,
    10**9,
    10**40,
    0.5,
    1e-300,
    1e300,
    float("inf"),
    float("nan"),
    "",
    "x",
    "default",
    "../../etc/passwd",
    "a" * 5000,
    [],
    [[]],
    [1] * 50,
    {},
    {"part": {}},
    {"mapping": {}},
    {"dims": {}},
    {"spec": {}},
    {"part": {"kind": "corpora", "name": "LibriSpeech", "arguments": {}}},
]


def load_altered(path: Path) -> Any:
    """What the commands would load from there."""
    if (path / "part.yaml").exists() or path.name.startswith("part"):
        return load_part(path, "vocoders")
    return load_voice(path)


def altered_voices(folder: Path, seed: int, every: int = 1) -> Iterator[tuple[str, Path]]:
    """Names and paths of altered files, one after the other; each is removed when the next is asked for.

    Those whose names begin with ``valid`` are as they should be.

    Args:
        folder: an empty one to write them to.
        seed: of which bytes and fields are altered, and how.
        every: only each so manieth of them.
    """
    drawn = random.Random(seed)
    voice = _voice()
    vocoder = _vocoder()
    save_voice(voice, folder / "base-voice")
    save_voice(voice, folder / "base-8-bit", bits=8)
    save_part(vocoder, vocoder.spec, folder / "base-part")
    checkpoint = _checkpoint(voice, vocoder)
    torch.save(checkpoint, folder / "base.ckpt")
    torch.save(
        {
            "state_dict": {f"vocoder.{name}": value for name, value in vocoder.state_dict().items()},
            "vocoder": description_of(vocoder, vocoder.spec),
        },
        folder / "base-part.ckpt",
    )
    kinds = (_whole, _descriptions, _fields, _safetensors, _bytes, _archives, _pickles, _states)
    all_of_them = (one for kind in kinds for one in kind(folder, drawn, checkpoint))
    for name, make in itertools.islice(all_of_them, 0, None, every):
        made = make(folder / ("part" if "base-part" in name else "altered"))
        yield name, made
        shutil.rmtree(made) if made.is_dir() else made.unlink(missing_ok=True)


def _dumped(description: Any) -> bytes:
    return yaml.dump(description, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False).encode()


def _described_in(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


Alterations = Iterator[tuple[str, Callable[[Path], Path]]]


def _voice() -> VoiceModel:
    """A small voice with a part of each kind, and weights enough for 8 bits."""
    dims = Dims(20, content=4, speaker=8, noise=2, pitch=True, energy=True)
    return small_voice(
        dims, generator=lambda dims: ReferenceGenerator(dims, width=32, layers=2, heads=2, head_width=8, look_up=(1,))
    )


def _vocoder() -> Vocos:
    return Vocos(_voice().spec, width=16, hidden=32, layers=1).eval()


def _checkpoint(voice: VoiceModel, vocoder: Vocos) -> dict[str, Any]:
    state = OrderedDict((f"voice.{name}", value) for name, value in voice.state_dict().items())
    return {
        "epoch": 0,
        "global_step": 3,
        "state_dict": state,
        "optimizer_states": [{"state": {}}],
        "loops": {},
        "voice": describe_voice(voice),
        "discriminator": None,
    }


def _copied(source: Path, change: Callable[[Path], None]) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        if source.is_file():
            path = path.with_suffix(".ckpt")
            shutil.copy(source, path)
        else:
            shutil.copytree(source, path)
        change(path)
        return path

    return make


def _whole(folder: Path, drawn: random.Random, checkpoint: dict[str, Any]) -> Alterations:
    for name in ("base-voice", "base-8-bit", "base-part", "base.ckpt", "base-part.ckpt"):
        yield f"valid {name}", _copied(folder / name, lambda path: None)


# Descriptions --------------------------------------------------------------------------------------------------------


def _texts(plain: str, mark: Path) -> dict[str, str | bytes]:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    return {
        "aliases that multiply": bomb + plain,
        "an alias within itself": "&a [*a]",
        "one alias": plain + "x: &x 1\ny: *x\n",
        "nested lists": "[" * 100_000,
        "nested mappings": "{a: " * 5000,
        "nested and closed": "[" * 900 + "]" * 900,
        "nested blocks": "\n".join(" " * n + "a:" for n in range(2000)),
        "long": plain + "# " + "x" * 3_000_000,
        "many keys": plain + "".join(f"k{n}: {n}\n" for n in range(60_000)),
        "base 60": "x: " + ":".join(["1"] * 100_000),
        "digits": "format: " + "9" * 6000,
        "hexadecimal": "format: 0x" + "f" * 100_000,
        "a date that is none": "format: 2024-13-45",
        "python": f"!!python/object/apply:os.system ['touch {mark}']",
        "python module": "!!python/module:os",
        "python in a field": plain.replace("noise: 2", "noise: !!python/name:os.system"),
        "a set": "!!set {a, b}",
        "binary": "format: !!binary R0lGODlhDAAMAIQAAP",
        "merge": "<<: {format: 1}\n" + plain,
        "a list": "- 1\n- 2\n",
        "a number": "3",
        "nothing": "",
        "null": "null",
        "two documents": plain + "---\n" + plain,
        "tabs": plain.replace("  ", "\t"),
        "NUL": plain + "\0",
        "not UTF-8": b"\xff\xfe" + plain.encode(),
        "UTF-16": plain.encode("utf-16"),
        "key twice": plain + "format: 2\n",
        "keys that are lists": "? [1, 2]\n: 3\n",
        "numbers as keys": plain + "1: 2\n",
        "half": plain[: len(plain) // 2],
        "unknown key": plain + "more: 1\n",
        "escape": plain.replace("ReferenceGenerator", "Reference\\e[2JGenerator"),
    }


def _descriptions(folder: Path, drawn: random.Random, checkpoint: dict[str, Any]) -> Alterations:
    for base, file in (("base-voice", "voice.yaml"), ("base-part", "part.yaml")):
        plain = (folder / base / file).read_text()
        for name, text in _texts(plain, folder / RAN).items():
            raw = text if isinstance(text, bytes) else text.encode()
            yield f"{base}: {name}", _copied(folder / base, lambda path, raw=raw, file=file: _write(path / file, raw))
    description = _described_in(folder / "base-voice/voice.yaml")
    for name, changed in _parts(description):
        yield f"description: {name}", _described(folder, changed)
        yield f"checkpoint: {name}", _saved(checkpoint | {"voice": changed})


def _parts(description: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Descriptions with something wrong in the parts."""

    def changed(**fields: Any) -> dict[str, Any]:
        made = copy.deepcopy(description)
        made["parts"]["generator"] |= fields
        return made

    arguments = description["parts"]["generator"]["arguments"]
    inner: dict[str, Any] = description["parts"]["generator"]
    for _ in range(60):
        inner = {**description["parts"]["generator"], "arguments": {**arguments, "dims": {"part": inner}}}
    yield "parts in parts", {**description, "parts": {**description["parts"], "generator": inner}}
    yield "another kind", changed(kind="corpora", name="LibriSpeech", arguments={"root": "/"})
    yield "a kind that is none", changed(kind="os", name="system")
    yield "a discriminator", changed(kind="discriminators", name="PatchDiscriminator")
    yield "a package that is none", changed(name="Gone", package="x; rm -rf / #")
    yield "a package of escapes", changed(name="Gone", package="\x1b[2J\u202egone")
    yield "a package of an address", changed(name="Gone", package="git+https://example.org/x")
    yield "a name of escapes", changed(name="\x1b]0;x\x07Gone\n", package=None)
    yield "a name with dots", changed(name="os.system", package=None)
    yield "an argument too many", changed(arguments={**arguments, "command": "touch x"})
    yield "an argument of another", changed(arguments={**arguments, "self": 1})
    yield "a private argument", changed(arguments={**arguments, "__class__": "x"})
    yield "a hash", changed(sha256="0" * 64)
    yield "no generator", {**description, "parts": {k: v for k, v in description["parts"].items() if k != "generator"}}
    yield "a part too many", {**description, "parts": {**description["parts"], "judge": description["parts"]["pitch"]}}
    yield "the wrong part", {**description, "parts": {**description["parts"], "vocoder": description["parts"]["pitch"]}}
    for name, shapes in {
        "own of gigabytes": {"lengths": [1], "frames": [1, 10**6, 10**6]},
        "own of names": {"x": [1]},
        "own that is negative": {"lengths": [-1]},
        "own of no axes": {"frames": [4]},
    }.items():
        yield name, {**description, "own": shapes}
    privacy = {"unit": "speaker", "epsilon": 8.0, "delta": 1e-5, "noise_multiplier": 1.0, "clip": 1.0,
               "probability": 0.1, "steps": 10}  # fmt: skip
    for name, record in {
        "privacy of escapes": {**privacy, "unit": "\x1b[2J"},
        "privacy of text": {**privacy, "epsilon": "8"},
        "privacy of nothing": {"epsilon": 8.0},
        "privacy of more": {**privacy, "more": 1},
    }.items():
        yield name, {**description, "privacy": record}
    for width in (2**20, 10**9, 2**62, 10**30, -5, 0):
        yield f"a width of {width}", changed(arguments={**arguments, "width": width})
        yield f"{width} layers", changed(arguments={**arguments, "layers": width})
    yield "wide enough", changed(arguments={**arguments, "width": 4096})
    for rate, hop, n_fft, mels in (
        (16000, 1, 2**16, 20),
        (2**20, 160, 1024, 20),
        (16000, 160, 2**20, 2**20),
        (1, 1, 2, 1),
    ):
        made = copy.deepcopy(description)
        made["spec"] |= {"sample_rate": rate, "hop_length": hop, "n_fft": n_fft, "n_mels": mels, "channels": mels}
        for role in ("feature_extractor", "pitch", "energy"):
            for field, value in (("sample_rate", rate), ("hop_length", hop), ("n_fft", n_fft), ("n_mels", mels)):
                if field in made["parts"][role]["arguments"]:
                    made["parts"][role]["arguments"][field] = value
        made["parts"]["vocoder"]["arguments"]["spec"]["spec"] = copy.deepcopy(made["spec"])
        yield f"features at {rate} Hz of {n_fft} samples every {hop}", made


def _fields(folder: Path, drawn: random.Random, checkpoint: dict[str, Any]) -> Alterations:
    for number in range(FIELDS):
        base, file = drawn.choice([("base-voice", "voice.yaml")] * 4 + [("base-part", "part.yaml")])
        description = _described_in(folder / base / file)
        places = list(_places(description))
        place, value = drawn.choice(places), drawn.choice([*VALUES, KeyError])
        _set(description, place, value)
        name = f"{base} {number}: {'.'.join(map(str, place))} is {str(value)[:20]}"
        if base == "base-voice" and number % 3 == 0:
            yield name, _saved(checkpoint | {"voice": description})
        elif base == "base-voice":
            yield name, _described(folder, description)
        else:
            raw = _dumped(description)
            yield name, _copied(folder / base, lambda path, raw=raw, file=file: _write(path / file, raw))


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*above, key)
        yield from _places(inner, (*above, key))


def _set(description: Any, place: tuple[Any, ...], value: Any) -> None:
    for key in place[:-1]:
        description = description[key]
    if value is KeyError:
        del description[place[-1]]
    else:
        description[place[-1]] = value


def _described(folder: Path, description: Any) -> Callable[[Path], Path]:
    raw = _dumped(description)
    return _copied(folder / "base-voice", lambda path: _write(path / "voice.yaml", raw))


def _saved(checkpoint: Any, **options: Any) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        torch.save(checkpoint, path.with_suffix(".ckpt"), **options)
        return path.with_suffix(".ckpt")

    return make


def _write(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)


# Weights -------------------------------------------------------------------------------------------------------------


def _safetensors(folder: Path, drawn: random.Random, checkpoint: dict[str, Any]) -> Alterations:
    weights = safetensors.torch.load_file(folder / "base-voice/weights.safetensors")
    name = next(name for name, value in weights.items() if value.ndim > 1)
    value = weights[name]
    lists: dict[str, dict[str, torch.Tensor]] = {
        "NaN": {name: value * torch.nan},
        "infinite": {name: value * 0 + torch.inf},
        "huge": {name: value * 0 + 3e38},
        "transposed": {name: value.transpose(0, 1).contiguous()},
        "flat": {name: value.flatten()},
        "empty": {name: value[:0]},
        "whole numbers": {name: value.int()},
        "doubles": {name: value.double()},
        "bits": {name: value > 0},
        "bytes": {name: value.to(torch.int8)},
        "halves": {name: value.half()},
        "bfloat16": {name: value.bfloat16()},
        "float8": {name: value.to(torch.float8_e4m3fn)},
        "one too many": {"more": value.clone()},
        "a scale too many": {name + ".int8_scale": value.flatten()[:1]},
    }
    changed = {f"safetensors: {what}": {**weights, **change} for what, change in lists.items()}
    changed["safetensors: one missing"] = {key: one for key, one in weights.items() if key != name}
    changed["safetensors: renamed"] = {("x" + key if key == name else key): one for key, one in weights.items()}
    changed["safetensors: nothing"] = {}
    for what, made in changed.items():
        raw = safetensors.torch.save({key: one.clone() for key, one in made.items()})
        yield what, _copied(folder / "base-voice", lambda path, raw=raw: _write(path / "weights.safetensors", raw))
    packed = safetensors.torch.load_file(folder / "base-8-bit/weights.safetensors")
    scale = next(key for key in packed if key.endswith(".int8_scale"))
    scales = {
        "missing": None,
        "short": packed[scale][:-1],
        "long": torch.cat([packed[scale]] * 2),
        "NaN": packed[scale] * torch.nan,
        "infinite": packed[scale] * torch.inf,
        "whole": packed[scale].int(),
        "a number": packed[scale][0],
        "a matrix": packed[scale][None],
    }
    for what, other in scales.items():
        made = {key: one for key, one in packed.items() if key != scale} | ({} if other is None else {scale: other})
        raw = safetensors.torch.save({key: one.clone() for key, one in made.items()})
        yield (
            f"scales: {what}",
            _copied(folder / "base-8-bit", lambda path, raw=raw: _write(path / "weights.safetensors", raw)),
        )
    for what, raw in _headers((folder / "base-voice/weights.safetensors").read_bytes()):
        yield (
            f"header: {what}",
            _copied(folder / "base-voice", lambda path, raw=raw: _write(path / "weights.safetensors", raw)),
        )


def _headers(raw: bytes) -> Iterator[tuple[str, bytes]]:
    length = int.from_bytes(raw[:8], "little")
    header, data = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    names = [name for name in header if name != "__metadata__"]

    def with_header(made: Any) -> bytes:
        text = made if isinstance(made, bytes) else json.dumps(made).encode()
        return len(text).to_bytes(8, "little") + text + data

    for number in (0, 1, length - 1, length + 1, 2**31, 2**63, 2**64 - 1):
        yield f"{number} bytes long", number.to_bytes(8, "little") + raw[8:]
    yield "nested", with_header(b'{"a":' * 100_000)
    yield "a list", with_header([1, 2])
    yield "no JSON", with_header(b"\x80\x04." * 10)
    yield "of spaces", with_header(b" " * (20 << 20))
    for what, change in {
        "a shape of terabytes": {"shape": [2**40, 2**20]},
        "a shape that overflows": {"shape": [2**63, 2]},
        "a negative shape": {"shape": [-1]},
        "a shape of words": {"shape": ["x"]},
        "offsets beyond": {"data_offsets": [0, 2**50]},
        "offsets backwards": {"data_offsets": [100, 0]},
        "offsets of another": {"data_offsets": header[names[1]]["data_offsets"]},
        "another type": {"dtype": "I64"},
        "no type": {"dtype": "X1"},
    }.items():
        yield what, with_header({**header, names[0]: {**header[names[0]], **change}})


def _bytes(folder: Path, drawn: random.Random, checkpoint: dict[str, Any]) -> Alterations:
    """Bytes that were changed or cut off."""
    files = [
        ("base-voice", "voice.yaml"),
        ("base-voice", "weights.safetensors"),
        ("base-8-bit", "weights.safetensors"),
        ("base-part", "part.yaml"),
        ("base.ckpt", ""),
        ("base-part.ckpt", ""),
    ]
    for base, file in files:
        raw = (folder / base / file).read_bytes() if file else (folder / base).read_bytes()
        for number in range(FLIPS):
            made = bytearray(raw)
            most = len(made) if number % 2 else min(len(made), 4000)  # where headers are
            for _ in range(drawn.choice([1, 3, 50])):
                made[drawn.randrange(most)] = drawn.randrange(256)
            what = f"{base} {file}: bytes changed ({number})"
            yield (
                what,
                _copied(
                    folder / base, lambda path, made=bytes(made), file=file: _write(path / file if file else path, made)
                ),
            )
        for number in range(4):
            cut = raw[: drawn.randrange(len(raw))]
            yield (
                f"{base} {file}: cut ({number})",
                _copied(folder / base, lambda path, cut=cut, file=file: _write(path / file if file else path, cut)),
            )


# Checkpoints ---------------------------------------------------------------------------------------------------------


def _archives(folder: Path, drawn: random.Random, checkpoint: dict[str, Any]) -> Alterations:
    """Archives as torch never writes them."""
    with zipfile.ZipFile(folder / "base.ckpt") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    first = next(name for name in entries if name.endswith("data/0"))
    pickled = next(name for name in entries if name.endswith("data.pkl"))

    def archived(made: Any, method: int = zipfile.ZIP_STORED) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            for name, raw in made:
                archive.writestr(name, raw)
        return stream.getvalue()

    def whole(raw: bytes) -> Callable[[Path], Path]:
        return _copied(folder / "base.ckpt", lambda path: _write(path, raw))

    plain = archived(entries.items())
    yield "archive: valid", whole(plain)
    yield "archive: compressed", whole(archived(entries.items(), zipfile.ZIP_DEFLATED))
    yield (
        "archive: a bomb",
        whole(archived([*entries.items(), ("archive/data/x", bytes(50 << 20))], zipfile.ZIP_DEFLATED)),
    )
    yield (
        "archive: a bomb of values",
        whole(archived([(pickled, b"\x80\x02]" + b"N" * (30 << 20) + b".")], zipfile.ZIP_DEFLATED)),
    )
    yield "archive: a name twice", whole(archived([*entries.items(), (first, entries[first])]))
    yield "archive: a name above", whole(archived([*entries.items(), ("archive/../../x", b"x")]))
    yield "archive: an absolute name", whole(archived([*entries.items(), ("/etc/x", b"x")]))
    yield "archive: two folders", whole(archived([*entries.items(), ("other/data/0", b"x")]))
    yield "archive: no values", whole(archived([(name, raw) for name, raw in entries.items() if name != pickled]))
    yield "archive: no numbers", whole(archived([(name, raw) for name, raw in entries.items() if name != first]))
    yield (
        "archive: fewer numbers",
        whole(archived([(n, raw[:-4] if n == first else raw) for n, raw in entries.items()])),
    )
    yield "archive: more before", whole(b"#!/bin/sh\n" + plain)
    yield "archive: more after", whole(plain + b"x" * 100)
    yield "archive: empty", whole(archived([]))
    yield "archive: many entries", whole(archived([*entries.items(), *((f"archive/e{n}", b"") for n in range(31_000))]))
    yield "archive: big-endian", whole(archived({**entries, pickled.replace("data.pkl", "byteorder"): b"big"}.items()))
    at, listed = plain.index(first.encode()), plain.rindex(first.encode())
    yield (
        "archive: encrypted",
        whole(plain[: at - 24] + b"\x01" + plain[at - 23 : listed - 38] + b"\x01" + plain[listed - 37 :]),
    )
    yield (
        "archive: said to be gigabytes",
        whole(plain[: listed - 26] + struct.pack("<II", 2**31, 2**31) + plain[listed - 18 :]),
    )
    yield "archive: entries over each other", whole(plain[: listed - 4] + struct.pack("<I", 0) + plain[listed:])
    yield "archive: another checksum", whole(plain[: listed - 30] + b"\0\0\0\0" + plain[listed - 26 :])
    damaged = bytearray(plain)
    for place in range(at + len(first), at + len(first) + 50):
        damaged[place] ^= 0x40
    yield "archive: 50 numbers damaged", whole(bytes(damaged))
    yield "archive: of another format", _saved(checkpoint, _use_new_zipfile_serialization=False)
    yield "archive: text", whole(b"hello")
    yield "archive: nothing", whole(b"")
    yield "archive: a plain pickle", whole(pickle.dumps({"voice": _Runs(folder / RAN)}))


class _Runs:
    """What a pickle of it calls makes a file."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> Any:
        return exec, (f"open({str(self.mark)!r}, 'w').close()",)


def _pickles(folder: Path, drawn: random.Random, checkpoint: dict[str, Any]) -> Alterations:
    """Checkpoints whose data.pkl says other things than torch.save would."""
    with zipfile.ZipFile(folder / "base.ckpt") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in entries if name.endswith("data.pkl"))
    plain = entries[pickled]

    def with_pickle(raw: bytes) -> Callable[[Path], Path]:
        def change(path: Path) -> None:
            with zipfile.ZipFile(path, "w") as archive:
                for name, value in {**entries, pickled: raw}.items():
                    archive.writestr(name, value)

        return _copied(folder / "base.ckpt", change)

    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0" + b"0X\x03\0\0\0cpu%bt"
    number = lambda value: b"\x8a\x08" + value.to_bytes(8, "little", signed=True)  # noqa: E731

    def tensor(count: int = 1, offset: int = 0, size: Any = (1,), stride: Any = (1,), before: bytes = b"") -> bytes:
        axes = b"(" + b"".join(map(number, size)) + b"t(" + b"".join(map(number, stride)) + b"t"
        made = b"ctorch._utils\n_rebuild_tensor_v2\n((" + storage[1:] % number(count) + b"Q" + before + number(offset)
        return b"\x80\x02}X\x0a\0\0\0state_dict}X\x01\0\0\0x" + made + axes + b"\x89ccollections\nOrderedDict\n)RtRss."

    def called(*lines: bytes) -> bytes:
        return b"\x80\x02" + b"".join(lines) + b"."

    mark = str(folder / RAN).encode()
    yield from (
        (f"pickle: {name}", with_pickle(raw))
        for name, raw in {
            "a command": called(b"cos\nsystem\nX", struct.pack("<I", len(mark) + 6), b"touch " + mark, b"\x85R"),
            "exec": pickle.dumps(_Runs(folder / RAN), 2),
            "a class": called(b"ctorch.nn\nLinear\nK\x08K\x08\x86R"),
            "ten gigabytes": called(b"c__builtin__\nbytearray\n\x8a\x05\0\xe4\x0b\x54\x02\x85R"),
            "an instance": called(b"(X\x04\0\0\0lostios\nsystem\n"),
            "an extension": called(b"\x82\x01"),
            "a memo of gigabytes": called(b"}r\xff\xff\xff\x7f"),
            "bytes of gigabytes": called(b"\x8e" + b"\xff" * 7 + b"\x7f"),
            "a bytearray of gigabytes": called(b"\x96\0\0\0\0\x04\0\0\0"),
            "text of gigabytes": called(b"X\xff\xff\xff\x7f"),
            "nested lists": called(b"]" * 200_000 + b"a" * 199_999),
            "a list within itself": called(b"]q\0h\0a"),
            "lists that multiply": called(b"]q\0", *(b"](" + b"h%c" % n * 9 + b"eq%c" % (n + 1) for n in range(30))),
            "a mapping within itself": called(b"}q\0X\x05\0\0\0voiceh\0s"),
            "nothing": b"",
            "no end": plain[:-1],
            "more after the end": plain + b"x",
            "a number": called(b"K\x01"),
            "an unknown opcode": called(b"\xff"),
            "POP of nothing": called(b"0"),
            "SETITEM of nothing": called(b"s"),
            "an empty call": called(b"R"),
            "a tensor": tensor(),
            "numbers beyond their entry": tensor(2**40),
            "more numbers than bytes": tensor(10_000),
            "a negative count": tensor(-1),
            "an offset beyond": tensor(1, 10**6),
            "a negative offset": tensor(1, -8),
            "a shape of terabytes": tensor(1, 0, (2**40, 2**20), (0, 0)),
            "a stride beyond": tensor(1, 0, (2,), (2**40,)),
            "a negative stride": tensor(1, 0, (2,), (-1,)),
            "a negative shape": tensor(1, 0, (-1,), (1,)),
            "a shape without strides": tensor(1, 0, (1, 1), (1,)),
            "100 axes": tensor(1, 0, (1,) * 100, (1,) * 100),
            "a storage that is set": tensor(before=b"}X\x05\0\0\0count" + number(2**40) + b"sb"),
            "a shape that overflows": tensor(1, 0, (2**62, 4), (1, 1)),
            "another storage": plain.replace(b"FloatStorage", b"CharStorage\n0"[:12]),
            "a storage that is none": plain.replace(b"ctorch\nFloatStorage", b"cos\nsystem\n#######"[:19]),
        }.items()
    )
    names = [argument for opcode, argument, _ in pickletools.genops(plain) if opcode.name == "BINUNICODE"]
    for number_ in range(10):
        old = drawn.choice([name for name in names if len(name) > 2]).encode()
        yield f"pickle: {old.decode()} renamed ({number_})", with_pickle(plain.replace(old, bytes(reversed(old)), 1))


def _states(folder: Path, drawn: random.Random, checkpoint: dict[str, Any]) -> Alterations:
    """Checkpoints whose weights are not those of their voice."""
    state = checkpoint["state_dict"]
    name = next(name for name, value in state.items() if value.ndim > 1)
    value = state[name]
    states: dict[str, Any] = {
        "none": None,
        "a list": [1],
        "empty": {},
        "numbers": dict.fromkeys(state, 1.0),
        "NaN": {**state, name: value * torch.nan},
        "infinite": {**state, name: value * 0 - torch.inf},
        "flat": {**state, name: value.flatten()},
        "one too many": {**state, "voice.more": value},
        "one missing": {key: one for key, one in state.items() if key != name},
        "expanded": {**state, name: torch.zeros(1).expand(10**4, 10**4)},
        "sparse": {**state, name: value.to_sparse()},
        "whole numbers": {**state, name: value.int()},
        "complex": {**state, name: value.to(torch.complex64)},
        "quantised": {**state, name: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)},
        "on no device": {**state, name: value.to("meta")},
        "numbers as names": {**state, 3: value},
        "averages of another": {**state, "average.voice/x": value},
        "averages that are NaN": {**state, "average." + name.replace(".", "/"): value * torch.nan},
    }
    for what, made in states.items():
        yield f"state: {what}", _saved({**checkpoint, "state_dict": made})
    yield "state: a voice that is a list", _saved({**checkpoint, "voice": [1]})
    yield "state: a voice that is a tensor", _saved({**checkpoint, "voice": value})
    yield "state: a voice with a tensor", _saved({**checkpoint, "voice": {**checkpoint["voice"], "noise": value}})
    yield "state: no mapping", _saved([checkpoint])
    yield "state: a module", _saved(torch.nn.Linear(2, 2))
