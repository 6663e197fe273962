import tracemalloc
from dataclasses import replace

import pyarrow as pa
import pytest
from pyarrow import parquet

from lightning_voiceclone.core.interfaces import Recording
from lightning_voiceclone.data.manifest import Manifest, split_by_speaker, split_by_utterance
from lightning_voiceclone.data.manifest_file import BATCH
from lightning_voiceclone.data.utterances import Utterance, Utterances
from lightning_voiceclone.errors import ConfigurationError


def utterance(number, speaker="a", split=""):
    return Utterance(
        path=f"{speaker}/{number}.wav", start=0.5, end=2.25, speaker=speaker, text="é, tab\t|", rate=16000,
        bandwidth_hz=7500.0, hash="0" * 64, split=split, snr_db=40.0,
    )  # fmt: skip


def corpus(speakers=40, each=3):
    return [utterance(n, f"s{s}") for s in range(speakers) for n in range(each)]


def of(rows, split):
    return {row.path for row in rows if row.split == split}


def test_what_is_written_is_read(tmp_path):
    rows = (utterance(1, "b", "train"), utterance(2, "a", "test"), utterance(3, "b", "validation"))
    Manifest(tmp_path / "corpus", rows).write(tmp_path / "out" / "m.parquet")
    read = Manifest.read(tmp_path / "out" / "m.parquet")
    assert read.utterances == rows
    assert read.root == tmp_path / "corpus"
    assert read.speakers == ["a", "b"]
    assert read.of_split("test") == [rows[1]]
    assert rows[0].seconds == 1.75
    with pytest.raises(ConfigurationError, match="'dev'"):
        read.of_split("dev")


def test_played_at_another_speed_by_hand():
    played = replace(utterance(1), bandwidth_hz=7000.0).played(1.25)
    assert (played.start, played.end, played.seconds) == (0.4, 1.8, 1.4)
    assert (played.speed, played.speaker, played.bandwidth_hz) == (1.25, "a@1.25", 8750.0)
    assert (played.path, played.text, played.rate) == ("a/1.wav", "é, tab\t|", 16000)
    assert played.name.startswith("a_1.25/1-")
    assert len({utterance(1).name, played.name, utterance(1).played(0.87).name}) == 3


def test_the_speed_is_not_stored(tmp_path):
    Manifest(tmp_path, (utterance(1, split="train"),)).write(tmp_path / "m.parquet")
    assert "speed" not in parquet.read_schema(tmp_path / "m.parquet").names
    assert Manifest.read(tmp_path / "m.parquet").utterances[0].speed == 1.0


def test_a_folder_with_its_own_recordings_can_be_moved(tmp_path):
    Manifest(tmp_path / "old", (utterance(1, split="train"),)).write(tmp_path / "old" / "m.parquet")
    (tmp_path / "old").rename(tmp_path / "new")
    assert Manifest.read(tmp_path / "new" / "m.parquet").root == tmp_path / "new"
    assert Manifest.read(tmp_path / "new" / "m.parquet", root="/elsewhere").root.as_posix() == "/elsewhere"


@pytest.mark.slow
def test_what_is_no_manifest_is_reported_in_one_line(tmp_path):
    with pytest.raises(ConfigurationError, match="no manifest at"):
        Manifest.read(tmp_path / "m.parquet")
    (tmp_path / "m.parquet").write_text("path\tspeaker\n")
    with pytest.raises(ConfigurationError, match="not a Parquet file") as caught:
        Manifest.read(tmp_path / "m.parquet")
    assert "\n" not in str(caught.value)
    parquet.write_table(pa.table({"path": ["a"], "speaker": ["b"]}), tmp_path / "m.parquet")
    with pytest.raises(ConfigurationError, match="no column start, end, text"):
        Manifest.read(tmp_path / "m.parquet")
    Manifest(tmp_path, (utterance(1, split="train"),)).write(tmp_path / "m.parquet")
    parquet.write_table(parquet.read_table(tmp_path / "m.parquet").replace_schema_metadata(), tmp_path / "m.parquet")
    with pytest.raises(ConfigurationError, match="has no folder of its recordings"):
        Manifest.read(tmp_path / "m.parquet")


def test_styles_are_kept_and_an_older_manifest_has_none(tmp_path):
    rows = [replace(utterance(n, split="train"), style=style) for n, style in enumerate(["sad", "", "sad", "glad"])]
    Manifest(tmp_path, rows).write(tmp_path / "m.parquet")
    read = Manifest.read(tmp_path / "m.parquet")
    assert [row.style for row in read.utterances] == ["sad", "", "sad", "glad"]
    assert sorted(read.utterances.styles) == ["glad", "sad"]
    table = parquet.read_table(tmp_path / "m.parquet")
    parquet.write_table(table.drop_columns(["style"]), tmp_path / "m.parquet")
    assert Manifest.read(tmp_path / "m.parquet").utterances.styles == []


def test_names_are_safe_and_distinct():
    rows = [
        utterance(1), replace(utterance(1), end=3.0), replace(utterance(1), path="a/1.flac"),
        replace(utterance(1), speaker="../b/c"), replace(utterance(1), path="../../x.wav"),
    ]  # fmt: skip
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    assert all(name.count("/") == 1 and ".." not in name.split("/") for name in names)
    assert names[0].startswith("a/1-")


@pytest.mark.parametrize("split", [split_by_speaker, split_by_utterance])
def test_splits_do_not_depend_on_order_and_depend_on_the_seed(split):
    rows = corpus()
    chosen = split(rows, validation=5, test=4, seed=1)
    assert [row.path for row in chosen] == [row.path for row in rows]
    for name in ("validation", "test"):
        assert of(split(rows[::-1], validation=5, test=4, seed=1), name) == of(chosen, name)
        assert of(split(rows, validation=5, test=4, seed=2), name) != of(chosen, name)
    assert of(split(rows, validation=9, test=4, seed=1), "test") == of(chosen, "test")
    assert of(split(rows, validation=9, test=4, seed=1), "validation") > of(chosen, "validation")


def test_a_speaker_is_wholly_in_one_split():
    chosen = split_by_speaker(corpus(), validation=5, test=0.1)
    by_split = {
        split: {row.speaker for row in chosen if row.split == split} for split in ("train", "validation", "test")
    }
    assert {split: len(speakers) for split, speakers in by_split.items()} == {"train": 31, "validation": 5, "test": 4}
    assert not by_split["train"] & (by_split["validation"] | by_split["test"])


def test_utterances_are_counted_one_by_one():
    chosen = split_by_utterance(corpus(), validation=7, test=0.25)
    assert (len(of(chosen, "validation")), len(of(chosen, "test")), len(of(chosen, "train"))) == (7, 30, 83)


def test_few_change_place_when_recordings_come():
    rows = corpus(speakers=40)
    before = {row.path: row.split for row in split_by_speaker(rows, validation=8)}
    after = {row.path: row.split for row in split_by_speaker([*rows, *[utterance(0, "new")]], validation=8)}
    assert sum(before[path] != after[path] for path in before) <= 3  # one speaker at most


def test_what_the_corpus_declares_stays():
    rows = [utterance(n, f"s{n}", "test" if n < 3 else "validation" if n < 5 else "") for n in range(20)]
    chosen = split_by_speaker(rows)
    assert of(chosen, "test") == of(rows, "test")
    assert of(chosen, "validation") == of(rows, "validation")
    assert len(of(split_by_speaker(rows, validation=4), "validation")) == 6


def test_without_being_asked_a_twentieth_is_for_validation():
    chosen = split_by_speaker(corpus(speakers=40))
    assert len({row.speaker for row in chosen if row.split == "validation"}) == 2
    assert not of(chosen, "test")
    assert of(split_by_speaker(corpus(speakers=1)), "train") == of(corpus(1), "")


def test_recordings_of_a_corpus_are_split_alike():
    recordings = [Recording(row.path, row.speaker) for row in corpus()]
    assert of(split_by_speaker(recordings, validation=5), "validation") == of(
        split_by_speaker(corpus(), validation=5), "validation"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"validation": 30, "test": 10}, "nothing of 40 speakers"),
        ({"validation": -1}, "-1"),
        ({"test": 2.5}, "2.5"),
    ],
)
def test_impossible_numbers_are_refused(options, told):
    with pytest.raises(ConfigurationError, match=told):
        split_by_speaker(corpus(), **options)


def test_an_unknown_split_of_the_corpus_is_refused():
    with pytest.raises(ConfigurationError, match="'dev'"):
        split_by_speaker([utterance(1, split="dev")])


def test_a_manifest_without_parallel_recordings_is_read(tmp_path):
    path = tmp_path / "m.parquet"
    Manifest(tmp_path, (utterance(1, split="train"),)).write(path)
    parquet.write_table(parquet.read_table(path).drop_columns(["parallel", "channel", "offset"]), path)
    assert Manifest.read(path).utterances == (utterance(1, split="train"),)


def test_a_manifest_of_one_large_group_is_read_as_one_of_small_ones(tmp_path):
    rows = [replace(utterance(n, f"s{n % 7}", ("train", "test")[n % 2]), text=f"words {n}", end=1.0 + n / 8)
            for n in range(2 * BATCH + 5)]  # fmt: skip
    path = tmp_path / "m.parquet"
    Manifest(tmp_path, rows).write(path)
    assert parquet.ParquetFile(path).metadata.num_row_groups == 3
    small = Manifest.read(path).utterances
    parquet.write_table(parquet.read_table(path), path)  # whose dictionary grows from batch to batch
    assert parquet.ParquetFile(path).metadata.num_row_groups == 1
    large = Manifest.read(path).utterances
    for place in (0, 1, BATCH - 1, BATCH, 2 * BATCH, -1):
        assert small[place] == large[place] == rows[place]
    assert list(large.texts("text")) == list(small.texts("text")) == [row.text for row in rows]
    table = parquet.read_table(path)
    wrong = pa.array([*table["hash"].to_pylist()[:-3], "g" * 64, *table["hash"].to_pylist()[-2:]])
    parquet.write_table(table.set_column(table.column_names.index("hash"), "hash", wrong), path)
    with pytest.raises(ConfigurationError, match=rf"row {len(rows) - 2}: hash is 'ggg.*but must be 64 hexadecimal"):
        Manifest.read(path)


def test_rows_by_column_are_those_of_a_list():
    rows = [replace(utterance(n, "ab"[n % 2], ("train", "test", "train")[n % 3]), text="x" * (n % 2), end=n + 2.0)
            for n in range(6)]  # fmt: skip
    found = Utterances.of(rows)
    train = [row for row in rows if row.split == "train"]
    assert (found == rows, found[1:3] == rows[1:3], found == rows[:-1]) == (True, True, False)
    assert found.of_split("train") == train
    assert found.of_split("train").of_speakers(["b"]) == [row for row in train if row.speaker == "b"]
    assert found.transcribed.tolist() == [bool(row.text) for row in rows]
    played = found.also_played([0.8, 1.0])
    wanted = [*rows, *(row.played(speed) for speed in (0.8, 1.0) for row in rows)]
    assert played == wanted
    assert played.seconds.tolist() == [row.seconds for row in wanted]
    voices = played.voices.tolist()
    assert len({(voice, row.speaker) for voice, row in zip(voices, wanted, strict=True)}) == len(set(voices)) == 6
    assert (len(Utterances.of([])), Utterances.of([]).of_split("train") == []) == (0, True)


def test_a_long_name_takes_no_more_memory_than_it_has_characters():
    rows = Utterances.of([utterance(0, "x" * 10_000), *(utterance(n, f"s{n}") for n in range(1, 1000))])
    tracemalloc.start()
    try:
        assert [row.path for row in rows.of_speakers(["s7", "nobody"])] == ["s7/7.wav"]
        assert not rows.has_parallels
        assert tracemalloc.get_traced_memory()[1] < 1_000_000  # an array of text takes 40 MB
    finally:
        tracemalloc.stop()
