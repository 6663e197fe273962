"""How fast commands answer with 20 plugin packages installed: CPU seconds, which count on a busy machine too.

    python benchmarks/startup.py [--packages 20] [--rounds 5]

The packages are written by ``lvc plugins new``, three parts each, and put on the path with the metadata of a wheel, as
pip would. Each command runs in a new process, in turns; figures are the least of the rounds, and the ratio to
``python -c "import lightning_voiceclone"``. The last rows are mistakes in arguments, with what they take beyond their
imports: the modules of the command and, for ``lvc fit``, the plugins, which it loads.
The exit status is 1 if a target is missed.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lightning_voiceclone.core.kinds import KINDS
from lightning_voiceclone.scaffold.package import NewPart, write_package

QUICK, BEYOND = 0.3, 1.0  # seconds: of what needs only metadata, and of a mistake beyond its imports
LVC = ["-m", "lightning_voiceclone"]
FIT = [*LVC, "fit", "--config", "librispeech.yaml"]
TRAINING = ["-c", "import lightning_voiceclone.cli.training as t; t.registry.load_all()"]
CLONING = ["-c", "import lightning_voiceclone.cli.main, lightning_voiceclone.cli.clone"]
EMPTY = ["-c", "import lightning_voiceclone"]
MEASURED: dict[str, tuple[list[str], list[str] | None]] = {  # a command, and what its imports are
    "import lightning_voiceclone": (EMPTY, None),
    "lvc --help": ([*LVC, "--help"], None),
    "lvc plugins": ([*LVC, "plugins"], None),
    "lvc clone --sorce a.wav": ([*LVC, "clone", "--sorce", "a.wav"], CLONING),
    "lvc fit … --model.generator NoSuchPart": ([*FIT, "--model.generator", "NoSuchPart"], TRAINING),
    "lvc fit … --model.nois 2": ([*FIT, "--model.nois", "2"], TRAINING),
    "lvc fit … --data.batch_size many": ([*FIT, "--data.batch_size", "many"], TRAINING),
}


def install(number: int, folder: Path) -> None:
    """Write a package and its metadata into a folder of modules."""
    kinds = [kind for kind in KINDS.values() if kind.stored]
    parts = [NewPart(kinds[(number + step) % len(kinds)], f"Made{number}Part{step}") for step in range(3)]
    name, tree = f"lvc-made-{number}", folder / f"tree{number}"
    write_package(name, parts, tree)
    module = name.replace("-", "_")
    (tree / module).rename(folder / module)
    info = folder / f"{module}-0.1.0.dist-info"
    info.mkdir()
    readme = (tree / "README.md").read_text(encoding="utf-8")
    head = f"Metadata-Version: 2.4\nName: {name}\nVersion: 0.1.0\nRequires-Dist: lightning-voiceclone<0.2,>=0.1\n\n"
    (info / "METADATA").write_text(head + readme, encoding="utf-8")
    groups = [f"[{part.kind.group}]\n{part.name} = {module}.{part.module}:{part.name}\n" for part in parts]
    (info / "entry_points.txt").write_text("\n".join(groups), encoding="utf-8")


def cpu_seconds(words: Sequence[str], folder: Path) -> float:
    """What a new process with these arguments takes."""
    path = os.pathsep.join([str(folder), *(path for path in sys.path if path)])
    environment = os.environ | {"PYTHONPATH": path, "LVC_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--packages", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    commands = {tuple(words) for pair in MEASURED.values() for words in pair if words}
    least = dict.fromkeys(commands, float("inf"))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.packages):
            install(number, Path(folder))
        for _ in range(options.rounds + 1):  # the first round compiles modules
            for words in commands:
                least[words] = min(least[words], cpu_seconds(words, Path(folder)))
    print("| command | CPU seconds | times the import | beyond its imports | target |\n|---|---|---|---|---|")
    missed = False
    for name, (words, imports) in MEASURED.items():
        seconds = least[tuple(words)]
        beyond = None if imports is None else seconds - least[tuple(imports)]
        target = "" if words is EMPTY else f"{QUICK} s" if beyond is None else f"{BEYOND} s beyond"
        missed = missed or (seconds > QUICK if beyond is None else beyond > BEYOND)
        shown = "" if beyond is None else f"{beyond:.2f}"
        print(f"| `{name}` | {seconds:.2f} | {seconds / least[tuple(EMPTY)]:.1f} | {shown} | {target} |")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
