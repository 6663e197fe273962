"""A plugin package, installed into a fresh environment by pip, used by its short name, and removed again."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

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
PACKAGES = {
    "lvc-unet": "UNetGenerator", "lvc-hifigan": "HiFiGAN", "lvc-wavenet": "WaveNet", "lvc-world": "World",
    "lvc-supervector": "SupervectorSpeakerEncoder",
}  # fmt: skip
pytestmark = pytest.mark.slow


class Environment:
    """A virtual environment that sees this one's packages but for ours under plugins, without installing them again."""

    def __init__(self, folder: Path):
        command = [sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")]  # pip is seen, too
        subprocess.run(command, check=True, timeout=120)
        self.folder = folder
        self.python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        below = folder / "below"
        below.mkdir()
        for packages in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
            for entry in Path(packages).iterdir():
                if "lvc_" not in entry.name:
                    (below / entry.name).symlink_to(entry)
        own = self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        # addsitedir and not the bare folder: it obeys the .pth files there, by which editable installs work.
        Path(own, "below.pth").write_text(f"import site; site.addsitedir({str(below)!r})\n")

    def run(self, *arguments: str, fails: bool = False) -> str:
        """What python prints for these arguments."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
        environment |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        done = subprocess.run(
            [str(self.python), *arguments],
            capture_output=True, text=True, timeout=400, cwd=self.folder, env=environment, check=False,
        )  # fmt: skip
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + (done.stderr if fails else "")

    def install(self, *folders: Path) -> None:
        """Build packages and install them."""
        self.run("-m", "pip", "install", "--no-index", "--no-build-isolation", "--no-deps", *map(str, folders))

    def packages_of(self, name: str) -> list[str]:
        """The packages that supply a part of that name, by ``lvc plugins --json``."""
        listed = json.loads(self.run("-m", "lightning_voiceclone", "plugins", "--json"))
        return [plugin["package"] for plugin in listed if plugin["name"] == name]


def copied_package(name, folder):
    """A copy of a package's tree, so that building leaves nothing in the repository."""
    ignored = shutil.ignore_patterns("__pycache__", "dist", "build")
    return shutil.copytree(ROOT / "plugins" / name, folder / name, ignore=ignored)


@pytest.fixture
def environment(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling, which builds the plugin package, is not installed")
    (tmp_path / "environment").mkdir()
    return Environment(tmp_path / "environment")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Copies of all packages that can be used here."""
    names = set(PACKAGES) - ({"lvc-world"} if importlib.util.find_spec("pyworld") is None else set())
    return {name: copied_package(name, tmp_path_factory.mktemp("sources")) for name in names}


@pytest.fixture(scope="module")
def installed(tmp_path_factory, sources):
    """An environment with all packages installed."""
    pytest.importorskip("hatchling", reason="hatchling, which builds the plugin packages, is not installed")
    environment = Environment(tmp_path_factory.mktemp("environment"))
    environment.install(*sources.values())
    return environment


FIT = ("-m", "lightning_voiceclone", "fit", "--config", str(ROOT / "recipes" / "librispeech.yaml"), "--print_config")


def test_listed_while_installed_and_its_voice_names_it_when_gone(environment, sources):
    assert environment.packages_of("UNetGenerator") == []
    assert environment.packages_of("ConvGenerator") == ["lightning-voiceclone"]
    environment.install(sources["lvc-unet"])
    assert environment.packages_of("UNetGenerator") == ["lvc-unet"]
    description = environment.run("-c", DESCRIBE_AND_BUILD).strip()
    assert json.loads(description)["package"] == "lvc-unet"
    environment.run("-m", "pip", "uninstall", "--yes", "lvc-unet")
    assert environment.packages_of("UNetGenerator") == []
    assert "pip install lvc-unet" in environment.run("-c", BUILD, description)


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


def test_packages_install_together_and_pass_their_own_tests(installed, sources):
    listed = json.loads(installed.run("-m", "lightning_voiceclone", "plugins", "--json"))
    packages = {plugin["name"]: plugin["package"] for plugin in listed}
    assert {name: packages[PACKAGES[name]] for name in sources} == {name: name for name in sources}
    for name, source in sources.items():
        assert list((source / "tests").glob("test_*.py")), name
    told = installed.run("-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-m", "not slow",
                         *(str(source / "tests") for source in sources.values()))  # fmt: skip
    assert " passed" in told
    assert "failed" not in told


def test_short_name_is_unknown_when_not_installed(environment):
    refused = environment.run(*FIT, "--model.generator", "UNetGenerator", fails=True)
    assert "UNetGenerator" in refused
    assert "Traceback" not in refused
