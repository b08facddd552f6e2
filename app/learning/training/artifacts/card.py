"""Write the model card of an artifact from its manifest."""

from typing import Any

from app.encoding.manifest import ArtifactManifest

_CARD = """# {name}

{summary}

| | |
|---|---|
| Code length | {bits} bits ({octets} bytes a picture) |
| Descriptor | {descriptor} |
| Input | {size}×{size} pixels, {fit} |
| Method | {method}: {source} |
| Fitted on | {data}; labels used: {labels} |
| Seed | {seed} |
| Licence | {licence} |

## Origin of the pretrained weights
{pretrained}

## Measured
{measured}
{comparison}
## What a distance means
{distances}
{words}
## Limits
- {limits}
- Likeness is learned from pictures; it carries their bias. It is no means to identify people.
- A picture much larger than {size} pixels is seen at {size} pixels.

## Rebuild
{rebuild}
"""

_MEASURED = """{protocol}

| encoder | ranking | mAP | best–worst order of ties | mAP@1000 | P@10 | P@100 |
|---|---|---|---|---|---|---|
{figures}"""

_DISTANCES = """\
Quantiles of Hamming distances on {collection} (held-out queries). Copies are JPEG q30 and q10, a 64 px
thumbnail, crops to 80 % and 50 % of the area, mirror, brightness × 1.4, half saturation, rotations by 5° and
15°.

| pair | 5 % | 50 % | 95 % |
|---|---|---|---|
{rows}"""

_COMPARISON = """
## Better or worse than {against}
{sentences}

| | relevant | queries | {name} | {against} | difference, 95 % interval |
|---|---|---|---|---|---|
{rows}
"""
_FIGURES = {
    "map_by_code": "mAP by code",
    "map_by_descriptor": "mAP, first results by descriptor",
    "precision_at_10_by_code": "P@10 by code",
    "precision_at_10_by_descriptor": "P@10, first results by descriptor",
    "recall_at_1_by_code": "recall@1 by code",
    "recall_at_1_by_descriptor": "recall@1, first results by descriptor",
}

_WORDS = """
## Searches by words
`class_weights.npy`: {origin}
Kinds' names as queries, ranked by weighted bits, ties in random order (`docs/research/text.md`).

| collection | words | count | P@10 | mAP |
|---|---|---|---|---|
{rows}
"""

_TEXT_TOWER = """
## Searches by words
Texts are encoded by the text tower, up to {context} tokens, and go through the same hash layer as pictures.
Pictures and texts are centred by their own means; that of the texts is over the names of ImageNet's classes.
{figures}
"""

_SHARED = """
Of the first ten pictures by float features, {shared:.0%} are among the first ten by codes: mean over {texts:,}
names, on the {pictures:,} pictures that the hash layer was fitted to.
It was not measured how many of them are right."""

_SUBJECTS = {"kinds": "At finding kinds", "copies": "At finding edited copies"}

_NOT_MEASURED = "Not measured: it could not be computed on these pictures."

_PRETRAINED_LIMITS = """It knows what ImageNet's photographs taught it: things and scenes. Fine differences
  between faces, documents, medical or satellite pictures are outside of what it saw."""
_TOWER_LIMITS = """It knows what its pictures with captions taught it, which the origin of the weights says."""
_PIXEL_LIMITS = (
    """It compares colours and coarse shapes of a very small picture; it does not know what things are."""
)

_SHIPPED = "`lookalike models build {name}`, with the collections named above in the data folder."


def model_card(manifest: ArtifactManifest, *, shipped: bool) -> str:
    """Render the card as Markdown.

    Args:
        manifest: ArtifactManifest of the artifact.
        shipped: Whether the model is one of the shipped ones, which can be rebuilt by name.
    """
    training = manifest.training
    descriptor = manifest.descriptor
    return _CARD.format(
        name=manifest.name,
        summary=manifest.summary,
        bits=manifest.bits,
        octets=manifest.bits // 8,
        descriptor=f"{descriptor.dim} bytes a picture (int8)" if descriptor else "none",
        size=manifest.preprocessing.input_size,
        fit=manifest.preprocessing.fit,
        method=training["method"],
        source=training["source"],
        data=", ".join(
            f"{d['collection']} ({d['part']}, {d['pictures']:,} pictures)" for d in training["data"]
        ),
        labels="yes" if training["labels_used"] else "no",
        seed=training["seed"],
        licence=manifest.licence,
        pretrained="\n".join(
            f"- {p.file} (sha256 `{p.sha256}`) from {p.package} {p.version}, {p.licence}, "
            f"trained on {p.trained_on}. Source: {p.source}"
            for p in manifest.pretrained
        )
        or "None: everything was trained here.",
        measured=_measured(manifest),
        comparison=_comparison(manifest),
        rebuild=_SHIPPED.format(name=manifest.name) if shipped else _train_command(manifest),
        limits=_limits(manifest),
        distances=_distances(manifest),
        words=_words(manifest) + _text_tower(manifest),
    )


def _train_command(manifest: ArtifactManifest) -> str:
    how = manifest.training
    if manifest.text_tower is not None:
        return (
            f"`lookalike models add-clip FOLDER --name {manifest.name} --bits {manifest.bits}`, FOLDER being "
            "the export named above, on the same pictures."
        )
    wordnet = f" --wordnet {how['wordnet']:g}" if how.get("wordnet") else ""
    teachers = "".join(f" --teacher {name}" for name in how.get("teachers", ()))
    return (
        f"`lookalike train SOURCE --name {manifest.name} --method {how['method']} --bits {manifest.bits} "
        f"--encoder {how['encoder']} --seed {how['seed']}{wordnet}{teachers}`, SOURCE being the pictures named "
        "above."
    )


def _measured(manifest: ArtifactManifest) -> str:
    if not manifest.metrics:
        return _NOT_MEASURED
    figures = "\n".join(_figure_row(row) for row in manifest.metrics)
    return _MEASURED.format(protocol=_protocol(manifest.metrics[0]["protocol"]), figures=figures)


def _comparison(manifest: ArtifactManifest) -> str:
    """Render the comparison with the model in use; nothing if there is none."""
    compared = manifest.calibration.get("comparison")
    if not compared:
        return ""
    rows, sentences = [], []
    for subject in ("kinds", "copies"):
        if subject not in compared:
            continue
        of = compared[subject]
        but = f", but {of['note']}" if of["note"] else ""
        sentences.append(f"{_SUBJECTS[subject]}: **{of['verdict']}**{but}.")
        interval = of["interval"]
        span = "" if interval is None else f" ({interval[0]:+.3f} to {interval[1]:+.3f})"
        for i, (key, title) in enumerate((k, t) for k, t in _FIGURES.items() if k in of["new"] | of["old"]):
            values = (f"{of[side][key]:.3f}" if key in of[side] else "–" for side in ("new", "old"))
            last = f"{of['difference']:+.3f}{span}" if i == 0 else ""
            rows.append(f"| {title} | {of['relevant']} | {of['queries']:,} | {' | '.join(values)} | {last} |")
    return _COMPARISON.format(
        against=compared["against"], name=manifest.name, sentences=" ".join(sentences), rows="\n".join(rows)
    )


def _distances(manifest: ArtifactManifest) -> str:
    if not manifest.calibration.get("quantiles"):
        return _NOT_MEASURED
    rows = "\n".join(
        f"| {sort.replace('_', ' ')} | {q['p5']:.0f} | {q['p50']:.0f} | {q['p95']:.0f} |"
        for sort, q in manifest.calibration["quantiles"].items()
    )
    return _DISTANCES.format(collection=manifest.calibration["collection"], rows=rows)


def _words(manifest: ArtifactManifest) -> str:
    """Render the figures of searches by words; nothing for a model without class weights."""
    texts = manifest.calibration.get("text")
    if not texts:
        return ""
    rows = "\n".join(
        f"| {row['collection']} | {row['words']} | {row['count']} "
        f"| {row['precision_at_10']:.3f} | {row['map']:.3f} |"
        for row in texts["figures"]
    )
    return _WORDS.format(origin=texts["origin"], rows=rows)


def _text_tower(manifest: ArtifactManifest) -> str:
    """Render how texts are encoded; nothing for a model without a text tower."""
    if manifest.text_tower is None:
        return ""
    found = manifest.calibration.get("text_tower")
    figures = (
        ""
        if not found
        else _SHARED.format(
            shared=found["shared_of_first_ten"], texts=found["texts"], pictures=found["pictures"]
        )
    )
    return _TEXT_TOWER.format(context=manifest.text_tower.context_length, figures=figures)


def _limits(manifest: ArtifactManifest) -> str:
    if manifest.text_tower is not None:
        return _TOWER_LIMITS
    return _PRETRAINED_LIMITS if manifest.pretrained else _PIXEL_LIMITS


def _protocol(p: dict[str, Any]) -> str:
    return (
        f"{p['collection']}: {p['gallery']:,} pictures in the gallery, {p['queries']:,} queries ({p['split']}; "
        f"{p['queries_in_gallery']} queries are byte for byte in the gallery), relevant = {p['relevant']}, "
        f"ties {p['ties']}.\n\n"
        f"sha256 over the gallery `{p['gallery_sha256']}`, over the queries `{p['queries_sha256']}`. Seeds: "
        f"training {p['training_seed']}; split: {p['split_seed']}; evaluation: {p['evaluation_seed']}."
    )


def _figure_row(row: dict[str, Any]) -> str:
    return (
        f"| {row['encoder']} | {row['ranking']} | {row['map_all']:.3f} "
        f"| {row['map_worst']:.3f}–{row['map_best']:.3f} | {row['map_at_1000']:.3f} "
        f"| {row['precision_at_10']:.3f} | {row['precision_at_100']:.3f} |"
    )
