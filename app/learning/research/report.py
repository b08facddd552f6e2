"""Write the report on the paper as Markdown, and as HTML with plots."""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from app.learning.research.table import ReportRow, ReportTable


def write_report(
    folder: Path, heading: str, opening: str, tables: Sequence[ReportTable], plots: dict[str, str]
) -> None:
    """Write ``report.md`` and ``report.html``.

    Args:
        folder: Output folder.
        heading: Title.
        opening: Description of the run: collections, epochs, seeds.
        tables: Tables, in order.
        plots: SVG texts by title.
    """
    markdown = [f"# {heading}", opening]
    for table in tables:
        markdown += [f"## {table.title}", _markdown(table), table.words]
        markdown += ["\n".join(f"- {sentence}" for sentence in table.conclusions)] if table.conclusions else []
    _write(folder / "report.md", "\n\n".join(markdown) + "\n")
    body = [f"<h1>{html.escape(heading)}</h1>", *(f"<p>{_inline(p)}</p>" for p in opening.split("\n\n"))]
    for table in tables:
        body += [f"<h2>{html.escape(table.title)}</h2>", _html(table), f"<p>{_inline(table.words)}</p>"]
        if table.conclusions:
            sentences = "".join(f"<li>{_inline(sentence)}</li>" for sentence in table.conclusions)
            body.append(f"<ul>{sentences}</ul>")
    for title, svg in plots.items():
        body += [f"<h2>{html.escape(title)}</h2>", svg]
    _write(folder / "report.html", _PAGE.format(title=html.escape(heading), body="\n".join(body)))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; }} td, th {{ padding: .15rem .7rem; text-align: right; }}
td:first-child, th:first-child {{ text-align: left; }} tr.claim {{ color: #777; font-style: italic; }}
td:not(:first-child) {{ white-space: nowrap; }}
tr {{ border-bottom: 1px solid #ddd; }} svg {{ max-width: 100%; height: auto; }}
</style></head><body>
{body}
</body></html>
"""


def _markdown(table: ReportTable) -> str:
    lines = [" | ".join(table.columns), " | ".join("---" for _ in table.columns)]
    for row in table.rows:
        label = f"*{row.label}*" if row.claim else row.label
        lines.append(" | ".join([label, *_shown(row)]))
    return "\n".join(f"| {line} |" for line in lines)


def _html(table: ReportTable) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in table.columns)
    lines = [f"<table><tr>{head}</tr>"]
    for row in table.rows:
        kind = ' class="claim"' if row.claim else ""
        values = "".join(f"<td>{html.escape(value)}</td>" for value in (row.label, *_shown(row)))
        lines.append(f"<tr{kind}>{values}</tr>")
    return "\n".join([*lines, "</table>"])


def _inline(text: str) -> str:
    """Escape a paragraph; words between backticks become code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _shown(row: ReportRow) -> list[str]:
    return [_number(value) for value in row.values]


def _number(value: float | str | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, str | int):
        return str(value)
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, suffix=".writing", delete=False, encoding="utf-8") as file:
        file.write(text)
    Path(file.name).replace(path)
