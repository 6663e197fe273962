"""Altered manifests, tables, pairs, reports, features, journals and answers: the same ones for the same seed.

Each is a file that was right, with one thing changed, and the reader that the project reads it with.
"""

import itertools
import json
import random
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from lightning_voiceclone.data.corpora import Table
from lightning_voiceclone.data.manifest import Manifest
from lightning_voiceclone.data.manifest_file import ADDED, COLUMNS, METADATA_KEY
from lightning_voiceclone.data.prepare import JOURNAL_NAME, MANIFEST_NAME, prepare
from lightning_voiceclone.data.stored_features import cached_features
from lightning_voiceclone.data.utterances import Utterance
from lightning_voiceclone.evaluation.compare import compare
from lightning_voiceclone.evaluation.listening.material import Material
from lightning_voiceclone.evaluation.listening.statistics import results
from lightning_voiceclone.evaluation.listening.store import Store
from lightning_voiceclone.evaluation.pairs import read_pairs
from lightning_voiceclone.evaluation.report import read_report
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.testing.reports import write_report

WAS_HERE = Path("/tmp/lvc-was-here")  # what code in a file would make
EXTRACTOR = MelSpectrogram(hop_length=256)
SPEC = EXTRACTOR.spec
NOT_NUMBERS = (float("nan"), float("inf"), -float("inf"), -1.0, 1e300)
STRANGE: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**400,
    1.5,
    "",
    "\x1b[2J",
    "\0",
    "../../x",
    [],
    [[]],
    {},
    {"a": {}},
    "x" * 200_000,
)


@dataclass(frozen=True)
class Altered:
    """A file, and how it is read.

    Args:
        name: what was changed.
        path: of the file or its folder.
        read: reads it; an ``LVCError`` says what is wrong with it.
        tolerated: whether it may be read, because the change does no harm or is passed over.
    """

    name: str
    path: Path
    read: Callable[[], Any]
    tolerated: bool = False


def altered_tables(folder: Path, seed: int) -> Iterator[Altered]:
    """All of them; each is made when it is asked for."""
    rng = random.Random(seed)
    for number, make in enumerate(
        (_manifests, _bytes_of_manifests, _tables, _pairs, _reports, _features, _journals, _answers)
    ):
        place = folder / str(number)
        place.mkdir(parents=True)
        yield from make(place, rng)


# Manifests ----------------------------------------------------------------------------------------------------------


def _utterances(count: int = 3) -> tuple[Utterance, ...]:
    return tuple(
        Utterance(
            path=f"a/{n}.wav",
            start=0.0,
            end=2.0,
            speaker="a",
            text="words",
            rate=16000,
            bandwidth_hz=8000.0,
            snr_db=30.0,
            hash="0" * 64,
            split="train",
        )
        for n in range(count)
    )


def _table(rows: int = 3) -> Any:
    columns = {name: [getattr(row, name) for row in _utterances(rows)] for name in COLUMNS}
    return pa.table(columns).replace_schema_metadata({METADATA_KEY: b'{"root": "/corpus"}'})


def _with(table: Any, name: str, values: list[Any], kind: Any = None) -> Any:
    metadata = table.schema.metadata
    changed = table.set_column(table.column_names.index(name), name, pa.array(values, kind))
    return changed.replace_schema_metadata(metadata)


def _write(path: Path, pieces: Iterable[Any]) -> None:
    """A Parquet file of tables with one schema, that of the first."""
    rest = iter(pieces)
    first = next(rest)
    with parquet.ParquetWriter(path, first.schema, compression="zstd") as file:
        for piece in itertools.chain([first], rest):
            file.write_table(piece)


def _manifests(folder: Path, rng: random.Random) -> Iterator[Altered]:
    table = _table()
    changes: dict[str, Any] = {"no rows": table.slice(0, 0)}
    for name in ("start", "end", "bandwidth_hz", "snr_db", "offset"):
        for value in NOT_NUMBERS:
            if value != -1.0 or name not in ("snr_db", "offset"):
                changes[f"{name} {value}"] = _with(table, name, [1.0, value, 1.5])
    for value in (0, -16000, 1, 2**62):
        changes[f"rate {value}"] = _with(table, "rate", [16000, value, 16000])
    for value in (-2, 65, 2**62):
        changes[f"channel {value}"] = _with(table, "channel", [0, value, 1])
    for name, values in {
        "hash": ["", "0" * 63, "g" * 64, "../" * 20 + "0000"],
        "split": ["", "dev", "TRAIN", "\0"],
        "path": ["", "a\0b", "x" * 200_000],
        "speaker": ["", "\0"],
        "text": ["x" * 140_000],
    }.items():
        for value in values:
            rest = list(table.column(name).to_pylist())
            rest[rng.randrange(3)] = value
            changes[f"{name} {value[:8]!r}"] = _with(table, name, rest)
    for name in table.column_names:
        changes[f"{name} null"] = _with(table, name, [None] * 3, table.schema.field(name).type)
        changes[f"{name} missing"] = table.drop_columns([name])
        changes[f"{name} of lists"] = _with(table, name, [[1], [], [2]])
    changes["end before start"] = _with(table, "start", [5.0, 5.0, 5.0])
    changes["numbers for paths"] = _with(table, "path", [1, 2, 3])
    changes["texts for numbers"] = _with(table, "start", ["a", "1.0", "nan"])
    changes["a huge number for a rate"] = _with(table, "rate", ["9" * 400] * 3)
    changes["a doubled column"] = pa.table([*table.columns, table.column("path")], names=[*table.column_names, "path"])
    for told in (
        b"{",
        b"[]",
        b"3",
        b"[" * 100_000,
        b'{"root": 3}',
        b'{"root": ["a"]}',
        b'{"root": "a\\u0000b"}',
        b"\xff",
        b'{"root": ""}',
        b'{"root": NaN}',
        b"null",
    ):
        changes[f"metadata {told[:14]!r}"] = table.replace_schema_metadata({METADATA_KEY: told})
    # Two millions of equal rows take some kilobytes. Such files are written piece by piece, to take no memory here.
    equal = table.slice(0, 1).take(pa.array(np.zeros(50_000, np.int64)))
    large = {
        "rows that fill the memory": (equal for _ in range(40)),
        "texts that fill the memory": (
            _with(_table(100), "text", [f"{n:06d}" + "x" * 130_000 for n in range(start, start + 100)])
            for start in range(0, 1200, 100)
        ),
    }
    for name, pieces in [*((name, [changed]) for name, changed in changes.items()), *large.items()]:
        path = folder / "m.parquet"
        _write(path, pieces)
        older = name.removesuffix(" missing") in ADDED  # columns that manifests did not have before
        yield Altered(f"manifest: {name}", path, lambda path=path: Manifest.read(path), tolerated=older)


def _bytes_of_manifests(folder: Path, rng: random.Random) -> Iterator[Altered]:
    good, path = folder / "good.parquet", folder / "m.parquet"
    Manifest(folder, _utterances(50)).write(good)
    data = good.read_bytes()
    for number in range(20):
        kind = rng.choice(["cut", "flipped", "noise", "zeros"])
        changed = bytearray(data)
        place = rng.randrange(4, len(data) - 8)
        if kind == "cut":
            changed = changed[:place]
        elif kind == "flipped":
            for _ in range(rng.randint(1, 30)):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        elif kind == "noise":
            changed[place : place + 40] = rng.randbytes(40)
        else:
            changed[place:] = bytes(len(changed) - place)
        path.write_bytes(changed)
        yield Altered(f"manifest: bytes {kind} {number}", path, lambda: Manifest.read(path), tolerated=True)
    for name, whole in (
        ("empty", b""),
        ("text", b"path\tspeaker\n"),
        ("magic", b"PAR1PAR1"),
        ("length", data[:-8] + b"\xff" * 4 + b"PAR1"),
    ):
        path.write_bytes(whole)
        yield Altered(f"manifest: {name}", path, lambda: Manifest.read(path))


# Tables and pairs ---------------------------------------------------------------------------------------------------


def _tables(folder: Path, rng: random.Random) -> Iterator[Altered]:
    head, row = "path\tspeaker\ttext\tstart\tend\tsplit\n", "a.wav\tA\twords\t0\t1\ttrain\n"
    contents: dict[str, bytes] = {
        name: (head + line).encode()
        for name, line in {
            "NUL in a path": "a\0b.wav\tA\n",
            "NUL in a speaker": "a.wav\tA\0\n",
            "an empty path": "\tA\n",
            "a long cell": "a.wav\tA\t" + "x" * 131_073 + "\n",
            "a long line": "a.wav\tA\t" + "x\t" * 600_000 + "\n",
            "NaN": "a.wav\tA\t\tnan\t\n",
            "infinite": "a.wav\tA\t\t0\tinf\n",
            "huge": "a.wav\tA\t\t0\t1e300\n",
            "negative": "a.wav\tA\t\t-1\t\n",
            "no number": "a.wav\tA\t\t0x10\t\n",
            "end first": "a.wav\tA\t\t3\t2\n",
            "a split": "a.wav\tA\t\t0\t1\tdev\x1b[2J\n",
            "only a path": "a.wav\n",
        }.items()
    }
    contents |= {
        "empty": b"",
        "no header": row.encode(),
        "UTF-16": (head + row).encode("utf-16"),
        "Latin-1": head.encode() + b"\xe9.wav\tA\n",
        "a doubled column": (head.replace("text", "path") + row).encode(),
        "commas": b"path,speaker\na.wav,A\n",
        "noise": rng.randbytes(5000),
        "NULs": bytes(100_000),
        "a header without an end": b"path\t" * 500_000,
    }
    for name, data in contents.items():
        path = folder / "t.tsv"
        path.write_bytes(data)
        yield Altered(f"table: {name}", path, lambda path=path: list(Table(path).recordings()))
    for name, text in {
        "an open quote": 'path,speaker\n"a.wav,A\n' + "b.wav,B\n" * 50_000,
        "a quote inside": 'path,speaker\na"b.wav,A\n"c" d,A\n',
    }.items():
        path = folder / "t.csv"
        path.write_text(text)
        yield Altered(f"table: {name}", path, lambda path=path: list(Table(path).recordings()))


def _pairs(folder: Path, rng: random.Random) -> Iterator[Altered]:
    head = "case\tsource\treference\ttranscript\n"
    for name, data in {
        "NUL": head.encode() + b"a\tx\0.wav\ty.wav\t\n",
        "NUL in a case": head.encode() + b"a\0\tx.wav\ty.wav\t\n",
        "a long cell": head.encode() + b"a\tx\ty\t" + b"z" * 131_073 + b"\n",
        "UTF-16": head.encode("utf-16"),
        "a path for a case": head.encode() + b"../../etc/x\tx\ty\t\n",
        "a long case": head.encode() + b"a" * 5000 + b"\tx\ty\t\n",
        "an escape for a case": head.encode() + b"\x1b[2J\tx\ty\t\n",
        "one case twice": head.encode() + b"a\tx\ty\t\n" * 2,
        "no header": b"a\tx\ty\t\n",
        "empty": b"",
        "no rows": head.encode(),
        "a doubled column": b"case\tcase\tsource\treference\na\ta\tx\ty\n",
        "noise": rng.randbytes(5000),
        "too long": head.encode() + b"a\tx\ty\t\n" * 3_000_000,
        "missing cells": head.encode() + b"a\n",
    }.items():
        path = folder / "pairs.tsv"
        path.write_bytes(data)
        yield Altered(f"pairs: {name}", path, lambda path=path: read_pairs(path))
    path.write_bytes(head.encode() + b"".join(b"%d\t1-1-%04d.wav\t1-2-%04d.wav\t\n" % (n, n, n) for n in range(20_000)))
    yield Altered("pairs: 20,000 of one speaker", path, lambda path=path: read_pairs(path), tolerated=True)


# Reports ------------------------------------------------------------------------------------------------------------


def _use(report: Path, other: Path) -> None:
    """All that a report of another person is read for: ``lvc compare`` and ``lvc listen``."""
    read_report(report)
    compare([other, report])
    material = Material([report])
    material.sound(material.cases[0], material.systems[0])


def _reports(folder: Path, rng: random.Random) -> Iterator[Altered]:
    good, changed = folder / "good", folder / "changed"
    told = write_report(good, ["a-to-b", "b-to-a"], seconds=0.3)
    for case in told["cases"]:
        case["scores"] = {"mcd_db": [case["mcd_db"]], "wer": [1.0, 4.0], "similarity_reference": [0.5]}
    (good / "metrics.json").write_text(json.dumps(told))
    shutil.copytree(good, changed)
    path = changed / "metrics.json"

    def use() -> None:
        _use(changed, good)

    texts = {
        "nested 100,000 deep": "[" * 100_000 + "]" * 100_000,
        "nested mappings": '{"a":' * 100_000,
        "empty": "",
        "cut": path.read_text()[:500],
        "a list": "[]",
        "null": "null",
        "a number": "1",
        "a huge number": "9" * 5000,
        "17 MB": "[" + "{}," * 5_700_000 + "{}]",
        "many lists": "[" + "[]," * 5_000_000 + "[]]",
        "half a character": json.dumps(told).replace("a-to-b", "\\ud800"),
        "NaN": json.dumps(told).replace("0.5", "NaN"),
        "UTF-16": json.dumps(told) + "\udcff",
    }
    for name, text in texts.items():
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        yield Altered(f"report: {name}", path, use)
    for name in ("pairs_sha256", "system", "metrics", "cases", "bootstrap"):
        for value in rng.sample(STRANGE, 6):
            path.write_text(json.dumps({**told, name: value}))
            yield Altered(f"report: {name} {value!r:.20}", path, use, tolerated=True)
        path.write_text(json.dumps({key: value for key, value in told.items() if key != name}))
        yield Altered(f"report: without {name}", path, use, tolerated=name == "bootstrap")
    for name in ("case", "scores", "wer", "source_speaker", "error", "transcript"):
        for value in rng.sample(STRANGE, 5):
            cases = [{**told["cases"][0], name: value}, told["cases"][1]]
            path.write_text(json.dumps({**told, "cases": cases}))
            yield Altered(f"report: a case's {name} {value!r:.20}", path, use, tolerated=True)
    for value in [None, [], [None], [1, 2, 3], "0.5", 0.5, [[1]], [10**400], [1e300], {"a": 1}, [True, False]]:
        cases = [{**told["cases"][0], "scores": {"wer": value, "\x1b[2J": value}}, told["cases"][1]]
        path.write_text(json.dumps({**told, "cases": cases}))
        yield Altered(f"report: score {value!r:.20}", path, use, tolerated=value is None)
    for name in ("mean", "ci95", "n", "unit", "better", "judge"):
        for value in rng.sample(STRANGE, 3):
            metrics = {**told["metrics"], "wer": {**told["metrics"]["wer"], name: value}}
            path.write_text(json.dumps({**told, "metrics": metrics}))
            yield Altered(f"report: a metric's {name} {value!r:.20}", path, use, tolerated=True)
    path.write_text(json.dumps({**told, "metrics": {"eer": {"better": "lower", "n": 2}, "wer": None}}))
    yield Altered("report: a metric that is null", path, use)
    for case in told["cases"]:
        case["scores"]["eer"] = [0.5]
    path.write_text(json.dumps({**told, "metrics": {"eer": {"better": "lower", "n": 2}}}))
    (good / "metrics.json").write_text(path.read_text())
    yield Altered("report: a measure's scores of another width", path, use, tolerated=True)
    clone = changed / "audio" / "a-to-b.clone.wav"
    for name, target in {
        "another file of the disk": "/etc/hostname",
        "itself": clone,
        "another report": good / "audio" / clone.name,
    }.items():
        clone.unlink()
        clone.symlink_to(target)
        yield Altered(f"report: a recording that is a link to {name}", clone, use)


# Features, journals and answers -------------------------------------------------------------------------------------


def _features(folder: Path, rng: random.Random) -> Iterator[Altered]:
    utterance = _utterances(1)[0]
    frames = 2 * SPEC.sample_rate // SPEC.hop_length
    path = folder / "features" / SPEC.fingerprint / f"{utterance.name}.npy"
    path.parent.mkdir(parents=True)
    spec = folder / "features" / SPEC.fingerprint / "spec.yaml"
    spec.write_text(json.dumps(SPEC.to_mapping()))
    right = np.zeros((80, frames), np.float32)
    arrays: dict[str, Any] = {
        "one dimension": right[0],
        "no dimension": np.float32(1),
        "three dimensions": right[None],
        "turned": right.T,
        "79 channels": right[1:],
        "few frames": right[:, :10],
        "many frames": np.tile(right, 3),
        "float64": right.astype(np.float64),
        "integers": right.astype(np.int32),
        "complex": right.astype(np.complex64),
        "texts": right.astype(str),
        "no frames": right[:, :0],
        "other bytes first": right.astype(">f4"),
    }

    def use() -> Any:
        return cached_features(folder, EXTRACTOR)(utterance)[:, :1]

    for name, array in arrays.items():
        np.save(path, array)
        yield Altered(f"features: {name}", path, use, tolerated=name == "other bytes first")
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    yield Altered("features: pickled objects", path, use)
    np.save(path, right)
    data = path.read_bytes()
    for _ in range(4):
        path.write_bytes(data[: rng.randrange(len(data))])
        yield Altered("features: cut short", path, use)
    for name, header in {
        "a huge shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (80, 999999999999), }",
        "a negative shape": "{'descr': '<f4', 'fortran_order': False, 'shape': (80, -125), }",
        "code in the header": "__import__('os').system('touch /tmp/lvc-was-here')",
        "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (80, 125), }",
        "no mapping": "[" * 5000,
        "a bad type": "{'descr': 'zz', 'fortran_order': False, 'shape': (80, 125), }",
    }.items():
        encoded = header.encode() + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(encoded)) + encoded + bytes(400))
        yield Altered(f"features: {name}", path, use)
    for name, whole in {"empty": b"", "noise": rng.randbytes(999), "an archive": b"PK\x03\x04" + bytes(99)}.items():
        path.write_bytes(whole)
        yield Altered(f"features: {name}", path, use)
    path.unlink()
    yield Altered("features: missing", path, use)
    path.mkdir()
    yield Altered("features: a folder", path, use)
    other = MelSpectrogram(hop_length=320)
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24)
    )
    for name, text in {
        "no mapping": "[]",
        "no YAML": "{",
        "aliases": bomb,
        "code": "!!python/object/apply:os.system [touch /tmp/lvc-was-here]",
        "deep": "[" * 5000,
        "types": "{kind: [], channels: {}, sample_rate: x, hop_length: null}",
        "long": "a" * 99_999,
    }.items():
        spec.write_text(text)
        yield Altered(f"spec of features: {name}", folder / "features", lambda: cached_features(folder, other))


def _journals(folder: Path, rng: random.Random) -> Iterator[Altered]:
    """What is passed over, and done anew; files outside the output are not touched."""
    import soundfile

    from lightning_voiceclone.audio.preprocessing import NormalizeLoudness

    corpus, output, outside = folder / "corpus", folder / "output", folder / "outside-0123456789.flac"
    (corpus / "a").mkdir(parents=True)
    sound = np.sin(np.arange(16000) * 0.1 * (1 + np.arange(16000) / 16000)).astype(np.float32) * 0.3
    for n in range(2):
        soundfile.write(corpus / "a" / f"{n}.wav", sound * (1 - 0.1 * n), 16000)  # the same sound is used once
    (corpus / "t.tsv").write_text("path\tspeaker\na/0.wav\tA\na/1.wav\tB\n")

    def use() -> None:
        outside.write_bytes(b"mine")
        summary = prepare(Table(corpus / "t.tsv"), output, transforms=[NormalizeLoudness()], workers=1, progress=False)
        assert summary.accepted == 2
        assert outside.read_bytes() == b"mine"
        assert len(Manifest.read(output / MANIFEST_NAME).utterances) == 2

    use()
    journal = output / JOURNAL_NAME
    good = journal.read_bytes()
    entry = json.loads(good.splitlines()[0])
    key, row = entry["key"], entry["row"]
    lines: dict[str, Any] = {
        "a file outside": {"key": "x", "row": row, "made": [f"audio/../../{outside.name}"]},
        "a file of the disk": {"key": "x", "row": row, "made": [str(outside)]},
        "files that are a text": {"key": key, "row": row, "made": "abc"},
        "files that are lists": {"key": key, "row": row, "made": [["a"]]},
        "a row that is null": {"key": key, "row": None},
        "a row without columns": {"key": key, "row": {}},
        "a row with more columns": {"key": key, "row": {**row, "root": "/"}},
        "a time that is text": {"key": key, "row": {**row, "end": "1"}},
        "a key that is a list": {"key": [], "row": row},
        "a list": [key, row],
        "a number": 3,
        "a deep one": "[" * 100_000,
        "an unknown result": {"key": key, "result": 3},
        "a reason that is a mapping": {"key": key, "reason": {}},
    }
    for name, line in lines.items():
        journal.write_bytes(good + (line if isinstance(line, str) else json.dumps(line)).encode() + b"\n")
        yield Altered(f"journal: {name}", journal, use, tolerated=True)
    for name, data in {
        "cut": good[: rng.randrange(len(good))],
        "noise": rng.randbytes(3000),
        "a long line": good + b"x" * 3_000_000,
        "NaN": good.replace(b'"start": 0.0', b'"start": NaN'),
        "half a character": good.replace(b"a/0", b"\\ud800"),
    }.items():
        journal.write_bytes(data)
        yield Altered(f"journal: {name}", journal, use, tolerated=True)


def _answers(folder: Path, rng: random.Random) -> Iterator[Altered]:
    good, path = folder / "good.sqlite", folder / "listen.sqlite"
    identity: dict[str, object] = {"pairs": "0", "cases": "1", "systems": {"alpha": "2"}}
    store = Store(good, identity)
    trial, order = json.dumps(["mos", "case", "alpha"]), json.dumps(["alpha"])
    for number in range(1, 40):
        name = store.add_listener()
        store._database.execute("INSERT INTO presentation VALUES (?, ?, ?, ?, 1.0)", [number, name, trial, order])
        store.answer(number, [number % 5 + 1])
    store.close()

    def use() -> None:
        store = Store(path, None)
        try:
            results(store.answers())
        finally:
            store.close()

    changes = {
        f"{place} {value!r:.20}": f"UPDATE {table} SET {column} = {value}"
        for place, table, column, values in (
            (
                "ratings",
                "answer",
                "ratings",
                ["3", "'{'", "'[]'", "'[9]'", "'[3.5]'", "x'ff'", "'[true]'", "'[3,3]'", "'" + "[" * 9000 + "'"],
            ),
            (
                "a trial",
                "presentation",
                "trial",
                ["'[]' || id", "id", "'{' || id", '\'["none", "a", "b"]\'||id', "x'ff' || id"],
            ),
            ("an order", "presentation", "arrangement", ["'[]'", "'[\"beta\"]'", "3", "'[1]'"]),
            ("a time", "answer", "since", ["'soon'", "9e999", "x'00'"]),
            ("the test", "identity", "content", ["'{'", "3", "'[]'", "'{\"systems\": 3}'", "zeroblob(3000000)"]),
        )
        for value in values
    }
    changes |= {
        "no test": "DELETE FROM identity",
        "no table": "DROP TABLE answer",
        "answers to nothing": "DELETE FROM presentation",
        "a view without end": "DROP TABLE answer;"
        " CREATE VIEW answer AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n)"
        " SELECT i AS presentation, '[3]' AS ratings, 1.0 AS since FROM n",
        "a trigger": "CREATE TRIGGER t AFTER INSERT ON listener BEGIN DELETE FROM answer; END",
    }
    for name, statements in changes.items():
        shutil.copy(good, path)
        for beside in folder.glob("listen.sqlite-*"):
            beside.unlink()
        database = sqlite3.connect(path)
        database.executescript(statements)
        database.close()
        yield Altered(f"answers: {name}", path, use)
    data = good.read_bytes()
    for number in range(6):
        broken = bytearray(data[: rng.randrange(len(data))] if number % 2 else data)
        for _ in range(0 if number % 2 else 200):
            broken[rng.randrange(100, len(broken))] ^= 0xFF
        path.write_bytes(broken)
        yield Altered(f"answers: {'cut' if number % 2 else 'bytes changed'} {number}", path, use, tolerated=True)
