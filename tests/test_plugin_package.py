"""A plugin package, installed into a fresh environment by pip, used by its short name, and removed again."""

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

DESCRIBE = """
import json
from lightning_voiceclone.core.part import Dims, describe
from lightning_voiceclone.core.registry import find
print(json.dumps(describe(find("generators", "UNetGenerator").load()(Dims(8, noise=2), width=8))))
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


class Environment:
    """A virtual environment that sees this one's packages but for ours under plugins, without installing them again."""

    def __init__(self, folder: Path):
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True, timeout=120)
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
    pytest.importorskip("hatchling", reason="hatchling, which builds the plugin package, is not installed")
    return Environment(tmp_path_factory.mktemp("environment"))


@pytest.fixture
def source(tmp_path):
    """A copy of the U-Net's package."""
    return copied_package("lvc-unet", tmp_path)


@pytest.fixture
def installed(environment, source):
    """The environment while lvc-unet is installed in it."""
    environment.run("-m", "pip", "install", "--no-index", "--no-build-isolation", "--no-deps", str(source))
    yield environment
    environment.run("-m", "pip", "uninstall", "--yes", "lvc-unet")


FIT = ("-m", "lightning_voiceclone", "fit", "--config", str(ROOT / "recipes" / "librispeech.yaml"), "--print_config")


def test_listed_while_installed_and_its_voice_names_it_when_gone(environment, source):
    assert environment.packages_of("UNetGenerator") == []
    assert environment.packages_of("ConvGenerator") == ["lightning-voiceclone"]
    environment.run("-m", "pip", "install", "--no-index", "--no-build-isolation", "--no-deps", str(source))
    assert environment.packages_of("UNetGenerator") == ["lvc-unet"]
    description = environment.run("-c", DESCRIBE).strip()
    assert json.loads(description)["package"] == "lvc-unet"
    assert environment.run("-c", BUILD, description) == ""
    environment.run("-m", "pip", "uninstall", "--yes", "lvc-unet")
    assert environment.packages_of("UNetGenerator") == []
    assert "pip install lvc-unet" in environment.run("-c", BUILD, description)


def test_resolves_by_its_short_name(installed):
    shown = installed.run(*FIT, "--model.generator", "UNetGenerator", "--model.generator.levels", "2")
    generator = yaml.safe_load(shown)["model"]["init_args"]["generator"]
    assert generator["class_path"].rpartition(".")[2] == "UNetGenerator"
    assert generator["init_args"]["levels"] == 2


def test_resolves_in_its_overlay(installed, source):
    shown = installed.run(*FIT, "--config", str(source / "recipe.yaml"))
    generator = yaml.safe_load(shown)["model"]["init_args"]["generator"]
    assert generator["class_path"].rpartition(".")[2] == "UNetGenerator"
    assert generator["init_args"]["width"] == 128


def test_its_own_tests_pass(installed, source):
    told = installed.run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(source / "tests"))
    assert " passed" in told
    assert "failed" not in told


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("lvc-hifigan", "HiFiGAN"), ("lvc-wavenet", "WaveNet"), ("lvc-world", "World"),
        ("lvc-supervector", "SupervectorSpeakerEncoder"),
    ],
)  # fmt: skip
def test_other_packages_install_and_pass_their_own_tests(environment, tmp_path, package, name):
    if package == "lvc-world":
        pytest.importorskip("pyworld", reason="pyworld is not installed", exc_type=ImportError)
    copied = copied_package(package, tmp_path)
    environment.run("-m", "pip", "install", "--no-index", "--no-build-isolation", "--no-deps", str(copied))
    try:
        assert environment.packages_of(name) == [package]
        told = environment.run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(copied / "tests"))
        assert " passed" in told
        assert "failed" not in told
    finally:
        environment.run("-m", "pip", "uninstall", "--yes", package)
    assert environment.packages_of(name) == []


def test_short_name_is_unknown_when_not_installed(environment):
    refused = environment.run(*FIT, "--model.generator", "UNetGenerator", fails=True)
    assert "UNetGenerator" in refused
    assert "Traceback" not in refused
