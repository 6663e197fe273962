"""Files and folders that appear whole or not at all."""

from pathlib import Path

import pytest

from lightning_voiceclone.files import whole_folder


def write(folder, text):
    with whole_folder(folder) as temporary:
        (temporary / "a.txt").write_text(text)


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for text in ("old", "new"):
        write(tmp_path / "voice", text)
    assert (tmp_path / "voice/a.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["voice"]


@pytest.mark.parametrize("failing", [1, 2])
def test_what_ends_between_the_renames_leaves_the_old_folder(tmp_path, monkeypatch, failing):
    write(tmp_path / "voice", "old")
    rename, calls = Path.rename, []

    def failed(self, target):
        calls.append(target)
        if len(calls) == failing:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failed)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "voice", "new")
    assert (tmp_path / "voice/a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["voice"]
