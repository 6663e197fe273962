import logging
import os
import shutil

import pytest
import soundfile

from lightning_voiceclone.testing.signals import speech_like

# As the command itself: threads that wait do not keep other processes from their cores. Torch is not imported yet.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    """Keep prepared manifests and runs of a test in the test's own folder."""
    monkeypatch.setenv("LVC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LVC_CORPORA", str(tmp_path / "corpora"))
    monkeypatch.setenv("LVC_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)


# Lightning's log handler keeps the error output of the first test that it was imported in.
logging.raiseExceptions = False


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory):
    """Six speakers, two recordings of 3 s each, as a folder of speaker folders."""
    root = tmp_path_factory.mktemp("speakers")
    for speaker in range(6):
        for take in range(2):
            audio = speech_like(3.0, speaker=speaker, seed=10 * speaker + take).audio
            path = root / f"speaker{speaker}" / f"take{take}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, audio, 16000)
    return root


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A real Chromium without a window, which selenium drives; the test is skipped where one of them is missing."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install selenium")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
        "disable-component-update", "disable-sync", f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):  # fmt: skip
        options.add_argument(f"--{flag}")
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()
