"""A whole test in a real browser of a phone's width, by keyboard alone."""

import time
from collections import Counter

import pytest

from lightning_voiceclone.evaluation.listening.store import Store

ENTER, RIGHT, END = "\ue007", "\ue014", "\ue010"
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
pytest.importorskip("uvicorn", reason="needs uvicorn: pip install 'lightning-voiceclone[listen]'")


def wait(condition, seconds=30):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


class Page:
    """The test's page and its keys."""

    def __init__(self, browser, address):
        self.browser = browser
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
        browser.get(address)

    def press(self, key):
        self.browser.switch_to.active_element.send_keys(key)

    def text(self, name):
        return self.browser.execute_script("return document.getElementById(arguments[0]).textContent", name)

    def shows(self, name):
        return self.browser.find_element("id", name).is_displayed()

    def script(self, text):
        return self.browser.execute_script(text)

    def hear_all(self):
        """Space, as often as there is something left to hear."""
        wait(lambda: "Loading" not in self.text("missing"))
        while "Still to hear" in self.text("missing"):
            before = self.text("missing")
            self.press(" ")
            wait(lambda before=before: self.text("missing") != before)
            wait(lambda: self.script("return trial.playing") < 0)

    def go_on(self):
        count = self.text("count")
        self.press(ENTER)
        wait(lambda: self.text("count") != count or self.shows("thanks"))

    def fits(self):
        return self.script("return document.documentElement.scrollWidth <= innerWidth && innerWidth === 390")


@pytest.fixture
def opened(browser, serve, reports, tmp_path):
    arguments = [*reports, "--database", tmp_path / "listen.sqlite", "--trials", 2]
    with serve(*arguments) as (address, _):
        browser.get(address)
        browser.delete_all_cookies()
        yield Page(browser, address), tmp_path / "listen.sqlite"
        browser.get("about:blank")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.slow
def test_a_whole_test_by_keyboard_on_a_phone(opened, browser):
    page, database = opened
    wait(lambda: page.shows("welcome"))
    assert page.fits()
    page.press(ENTER)  # Begin has the focus
    titles = []
    while True:
        wait(lambda: page.shows("trial") or page.shows("thanks"))
        if page.shows("thanks"):
            break
        titles.append(page.text("title"))
        page.press(ENTER)  # nothing is heard yet: stays
        page.hear_all()
        assert page.browser.find_element("id", "next").get_attribute("disabled")
        if titles[-1] == "Side by side":
            for sample in range(1, 6):
                page.press(str(sample))
                page.press(END)
                page.press("\ue012" * sample)  # left
        else:
            page.press("3" if titles[-1] == "Naturalness" else "2")
        wait(lambda: page.browser.find_element("id", "next").is_enabled())
        assert page.fits()
        if len(titles) == 3:  # what is kept is there after the page is loaded again
            browser.refresh()
            wait(lambda: page.shows("trial"))
            assert page.text("count").startswith("3 of 8")
            page.hear_all()
            page.press("2")
        page.go_on()
    assert Counter(titles) == {"Naturalness": 2, "Same speaker?": 2, "Which is X?": 2, "Side by side": 2}
    store = Store(database, None)
    values = [(answer.trial.test, answer.values) for answer in store.answers()]
    store.close()
    assert (
        values
        == [("mos", (3,))] * 2
        + [("similarity", (2,))] * 2
        + [("abx", (2,))] * 2
        + [("mushra", (99, 98, 97, 96, 95))] * 2
    )
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.slow
def test_without_the_server_the_answer_waits(browser, serve, reports, tmp_path):
    """The page keeps an answer that could not be sent, and sends it when the server is back."""
    database = tmp_path / "listen.sqlite"
    with serve(reports[0], "--database", database, "--tests", "mos", "--trials", 2) as (address, _):
        browser.get(address)
        browser.delete_all_cookies()
        page = Page(browser, address)
        wait(lambda: page.shows("welcome"))
        page.press(ENTER)
        wait(lambda: page.shows("trial"))
        page.hear_all()
        page.script("window.kept = window.fetch; window.fetch = () => Promise.reject(new TypeError('offline'))")
        page.press("4")
        page.press(ENTER)
        wait(lambda: page.shows("failure"))
        assert "Trying again" in page.text("failure")
        page.script("window.fetch = window.kept")
        wait(lambda: page.text("count").startswith("2 of 2"))
        browser.get("about:blank")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    store = Store(database, None)
    assert [answer.values for answer in store.answers()] == [(4,)]
    store.close()
