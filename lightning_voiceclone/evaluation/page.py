"""The report's page: metrics with their models, a sortable table, recordings with spectrograms. No network."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lightning_voiceclone import __version__
from lightning_voiceclone.evaluation.page_cases import PICTURES, CaseWriter, speakers_of
from lightning_voiceclone.evaluation.report import Report, number, read_report, recording_path
from lightning_voiceclone.utils.files import atomic_file, atomic_folder
from lightning_voiceclone.utils.html import plots
from lightning_voiceclone.utils.html.document import document, escape

ASSETS = Path(__file__).parent
CASES = "<!-- cases -->"  # replaced by the cases, which are written one at a time
REMARKS = {"against": "against ", "normalizer": "texts normalised by ", "reason": "none: "}
BETTER = {"higher": "higher is better", "lower": "lower is better"}
logger = logging.getLogger(__name__)


def write_page(folder: str | Path) -> None:
    """Write ``index.html`` and ``pictures/`` from ``metrics.json`` and ``audio/CASE.{source,reference,clone}.wav``.

    Every link is relative and nothing is fetched: the folder can be moved, zipped and opened from a disk. Cases are
    drawn one at a time, so that memory does not grow with their number. A recording that is missing or cannot be
    read is reported in its place.

    Raises:
        ConfigurationError: if ``metrics.json`` is missing or not as ``lvc evaluate`` writes it.
    """
    report = read_report(folder)
    before, after = _page(report).split(CASES)
    with atomic_file(report.folder / "index.html") as page, atomic_folder(report.folder / PICTURES) as pictures:
        writer = CaseWriter(report, pictures)
        with page.open("w", encoding="utf-8") as stream:
            stream.write(before)
            for index, case in enumerate(report.cases):
                stream.write(writer.write(index, case))
            stream.write(after)
    logger.info("wrote %s", report.folder / "index.html")


def _page(report: Report) -> str:
    name = str(report.system.get("name") or report.folder.resolve().name)
    failed = [case for case in report.cases if case.get("error")]
    body = f"""<header>
<h1>{escape(name)}</h1>
<p class="lead">{len(report.cases)} pairs{f", {len(failed)} of them with an error" if failed else ""}.
<a href="#cases">Cases</a>, <a href="#distributions">distributions</a>, <a href="#recordings">recordings</a>.</p>
{_warnings(report)}</header>
<main>
<h2>Metrics</h2>
<p>Means over the cases that have the metric, with their 95% intervals{_bootstrap(report)}.</p>
{_means(report)}
{_failed(failed)}<h2 id="cases">Cases</h2>
<p>Click a heading to sort by it, a name for its recordings, and the triangle to play the clone.</p>
{_table(report)}
<h2 id="distributions">Distributions</h2>
<p>Number of cases over the value. The line is the mean, the band its interval.</p>
<div class="cards">
{"".join(_distributions(report))}</div>
<h2 id="recordings">Recordings</h2>
<p>Spectrograms of a case share one scale of colours; source and clone share one axis of time.</p>
{CASES}<h2>System</h2>
<dl class="texts">
{_facts({"pairs_sha256": report.pairs_sha256, **report.system})}</dl>
</main>
<footer>Made by lightning-voiceclone {escape(__version__)}.</footer>"""
    style = (ASSETS / "page.css").read_text("utf-8") + plots.STYLE
    return document(f"{name}: report", body, style=style, script=(ASSETS / "page.js").read_text("utf-8"))


def _warnings(report: Report) -> str:
    warnings = report.system.get("warnings") or []
    lines = "".join(f"<li>{escape(str(warning))}</li>" for warning in warnings)
    return f'<div class="warning" role="note"><strong>Warning</strong><ul>{lines}</ul></div>\n' if lines else ""


def _bootstrap(report: Report) -> str:
    """How the intervals were computed, as far as the report states it."""
    known = {name: number(report.bootstrap.get(name)) for name in ("draws", "source_speakers", "target_speakers")}
    if None in known.values():
        return ""
    return (
        f" by a bootstrap of {known['draws']:.0f} draws, clustered over {known['source_speakers']:.0f} source and"
        f" {known['target_speakers']:.0f} target speakers"
    )


def _means(report: Report) -> str:
    rows = "\n".join(_mean(name, metric) for name, metric in report.metrics.items())
    return f"""<div class="scroll" role="region" aria-label="Means" tabindex="0"><table>
<thead><tr><th scope="col">Metric</th><th scope="col" class="number">Mean</th><th scope="col">95% interval</th>
<th scope="col">Unit</th><th scope="col" class="number">Cases</th><th scope="col">Direction</th>
<th scope="col">Measured by</th></tr></thead>
<tbody>
{rows}
</tbody></table></div>"""


def _mean(name: str, metric: Mapping[str, Any]) -> str:
    interval = _interval(metric)
    shown = f"{plots.figure(interval[0])} to {plots.figure(interval[1])}" if interval else plots.NONE
    return (
        f'<tr><th scope="row">{escape(name)}</th><td class="number">{plots.figure(number(metric.get("mean")))}</td>'
        f"<td>{shown}</td><td>{escape(str(metric.get('unit') or ''))}</td>"
        f'<td class="number">{escape(str(metric.get("n", plots.NONE)))}</td>'
        f"<td>{BETTER.get(str(metric.get('better')), '')}</td>"
        f'<td class="judge">{_judge(metric.get("judge"))}{_remarks(metric)}</td></tr>'
    )


def _interval(metric: Mapping[str, Any]) -> list[float] | None:
    ends = metric.get("ci95")
    found = [number(end) for end in ends] if isinstance(ends, list) else []
    known = [end for end in found if end is not None]
    return known if len(found) == 2 == len(known) else None


def _judge(judge: object) -> str:
    if not isinstance(judge, Mapping):
        return '<span class="soft">a formula</span>'
    digest = judge.get("sha256")
    shown = f' <code title="{escape(str(digest))}">{escape(str(digest)[:12])}</code>' if digest else ""
    return f"{escape(str(judge.get('name') or '?'))} {escape(str(judge.get('version') or ''))}{shown}"


def _remarks(metric: Mapping[str, Any]) -> str:
    """What the clone was compared with, how texts were normalised, why there is no value."""
    remarks = [f"{words}{metric[name]}" for name, words in REMARKS.items() if metric.get(name)]
    return "".join(f'<br><span class="soft">{escape(text)}</span>' for text in remarks)


def _failed(failed: list[Mapping[str, Any]]) -> str:
    lines = "".join(f"<li>{escape(case['case'])}: {escape(str(case['error']))}</li>" for case in failed)
    return (
        f'<div class="error" tabindex="0"><strong>Not measured, or only in part</strong><ul>{lines}</ul></div>\n'
        if lines
        else ""
    )


def _table(report: Report) -> str:
    columns = [name for name in report.metrics if any(number(case.get(name)) is not None for case in report.cases)]
    named = any(any(speakers_of(case)) for case in report.cases)
    failed = any(case.get("error") for case in report.cases)
    texts = ["Case", *(["Source speaker", "Target speaker"] if named else [])]
    heads = [(name, "", "text") for name in texts]
    heads += [(name, str(report.metrics[name].get("unit") or ""), "number") for name in columns]
    heads += [("Error", "", "text")] if failed else []
    cells = "".join(
        f'<th scope="col" class="{kind}"><button type="button">{escape(name)}{_unit(unit)}</button></th>'
        for name, unit, kind in heads
    )
    rows = []
    for index, case in enumerate(report.cases):
        row = _case_cell(report, index, case)
        row += "".join(f"<td>{escape(speaker)}</td>" for speaker in speakers_of(case)) if named else ""
        row += "".join(_number_cell(case.get(name)) for name in columns)
        row += f'<td class="reason">{escape(str(case.get("error") or ""))}</td>' if failed else ""
        rows.append(f"<tr>{row}</tr>")
    return f"""<div class="scroll tall" role="region" aria-label="Cases" tabindex="0"><table class="sortable">
<thead><tr>{cells}</tr></thead>
<tbody>
{chr(10).join(rows)}
</tbody></table></div>"""


def _unit(unit: str) -> str:
    return f' <span class="soft">{escape(unit)}</span>' if unit else ""


def _case_cell(report: Report, index: int, case: Mapping[str, Any]) -> str:
    name = case["case"]
    play = (
        f'<button type="button" class="play" data-audio="{quote(recording_path(name, "clone"))}"'
        f' aria-label="Play the clone of {escape(name)}">\N{BLACK RIGHT-POINTING TRIANGLE}</button> '
        if report.audio(name, "clone").is_file()
        else ""
    )
    return f'<th scope="row" data-value="{escape(name)}">{play}<a href="#case-{index}">{escape(name)}</a></th>'


def _number_cell(value: object) -> str:
    known = number(value)
    data = "" if known is None else f' data-value="{known!r}"'
    return f'<td class="number"{data}>{plots.figure(known)}</td>'


def _distributions(report: Report) -> Iterator[str]:
    for name, metric in report.metrics.items():
        values = [value for value in (number(case.get(name)) for case in report.cases) if value is not None]
        if not values:
            continue
        unit = str(metric.get("unit") or "")
        description = (
            f"{name}: {len(values)} cases from {plots.figure(min(values))} to {plots.figure(max(values))} {unit}"
        )
        drawn = plots.histogram(values, number(metric.get("mean")), _interval(metric), description)
        yield f'<figure class="card"><figcaption><h3>{escape(name)}{_unit(unit)}</h3></figcaption>{drawn}</figure>\n'


def _facts(facts: Mapping[str, Any], prefix: str = "") -> str:
    """Nested mappings as one list, with the names of the levels joined."""
    lines = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            lines.append(_facts(value, f"{prefix}{name} "))
        elif name != "warnings" and value not in (None, "", []):
            label = f"{prefix}{name}".replace("_", " ")
            lines.append(f"<div><dt>{escape(label)}</dt><dd>{escape(str(value))}</dd></div>\n")
    return "".join(lines)
