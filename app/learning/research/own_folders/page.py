"""The measurements as one HTML page, with pictures of the worst failures inside it."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image

from app.learning.research.own_folders.measurement import Failure, FolderMeasurement, ShownPicture

THUMB: Final = 128
"""Longer side of a picture on the page, in pixels."""

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; }} td, th {{ padding: .15rem .7rem; text-align: right; }}
td:first-child, th:first-child {{ text-align: left; }} tr {{ border-bottom: 1px solid #ddd; }}
.wide {{ overflow-x: auto; }} .failure {{ display: flex; gap: .6rem; flex-wrap: wrap; margin: 1rem 0; }}
figure {{ margin: 0; width: 8.5rem; font-size: 12px; overflow-wrap: anywhere; }}
img {{ max-width: 100%; border: 3px solid #b00; }} .right img {{ border-color: #080; }}
.query img {{ border-color: #555; }} dt {{ font-weight: 600; }} dd {{ margin: 0; overflow-wrap: anywhere; }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


def write_page(path: Path, model: str, measurements: Sequence[FolderMeasurement]) -> None:
    """Write the page; everything on it is in the one file."""
    title = html.escape(f"{model}, measured beside baselines")
    body = "\n".join(_section(measurement) for measurement in measurements)
    path.write_text(_PAGE.format(title=title, body=body), encoding="utf-8")


def _section(measurement: FolderMeasurement) -> str:
    parts = [f"<h2>{html.escape(measurement.title)}</h2>", _table(measurement)]
    if "recall_at_1_by_edit" in measurement.rows[0]:
        parts += ["<h3>recall@1 by edit</h3>", _edits_table(measurement)]
    protocol = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(value))}</dd>"
        for name, value in measurement.protocol.items()
    )
    parts.append(f"<details><summary>Protocol</summary><dl>{protocol}</dl></details>")
    parts.append(f"<h3>Worst failures of {html.escape(measurement.rows[0]['method'])}</h3>")
    if not measurement.failures:
        parts.append("<p>None: every query found all relevant pictures first.</p>")
    return "\n".join([*parts, *(_failure(failure) for failure in measurement.failures)])


def _table(measurement: FolderMeasurement) -> str:
    rows = [
        (row["method"], *(f"{row[key]:.3f}" for key in ("map", "precision_at_10", "recall_at_1")))
        for row in measurement.rows
    ]
    return _html_table(("", "mAP", "P@10", "recall@1"), rows)


def _edits_table(measurement: FolderMeasurement) -> str:
    edits = list(measurement.rows[0]["recall_at_1_by_edit"])
    rows = [
        (row["method"], *(f"{row['recall_at_1_by_edit'][edit]:.2f}" for edit in edits))
        for row in measurement.rows
    ]
    return _html_table(("", *edits), rows)


def _html_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(value)}</td>" for value in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{lines}</table></div>'


def _failure(failure: Failure) -> str:
    figures = [_figure(failure.query, "query", f"query, average precision {failure.average_precision:.3f}")]
    for place, result in enumerate(failure.results, 1):
        figures.append(_figure(result, "right" if result.is_relevant else "wrong", f"result {place}"))
    if not any(result.is_relevant for result in failure.results):
        figures.append(_figure(failure.expected, "right", "expected"))
    return f'<div class="failure">{"".join(figures)}</div>'


def _figure(picture: ShownPicture, kind: str, caption: str) -> str:
    thumb = Image.fromarray(picture.pixels())
    thumb.thumbnail((THUMB, THUMB))
    written = io.BytesIO()
    thumb.save(written, "JPEG", quality=80)
    data = base64.b64encode(written.getvalue()).decode()
    name = html.escape(picture.name)
    return (
        f'<figure class="{kind}"><img alt="{name}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{html.escape(caption)}: {name}</figcaption></figure>"
    )
