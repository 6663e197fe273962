"""A plugin package, installed beside the core's wheel in a fresh environment, used by its short name, and removed."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import soundfile
import yaml

from lightning_voiceclone.testing import small_recipe

ROOT = Path(__file__).parents[1]

DESCRIBE_AND_BUILD = """
import json
from lightning_voiceclone.core.part import Dims, build, describe
from lightning_voiceclone.core.registry import find
description = json.dumps(describe(find("generators", "UNetGenerator").load()(Dims(8, noise=2), width=8)))
build(json.loads(description))
print(description)
"""
BUILD = """
import json, sys
from lightning_voiceclone.errors import PluginError
from lightning_voiceclone.core.part import build
try:
    build(json.loads(sys.argv[1]))
except PluginError as error:
    print(error)
"""
# Each line names arguments of python and files for what is printed; a fork runs them, and its status is the answer.
SERVE = """
import importlib, json, os, runpy, sys, traceback
import lightning.pytorch.cli

def run(option, what, *arguments):
    sys.argv[1:] = arguments
    if option == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(what, {"__name__": "__main__"})

for line in sys.stdin:
    arguments, printed = json.loads(line)
    if child := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    status = 1
    for target, path in enumerate([os.devnull, *printed]):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), target)
    importlib.invalidate_caches()  # packages may have come or gone
    try:
        run(*arguments)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
"""
PACKAGES = {
    "lvc-unet": "UNetGenerator", "lvc-hifigan": "HiFiGAN", "lvc-wavenet": "WaveNet", "lvc-world": "World",
    "lvc-supervector": "SupervectorSpeakerEncoder", "lvc-tacotron": "TacotronTextEncoder",
}  # fmt: skip
WHERE = "import lightning_voiceclone; print(lightning_voiceclone.__file__)"
PIP = ("-m", "pip")
OFFLINE = ("-q", "--no-index", "--no-build-isolation", "--no-deps")
pytestmark = pytest.mark.slow


class Environment:
    """A virtual environment with the core's wheel, which sees this one's packages but for ours.

    What the core depends on is not installed again. Commands run in forks of a process that has imported Lightning,
    which takes seconds, but nothing of ours.
    """

    def __init__(self, folder: Path):
        command = [sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")]  # pip is seen, too
        subprocess.run(command, check=True, timeout=120)
        self.folder = folder
        self.installed: set[str] = set()
        python = str(folder / "venv" / "bin" / "python")
        below = folder / "below"
        below.mkdir()
        for packages in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
            for entry in Path(packages).iterdir():
                if not any(name in entry.name for name in ("lvc_", "lightning_voiceclone")):
                    (below / entry.name).symlink_to(entry)
        ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        own = subprocess.run(ask, check=True, timeout=120, capture_output=True, text=True).stdout.strip()
        # addsitedir and not the bare folder: it obeys the .pth files there, by which editable installs work.
        Path(own, "below.pth").write_text(f"import site; site.addsitedir({str(below)!r})\n")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
        environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        self.server = subprocess.Popen(
            [python, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment
        )
        self.core = Path(own) / "lightning_voiceclone"
        self.run(*PIP, "install", *OFFLINE, str(self.wheel(ROOT)))
        assert self.run("-c", WHERE).strip() == str(self.core / "__init__.py")

    def wheel(self, source: Path) -> Path:
        """Build a package's wheel."""
        folder = self.folder / "wheels" / source.name
        self.run(*PIP, "wheel", *OFFLINE, "--wheel-dir", str(folder), str(source))
        (wheel,) = folder.glob("*.whl")
        return wheel

    def core_files(self) -> dict[str, str]:
        """Hashes of the core's installed files."""
        return {str(path.relative_to(self.core)): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted(self.core.rglob("*")) if path.is_file() and path.suffix != ".pyc"}  # fmt: skip

    def run(self, *arguments: str, fails: bool = False) -> str:
        """What python prints for these arguments."""
        printed = [self.folder / "out.txt", self.folder / "err.txt"]
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps([arguments, list(map(str, printed))]) + "\n")
        self.server.stdin.flush()
        status = int(self.server.stdout.readline())
        out, err = (path.read_text() for path in printed)
        assert (status != 0) == fails, out + err
        return out + (err if fails else "")

    def install(self, sources: dict[str, Path]) -> None:
        """Build packages, those not there yet, and install them."""
        missing = {name: folder for name, folder in sources.items() if name not in self.installed}
        if missing:
            folders = map(str, missing.values())
            self.run(*PIP, "install", *OFFLINE, *folders)
            self.installed |= set(missing)

    def uninstall(self) -> None:
        """Remove all packages that were installed."""
        if self.installed:
            self.run(*PIP, "uninstall", "--yes", *sorted(self.installed))
            self.installed.clear()

    def packages_of(self, name: str) -> list[str]:
        """The packages that supply a part of that name, by ``lvc plugins --json``."""
        listed = json.loads(self.run("-m", "lightning_voiceclone", "plugins", "--json"))
        return [plugin["package"] for plugin in listed if plugin["name"] == name]


def copied_package(name, folder):
    """A copy of a package's tree, so that building leaves nothing in the repository."""
    ignored = shutil.ignore_patterns("__pycache__", "dist", "build")
    return shutil.copytree(ROOT / "plugins" / name, folder / name, ignore=ignored)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    pytest.importorskip("hatchling", reason="hatchling, which builds the plugin packages, is not installed")
    environment = Environment(tmp_path_factory.mktemp("environment"))
    with environment.server:  # which ends when its input does
        yield environment


@pytest.fixture
def bare(environment):
    """The environment with none of the packages installed."""
    environment.uninstall()
    return environment


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Copies of all packages that can be used here."""
    names = set(PACKAGES) - ({"lvc-world"} if importlib.util.find_spec("pyworld") is None else set())
    return {name: copied_package(name, tmp_path_factory.mktemp("sources")) for name in names}


@pytest.fixture
def installed(environment, sources):
    """The environment with all packages installed."""
    environment.install(sources)
    return environment


FIT = ("-m", "lightning_voiceclone", "fit", "--config", str(ROOT / "recipes" / "librispeech.yaml"), "--print_config")


def test_short_name_is_unknown_when_not_installed(bare):
    refused = bare.run(*FIT, "--model.generator", "UNetGenerator", fails=True)
    assert "UNetGenerator" in refused
    assert "Traceback" not in refused


def test_listed_while_installed_and_its_voice_names_it_when_gone(bare, sources):
    assert bare.packages_of("UNetGenerator") == []
    assert bare.packages_of("ConvGenerator") == ["lightning-voiceclone"]
    bare.install({"lvc-unet": sources["lvc-unet"]})
    assert bare.packages_of("UNetGenerator") == ["lvc-unet"]
    description = bare.run("-c", DESCRIBE_AND_BUILD).strip()
    assert json.loads(description)["package"] == "lvc-unet"
    bare.uninstall()
    assert bare.packages_of("UNetGenerator") == []
    assert "pip install lvc-unet" in bare.run("-c", BUILD, description)


def test_resolves_by_its_short_name(installed):
    shown = installed.run(*FIT, "--model.generator", "UNetGenerator", "--model.generator.levels", "2")
    generator = yaml.safe_load(shown)["model"]["init_args"]["generator"]
    assert generator["class_path"].rpartition(".")[2] == "UNetGenerator"
    assert generator["init_args"]["levels"] == 2


def test_resolves_in_its_overlay(installed, sources):
    shown = installed.run(*FIT, "--config", str(sources["lvc-unet"] / "recipe.yaml"))
    generator = yaml.safe_load(shown)["model"]["init_args"]["generator"]
    assert generator["class_path"].rpartition(".")[2] == "UNetGenerator"
    assert generator["init_args"]["width"] == 128


def test_packages_install_together_and_pass_a_part_of_their_own_tests(installed, sources):  # all: in this suite
    listed = json.loads(installed.run("-m", "lightning_voiceclone", "plugins", "--json"))
    packages = {plugin["name"]: plugin["package"] for plugin in listed}
    assert {name: packages[PACKAGES[name]] for name in sources} == {name: name for name in sources}
    for name, source in sources.items():
        assert list((source / "tests").glob("test_*.py")), name
    told = installed.run("-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-m", "not slow",
                         "-k", "shape or deterministic",
                         *(str(source / "tests") for source in sources.values()))  # fmt: skip
    assert " passed" in told
    assert "failed" not in told


def test_a_package_of_the_scaffold_is_built_trained_cloned_with_and_removed(bare, corpus_folder, tmp_path):
    lvc = ("-m", "lightning_voiceclone")
    listed, files = bare.run(*lvc, "plugins", "--json"), bare.core_files()
    made = tmp_path / "lvc-scaffolded"
    recipe = small_recipe(trainer={"max_steps": 2, "limit_val_batches": 1})
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(recipe))
    bare.run(*lvc, "plugins", "new", "lvc-scaffolded", "--part", "generator:Scaffolded", "--output", str(made))
    bare.install({"lvc-scaffolded": bare.wheel(made)})
    assert bare.packages_of("Scaffolded") == ["lvc-scaffolded"]

    fit = ("fit", "--config", str(tmp_path / "small.yaml"), "--config", str(made / "recipe.yaml"))
    bare.run(*lvc, *fit, f"--data.root={corpus_folder}", f"--trainer.default_root_dir={tmp_path}")
    checkpoint = str(tmp_path / "runs/recipe/version_0/checkpoints/last.ckpt")
    source, reference = (str(corpus_folder / f"speaker{number}/take0.wav") for number in (0, 1))
    clone = ("clone", "--source", source, "--reference", reference, "--output", str(tmp_path / "clone.wav"))
    bare.run(*lvc, *clone, "--checkpoint", checkpoint)
    audio, rate = soundfile.read(tmp_path / "clone.wav")
    assert len(audio) == 3 * rate
    assert 0 < abs(audio).max() <= 1

    bare.uninstall()
    assert bare.run(*lvc, "plugins", "--json") == listed
    assert bare.core_files() == files
    refused = bare.run(*lvc, *clone, "--checkpoint", checkpoint, fails=True)
    assert "the class Scaffolded is said to come from the package lvc-scaffolded: pip install" in refused
    (tmp_path / "clone.wav").unlink()
    bare.run(*lvc, *clone)  # with the model that ships, in the wheel
    assert 0 < abs(soundfile.read(tmp_path / "clone.wav")[0]).max() <= 1
