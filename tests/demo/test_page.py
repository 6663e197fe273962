import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from lightning_voiceclone import __version__
from lightning_voiceclone.demo import page, pictures
from lightning_voiceclone.errors import RecordingError

pytestmark = pytest.mark.slow  # drawing a page needs pitch, and that takes seconds to compile

RATE = 16000
METRICS = """epoch,step,train/reconstruction,train/discriminator,validation/mel_l1,learning-rate
0,0,1.0,0.5,,
0,9,,,0.8,
,,0.7,nan,,
1,19,0.5,inf,,
1,29,,,0.4,
"""


def tone(hertz, seconds=0.8):
    time = np.arange(int(RATE * seconds)) / RATE
    return 0.1 * sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 6))


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.alts, self.ids = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.links += [found[key] for key in ("src", "srcset", "href") if key in found]
        if tag == "img":
            self.alts.append(found.get("alt", ""))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    for name, hertz in (("source", 220), ("reference", 110), ("cloned_default", 113), ("cloned", 160)):
        soundfile.write(folder / f"{name}.wav", tone(hertz), RATE)
    (folder / "metrics.csv").write_text(METRICS)
    story = page.Story(
        commands=["lvc demo --minutes 4", "lvc clone --source 'a & b.wav'"],
        texts={"source": 'She said <b>"no"</b>.'},
        seconds=61.0,
        metrics=folder / "metrics.csv",
        speakers=12,
        minutes=25.7,
    )
    page.write_page(folder, story)
    return folder


def test_every_link_is_relative_and_leads_to_a_file(written):
    text = (written / "index.html").read_text("utf-8")
    links = Links(text).links
    assert {f"{name}.wav" for name in page.RECORDINGS} <= set(links)
    assert {f"pictures/{name}-light.png" for name in (*page.RECORDINGS, "pitch-default", "pitch-gan")} <= set(links)
    for link in links:
        assert not link.startswith("/")
        assert (written / link).stat().st_size > 500
    assert not re.search(r"https?:|<script|@import|url\(|//", text)
    assert {f"pictures/{path.name}" for path in (written / "pictures").iterdir()} == {
        link for link in links if link.startswith("pictures/")
    }


def test_every_picture_is_described_and_words_are_escaped(written):
    text = (written / "index.html").read_text("utf-8")
    alts = Links(text).alts
    assert len(alts) == len(set(alts)) == 4 + 2 + 3
    assert all(len(alt) > 20 for alt in alts)
    assert "&lt;b&gt;&quot;no&quot;&lt;/b&gt;" in text
    assert "a &amp; b.wav" in text
    assert text.count("<audio controls") == 4
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text


def test_figures_are_those_of_the_training(written):
    text = (written / "index.html").read_text("utf-8")
    figures = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    assert figures == {
        "Training took": "61 seconds",
        "Steps": "30",
        "Validation mel L1, first": "0.800",
        "Validation mel L1, last": "0.400",
        "Training speech": "26 minutes",
        "Speakers": "12",
    }
    medians = [int(hertz) for hertz in re.findall(r"Median pitch (\d+) Hz", text)]
    np.testing.assert_allclose(medians, [220, 110, 113, 160], atol=2)
    assert f"lightning-voiceclone {__version__}" in text


def test_the_two_models_are_kept_apart(written):
    text = (written / "index.html").read_text("utf-8")
    assert re.findall("<h2>(.*?)</h2>", text) == [
        "The model that ships",
        "The GAN trained here in 61 seconds",
        "The commands that made this",
    ]
    before, shipped, gan = re.split('<section class="(?:shipped|gan)">', text)
    assert "two synthetic speakers of espeak-ng" in before
    gan = gan.split("<h2>The commands")[0]
    assert re.findall(r'src="(\w+)\.wav" aria-label="(.*?)"', shipped) == [
        ("source", "Source"),
        ("reference", "Reference"),
        ("cloned_default", "Clone by the model that ships"),
    ]
    assert re.findall(r'src="(\w+)\.wav" aria-label="(.*?)"', gan) == [("cloned", "Clone by the GAN trained here")]
    assert "pictures/pitch-default-light.png" in shipped
    assert "pictures/curve-" not in shipped
    assert "<dt>" not in shipped
    assert "pictures/pitch-gan-light.png" in gan
    assert gan.count('src="pictures/curve-') == 3
    alts = Links(shipped).alts + Links(gan).alts
    assert sum("Clone by the model that ships" in alt for alt in alts) == 2
    assert sum("Clone by the GAN trained here" in alt for alt in alts) == 2


def test_metrics_with_gaps(written):
    curves = pictures.read_curves(written / "metrics.csv")
    assert set(curves) == {"train/reconstruction", "train/discriminator", "validation/mel_l1"}
    assert curves["train/reconstruction"].steps == (0, 9, 19)
    assert curves["train/reconstruction"].values == (1.0, 0.7, 0.5)
    assert curves["train/discriminator"].values == (0.5,)
    assert curves["validation/mel_l1"].group == "validation"
    assert curves["validation/mel_l1"].label == "Mel L1"


def test_unknown_columns_get_readable_labels_and_share_a_picture(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,train/my_loss_step,train/my_loss_epoch,test/my_loss\n0,1,2,3\n")
    curves = pictures.read_curves(tmp_path / "metrics.csv")
    assert {curve.label for curve in curves.values()} == {"My loss"}
    assert pictures.draw_curves(curves, tmp_path) == [("curve-my-loss", "My loss")]
    assert (tmp_path / "curve-my-loss-dark.png").stat().st_size > 500


def test_without_metrics_and_with_a_silent_clone(tmp_path):
    for name, audio in (
        ("source", tone(200)),
        ("reference", tone(120)),
        ("cloned_default", tone(121)),
        ("cloned", np.zeros(RATE)),
    ):
        soundfile.write(tmp_path / f"{name}.wav", audio, RATE)
    story = page.Story(commands=["lvc demo"], files={"source": "<a>.wav", "reference": "b.wav"})
    text = page.write_page(tmp_path, story).read_text("utf-8")
    assert "Training curves" not in text
    assert len(re.findall("Median pitch", text)) == 3
    assert text.count("No pitch was found in it.") == 1
    assert "<h2>The GAN trained here</h2>" in text
    assert "source <code>&lt;a&gt;.wav</code>, reference <code>b.wav</code>" in text
    assert "synthetic speakers" not in text


def test_a_missing_recording_or_another_rate_is_reported_and_the_old_page_stays(tmp_path):
    (tmp_path / "index.html").write_text("old")
    for name, rate in (("source", 16000), ("reference", 16000), ("cloned_default", 16000)):
        soundfile.write(tmp_path / f"{name}.wav", tone(200), rate)
    with pytest.raises(RecordingError, match=r"cloned\.wav"):
        page.write_page(tmp_path, page.Story(commands=[]))
    soundfile.write(tmp_path / "cloned.wav", tone(200), 8000)
    with pytest.raises(RecordingError, match="8000"):
        page.write_page(tmp_path, page.Story(commands=[]))
    assert (tmp_path / "index.html").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cloned.wav",
        "cloned_default.wav",
        "index.html",
        "reference.wav",
        "source.wav",
    ]
