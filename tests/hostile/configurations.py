"""Configurations of ``lvc fit`` with faults: classes that are none of a kind's, numbers out of range, broken YAML."""

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

# Where a configuration names a class, and how: in every one of them a function could stand.
CLASSES = (
    "model", "model.init_args.feature_extractor", "model.init_args.generator", "model.init_args.discriminator",
    "model.init_args.content_encoder", "model.init_args.speaker_encoder", "model.init_args.pitch",
    "model.init_args.vocoder", "model.init_args.adversarial_loss", "model.init_args.generator_optimizer",
    "model.init_args.discriminator_optimizer", "model.init_args.scheduler", "data.corpus", "trainer.logger",
    "trainer.strategy", "trainer.callbacks", "trainer.plugins", "trainer.profiler", "trainer.accelerator",
)  # fmt: skip
NUMBERS = (
    "data.segment_seconds", "data.reference_seconds", "data.batch_size", "data.workers", "data.validation",
    "data.cache_megabytes", "model.init_args.generator.init_args.width", "model.init_args.generator.init_args.layers",
    "model.init_args.steps.warmup", "model.init_args.weights.reconstruction",
    "model.init_args.generator_optimizer.init_args.lr", "trainer.max_steps", "seed_everything",
)  # fmt: skip
VALUES = (float("nan"), float("inf"), -1, 0, 1e9, 10**40, "x", [], {}, None, True)


def good(root: Path) -> dict[str, Any]:
    """A configuration that trains one step of a small voice on the speaker folders at ``root``."""
    small = {"init_args": {"width": 8, "layers": 1}}
    return {
        "seed_everything": 0,
        "model": {
            "class_path": "VoiceModule",
            "init_args": {
                "feature_extractor": {"class_path": "MelSpectrogram", "init_args": {"n_mels": 20}},
                "generator": {"class_path": "ConvGenerator", **copy.deepcopy(small)},
                "discriminator": {"class_path": "MLPDiscriminator"},
                "content_encoder": {"class_path": "InstanceNormContentEncoder", "init_args": {"channels": 4}},
                "speaker_encoder": {"class_path": "StatisticsSpeakerEncoder"},
                "vocoder": {"class_path": "GriffinLim", "init_args": {"iterations": 2}},
                "weights": {"reconstruction": 20, "adversarial": 1},
                "generator_optimizer": {"class_path": "AdamW", "init_args": {"lr": 1e-3}},
                "discriminator_optimizer": {"class_path": "AdamW", "init_args": {"lr": 1e-3}},
                "scheduler": {"class_path": "ExponentialLR", "init_args": {"gamma": 0.999}},
                "steps": {"warmup": 0},
            },
        },
        "data": {
            "corpus": "SpeakerFolders", "root": str(root), "segment_seconds": 0.4, "reference_seconds": 0.5,
            "batch_size": 2, "validation": 2,
        },
        "trainer": {
            "max_steps": 1, "max_epochs": 1, "enable_progress_bar": False, "limit_val_batches": 0,
            "logger": False, "accelerator": "cpu", "enable_model_summary": False,
        },
    }  # fmt: skip


def altered_configurations(folder: Path, root: Path, mark: Path, seed: int) -> Iterator[tuple[str, Path]]:
    """Names and paths of altered configurations, written into ``folder``; some 90, other ones for another seed.

    Args:
        folder: to write to.
        root: speaker folders to train on.
        mark: file that exists once code of a configuration was run.
        seed: of the choices.
    """
    draw = random.Random(seed)
    for name, text in _texts(good(root), mark, draw):
        path = folder / f"{name}.yaml"
        path.write_bytes(text)
        yield path.name, path


def _texts(base: dict[str, Any], mark: Path, draw: random.Random) -> Iterator[tuple[str, bytes]]:
    calls: tuple[tuple[str, dict[str, Any]], ...] = (
        ("os.system", {"command": f"touch {mark}"}),
        ("subprocess.Popen", {"args": ["touch", str(mark)]}),
        ("builtins.open", {"file": str(mark), "mode": "w"}),
        ("pathlib.Path.touch", {"self": str(mark)}),
    )
    for place in CLASSES:
        for function, arguments in [calls[0], draw.choice(calls[1:])]:
            call: Any = {"class_path": function, "init_args": arguments}
            if place in ("trainer.callbacks", "trainer.plugins"):
                call = [call]
            yield f"{place}={function}", _dumped(_with(base, place, call))
    nested = {
        "class_path": "ConvGenerator",
        "init_args": {"width": {"class_path": calls[0][0], "init_args": calls[0][1]}},
    }
    yield "nested", _dumped(_with(base, "model.init_args.generator", nested))
    for place in NUMBERS:
        for value in draw.sample(VALUES, 3):
            yield f"{place}={str(value)[:12]}", _dumped(_with(base, place, value))
    text = _dumped(base)
    yield "python-tag", text + f"extra: !!python/object/apply:os.system ['touch {mark}']\n".encode()
    yield "resolver", text.replace(b"segment_seconds: 0.4", b"segment_seconds: ${oc.env:HOME}")
    yield "unknown-resolver", text.replace(b"segment_seconds: 0.4", b"segment_seconds: ${x.y:1}")
    yield "circle", text.replace(b"segment_seconds: 0.4", b"segment_seconds: ${data.segment_seconds}")
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12))
    yield "aliases", text + f"l0: &l0 [x, x]\n{levels}\n".encode()
    yield "deep", text + b"extra: " + b"[" * 20000 + b"]" * 20000
    yield "zeros", bytes(5000)
    yield "binary", draw.randbytes(5000)
    yield "empty", b""
    yield "list", b"- 1\n- 2\n"
    yield "escape", text.replace(b"SpeakerFolders", b'"Speaker\\e[31mFolders"')
    for number in range(8):
        damaged = bytearray(text)
        for _ in range(draw.choice((1, 5, 30))):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        yield f"flips{number}", bytes(damaged)
        yield f"cut{number}", text[: draw.randrange(len(text))]


def _with(base: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(base)
    *above, last = place.split(".")
    inner = changed
    for name in above:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return changed


def _dumped(settings: dict[str, Any]) -> bytes:
    return yaml.safe_dump(settings, sort_keys=False).encode()
