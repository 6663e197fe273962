"""The report's page: complete, escaped, relative, and sortable in a real browser."""

import json
import re
import tracemalloc
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile
from PIL import Image

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.evaluation.page import write_page
from lightning_voiceclone.testing.reports import write_report
from lightning_voiceclone.utils.html.spectrogram import bare_decibels, save_bare

RATE = 16000


def change(folder, edit):
    path = folder / "metrics.json"
    report = json.loads(path.read_text())
    edit(report)
    path.write_text(json.dumps(report))


def page_of(folder):
    write_page(folder)
    return (folder / "index.html").read_text("utf-8")


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def values(self, *names):
        return [found[name] for _, found in self.tags for name in names if name in found]


@pytest.mark.slow
def test_links_are_relative_and_lead_to_files(tmp_path):
    write_report(tmp_path, ["a #1?-to-b", "c&d-to-e"])
    text = page_of(tmp_path)
    links = [link for link in Tags(text).values("src", "href", "data-audio") if not link.startswith("#")]
    assert len(links) == 2 * (3 + 3 + 1)  # players, pictures, and the clone in the table
    for link in links:
        assert not re.match(r"/|[a-z]+:", link)
        assert (tmp_path / unquote(link)).stat().st_size > 100
    assert not re.search(r"https?:|@import|url\(", text)


@pytest.mark.slow
def test_whatever_the_report_holds_is_escaped(tmp_path):
    attack = "<script>alert('x')</script>\"'&"
    write_report(tmp_path, ["a-to-b"], system={"name": attack, "warnings": [attack], "deep": {attack: attack}})

    def edit(report):
        metric = dict(report["metrics"]["wer"], unit=attack, better=attack, judge={"name": attack, "sha256": attack})
        report["metrics"][attack] = metric
        report["cases"][0].update({"transcript": attack, "error": attack, "target_speaker": attack, attack: 1.0})
        report["cases"][0]["why"] = {attack: attack}

    change(tmp_path, edit)
    text = page_of(tmp_path)
    assert text.count("<script") == 1
    assert "alert('x')" not in text
    assert not [name for _, found in Tags(text).tags for name in found if name.startswith("on") or "'" in name]


@pytest.mark.slow
def test_figures_sources_errors_and_warnings(tmp_path):
    write_report(tmp_path, system={"name": "mine", "checkpoint": {"sha256": "cafe"}, "warnings": ["same encoder"]})

    def edit(report):
        report["metrics"]["wer"].update(mean=0.25, ci95=[0.2, 0.3125], n=2, normalizer="english-1")
        report["metrics"]["eer"] = {"mean": None, "ci95": None, "n": 0, "reason": "Resemblyzer is not installed"}
        report["cases"][0].update(
            notes=["at 8000 Hz"], reasons={"wer": "not asked", "cer": "not asked"}, scores={"wer": [1.0, 2.0]}
        )
        report["bootstrap"] = {"draws": 2000, "source_speakers": 3, "target_speakers": 2}
        report["cases"][1].update(wer=None, error="the transcript is empty")
        report["cases"][2]["mcd_db"] = "none"

    change(tmp_path, edit)
    text = page_of(tmp_path)
    assert '<th scope="row">wer</th><td class="number">0.250</td><td>0.200 to 0.312</td>' in text
    assert f'Judge 1.2 <code title="{"ab" * 32}">abababababab</code>' in text
    assert "a formula" in text
    assert "<li>b-to-c: the transcript is empty</li>" in text
    assert '<td class="reason">the transcript is empty</td>' in text
    assert "<li>same encoder</li>" in text
    assert "texts normalised by english-1" in text
    assert "none: Resemblyzer is not installed" in text
    assert "2000 draws, clustered over 3 source and 2 target speakers" in text
    assert "<dt>notes</dt><dd>at 8000 Hz</dd>" in text
    assert "<dt>reasons</dt><dd>wer, cer: not asked</dd>" in text
    assert "scores" not in text
    assert "checkpoint sha256</dt><dd>cafe" in text
    assert "12" * 32 in text
    cells = Tags(text).tags
    numbers = [
        found for tag, found in cells if tag == "td" and found.get("class") == "number" and "data-value" in found
    ]
    assert len(numbers) == 3 * 3 - 2  # the null and the NaN have none


@pytest.mark.slow
def test_without_warnings_errors_or_speakers_there_are_no_boxes(tmp_path):
    write_report(tmp_path)
    change(tmp_path, lambda report: [case.pop(name) for case in report["cases"] for name in
                                     ("source_speaker", "target_speaker", "transcript")])  # fmt: skip
    text = page_of(tmp_path)
    assert 'class="warning"' not in text
    assert 'class="error"' not in text
    assert "Source speaker" not in text


@pytest.mark.slow
def test_recordings_that_cannot_be_shown_are_named(tmp_path):
    write_report(tmp_path, ["a-to-b", "b-to-a"])
    (tmp_path / "audio" / "a-to-b.clone.wav").unlink()
    (tmp_path / "audio" / "b-to-a.source.wav").write_text("no sound")
    soundfile.write(tmp_path / "audio" / "b-to-a.reference.wav", np.zeros(8000), 8000)
    soundfile.write(tmp_path / "audio" / "b-to-a.clone.wav", np.zeros(20), RATE)
    text = page_of(tmp_path)
    reasons = re.findall(r'<p class="error">(.*?)</p>', text)
    assert len(reasons) == 3
    assert "a-to-b.clone.wav" in reasons[0]
    assert "b-to-a.source.wav" in reasons[1]
    assert "0.001 s" in reasons[2]
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == [
        "a-to-b.reference.png",
        "a-to-b.source.png",
        "b-to-a.reference.png",
    ]
    assert text.count('class="play"') == 1


@pytest.mark.slow
def test_spectrogram_and_pitch_are_those_of_the_recording(tmp_path):
    write_report(tmp_path, ["a-to-b"])
    time = np.arange(RATE) / RATE
    for role, hertz in (("source", 220), ("reference", 110), ("clone", 125)):
        harmonics = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 6))
        soundfile.write(tmp_path / "audio" / f"a-to-b.{role}.wav", 0.1 * harmonics, RATE)
    text = page_of(tmp_path)
    medians = [int(value) for value in re.findall(r"(?:source|reference|clone) (\d+) Hz", text)][:3]
    np.testing.assert_allclose(medians, [220, 110, 125], atol=1)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_tone_stands_at_its_frequency_at_every_rate(tmp_path, rate):
    levels = bare_decibels(0.5 * np.sin(2 * np.pi * 2000 * np.arange(rate) / rate), rate)
    assert levels.shape[0] == 512
    assert levels.shape[1] == pytest.approx(101, abs=1)
    assert abs(int(levels.mean(1).argmax()) - 128) <= 1  # 2000 Hz of 8000 Hz in 512 bins
    save_bare(levels, float(levels.max()), tmp_path / "tone.png")
    picture = np.asarray(Image.open(tmp_path / "tone.png").convert("L"), dtype=float)
    assert picture.shape[0] == 160
    assert abs(int(picture.mean(1).argmax()) - 120) <= 1  # a quarter of the height, from below


@pytest.mark.slow
def test_memory_does_not_grow_with_the_cases(tmp_path):
    peaks = []
    for count in (2, 2, 10):  # the first run fills caches
        write_report(tmp_path, [f"{index}-to-x" for index in range(count)], seconds=2.0)
        tracemalloc.start()
        write_page(tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.3 * peaks[1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "lvc evaluate"),
        ("{", "cannot be read"),
        ("[]", "holds a list"),
        ('{"pairs_sha256": 3, "system": {}, "metrics": {}, "cases": []}', "pairs_sha256 is 3"),
        ('{"pairs_sha256": "a", "system": {}, "metrics": {"wer": 1}, "cases": []}', "metric wer"),
        ('{"pairs_sha256": "a", "system": {}, "metrics": {}, "cases": [{"case": "../x"}]}', r"\.\./x"),
        ('{"pairs_sha256": "a", "system": {}, "metrics": {}, "cases": [{"case": "x"}, {"case": "x"}]}', "two cases"),
    ],
)
def test_what_is_no_report_is_reported_in_one_line_and_the_old_page_stays(tmp_path, content, words):
    (tmp_path / "index.html").write_text("old")
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(ConfigurationError, match=words) as caught:
        write_page(tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "index.html").read_text() == "old"


def test_an_empty_report_has_a_page(tmp_path):
    write_report(tmp_path, [])
    change(tmp_path, lambda report: report.update(metrics={"wer": {"mean": None, "ci95": None, "n": 0}}))
    assert "0 pairs" in page_of(tmp_path)


@pytest.mark.slow
def test_sorting_in_a_browser_by_mouse_and_by_keyboard(browser, tmp_path):
    write_report(tmp_path, ["case-10", "case-9", "case-2"])

    def edit(report):
        for case, wer in zip(report["cases"], (0.5, None, -1.5), strict=True):
            case["wer"] = wer

    change(tmp_path, edit)
    write_page(tmp_path)
    browser.get((tmp_path / "index.html").as_uri())

    def column(index):
        return browser.execute_script(
            "const rows = document.querySelectorAll('.sortable tbody tr');"
            "return Array.from(rows, row => row.cells[arguments[0]].innerText)",
            index,
        )

    headings = browser.find_elements("css selector", ".sortable thead th")
    index = next(index for index, heading in enumerate(headings) if heading.text.startswith("wer"))
    name = [case.split()[-1] for case in column(0)]
    assert name == ["case-10", "case-9", "case-2"]
    browser.execute_script("arguments[0].scrollIntoView()", headings[index])
    headings[index].find_element("tag name", "button").click()
    assert headings[index].get_attribute("aria-sort") == "ascending"
    ascending = column(index)
    assert (ascending[0], ascending[1]) == ("\N{MINUS SIGN}1.50", "0.500")
    headings[index].find_element("tag name", "button").send_keys("\ue007")  # Enter
    assert headings[index].get_attribute("aria-sort") == "descending"
    assert column(index) == [ascending[1], ascending[0], ascending[2]]  # the missing one stays last
    headings[0].find_element("tag name", "button").send_keys(" ")
    assert [case.split()[-1] for case in column(0)] == ["case-2", "case-9", "case-10"]
    assert headings[index].get_attribute("aria-sort") is None
    browser.find_element("link text", "case-2").click()
    assert browser.find_element("id", "case-2").get_attribute("open") == "true"
    assert not browser.get_log("browser")


@pytest.mark.slow
def test_a_phone_needs_no_scrolling_to_the_side(browser, tmp_path):
    write_report(tmp_path, ["a-case-with-a-very-long-name-indeed-without-any-place-to-break-" + "x" * 80])
    write_page(tmp_path)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    )
    browser.get((tmp_path / "index.html").as_uri() + "#case-0")
    assert browser.execute_script("return document.documentElement.scrollWidth") == 390
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
