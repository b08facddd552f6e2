"""Report on benchmark rows: each aim beside the measured ratio, and plots of latency against size."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SIZES = (60_000, 1_000_000, 10_000_000, 100_000_000)


@dataclass(frozen=True, slots=True)
class Row:
    """One engine on one set of codes."""

    engine: str
    n: int
    bits: int
    k: int
    data: str
    batch: int
    p50_ms: float
    p99_ms: float
    exact: bool
    bytes_per_code: float


SHORT = {60_000: "60 k", 200_000: "200 k", 1_000_000: "1 M", 10_000_000: "10 M", 100_000_000: "100 M"}


@dataclass(frozen=True, slots=True)
class Aim:
    """A bound on the ratio of two engines' times."""

    text: str
    setting: str
    """``n × bits …``."""
    measured: float
    bound: float
    at_most: bool = False

    @property
    def size(self) -> str:
        """Number of codes, abbreviated; empty if the setting does not include it."""
        n, is_sized, _ = self.setting.partition(" × ")
        return SHORT[int(n.replace(",", ""))] if is_sized else ""

    @property
    def row(self) -> tuple[str, str, str]:
        """What aims for several sizes share: text, setting without size, bound."""
        bound = f"{'≤' if self.at_most else '≥'} {self.bound:g}" if self.bound else "–"
        return self.text, self.setting.rpartition(" × ")[2], bound

    @property
    def missed_by(self) -> float:
        """Share by which the bound is missed; 0 if it is met."""
        if not self.bound:
            return 0.0
        gap = self.measured / self.bound - 1 if self.at_most else 1 - self.measured / self.bound
        return max(0.0, gap)


class Rows:
    """Rows indexed by what was measured."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = {(r.engine, r.n, r.bits, r.k, r.data, r.batch): r for r in rows}

    def ratio(
        self,
        slow: str,
        quick: str,
        n: int,
        bits: int,
        k: int = 10,
        data: str = "uniform",
        batch: int = 1,
        field: str = "p50_ms",
    ) -> Iterator[float]:
        """Ratio of the times of ``slow`` and ``quick``, if both were measured."""
        a, b = (self._rows.get((engine, n, bits, k, data, batch)) for engine in (slow, quick))
        if a is not None and b is not None:
            yield getattr(a, field) / getattr(b, field)

    def with_rows_left_out(self, unfiltered: Row) -> list[Row]:
        """Rows of filters and deletes on the same codes."""
        where = (unfiltered.n, unfiltered.bits)
        named = (
            r for r in self._rows.values() if r.engine.startswith("ours, scan: ") and (r.n, r.bits) == where
        )
        return [r for r in named if r is not unfiltered and not r.engine.endswith("wall")]

    def settings(self, engine: str) -> list[Row]:
        """Rows of one engine."""
        return [row for row in self._rows.values() if row.engine == engine]


def aims(rows: list[Row], versions: dict[str, str]) -> str:
    """The Markdown table, with one line per aim and code length, below the versions of the peers."""
    lines = [
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        "",
        "| Aim | Codes | Bound | Measured | |",
        "|---|---|---|---|---|",
    ]
    grouped: dict[tuple[str, str, str], list[Aim]] = {}
    for aim in _aims(Rows(rows)):
        grouped.setdefault(aim.row, []).append(aim)
    for (text, setting, bound), group in grouped.items():
        measured = " · ".join(f"{aim.size} {aim.measured:.2f}".strip() for aim in group)
        missed = ", ".join(f"{aim.size} by {aim.missed_by:.0%}".strip() for aim in group if aim.missed_by)
        verdict = f"**missed**: {missed}" if missed else "met" if group[0].bound else ""
        lines.append(f"| {text} | {setting} | {bound} | {measured} | {verdict} |")
    return "\n".join(lines) + "\n"


def _aims(rows: Rows) -> Iterator[Aim]:
    yield from _scan_aims(rows)
    yield from _table_aims(rows)
    for n, bits in ((n, bits) for n in SIZES for bits in (64, 256)):
        where = f"{n:,} × {bits} bits"
        for row in rows.settings("ours, scan: no filter"):
            if (row.n, row.bits) == (n, bits):
                yield from _filter_aims(rows, row, where)
        for ratio in rows.ratio("start: rows one by one", "start: snapshot to first answer", n, bits):
            yield Aim("snapshot against rows one by one", where, ratio, 50)
        for ratio in rows.ratio(
            "start: rows as the service reads them", "start: snapshot to first answer", n, bits
        ):
            yield Aim("snapshot against rows as the service reads them", where, ratio, 50)
    for row in rows.settings("start: snapshot to first answer"):
        if row.n == 10_000_000:
            where = f"{row.n:,} × {row.bits} bits"
            yield Aim("snapshot to first answer, CPU s", where, row.p50_ms / 1e3, 0.5, at_most=True)
    for row in rows.settings("start: rows as the service reads them"):
        where = f"{row.n:,} × {row.bits} bits"
        yield Aim("rows of SQLite, millions a CPU s", where, row.n / row.p50_ms / 1e3, 2)
    for row in rows.settings("start: process, kernels cached"):
        yield Aim("fresh process to first answer, CPU s", "kernels cached", row.p50_ms / 1e3, 0.6, at_most=True)


def _scan_aims(rows: Rows) -> Iterator[Aim]:
    for bits, n in ((bits, n) for bits in (64, 128, 160, 256) for n in SIZES):
        where = f"{n:,} × {bits} bits"
        for k in (10, 100):
            bound = 1.5 if k == 100 or bits in {128, 160} else 2
            for ratio in rows.ratio("faiss flat", "ours, scan", n, bits, k):
                yield Aim(f"scan against faiss flat, k = {k}", where, ratio, bound)
        for data in ("clustered", "real"):
            for ratio in rows.ratio("faiss flat", "ours, scan", n, bits, data=data):
                yield Aim(
                    f"scan against faiss flat, k = 10, {data}", where, ratio, 1.5 if bits in {128, 160} else 2
                )
        if bits in {128, 160}:
            continue
        for ratio in rows.ratio("numpy, chunks", "ours, scan", n, bits):
            yield Aim("scan against numpy in chunks", where, ratio, 2.5)
        for ratio in rows.ratio("numpy, naive", "ours, scan", n, bits):
            yield Aim("scan against naive numpy", where, ratio, 15)
        for ratio in rows.ratio("faiss flat", "ours, scan", n, bits, batch=64):
            yield Aim("batch of 64 against faiss flat", where, ratio, 3)
        for ratio in rows.ratio("reading", "ours, scan", n, bits):
            if n >= 10_000_000:
                yield Aim("scan, share of the streaming read", where, ratio, 0.8)


def _table_aims(rows: Rows) -> Iterator[Aim]:
    for bits, n in ((bits, n) for bits in (64, 128, 160, 256) for n in SIZES[1:]):
        where = f"{n:,} × {bits} bits"
        for ratio in rows.ratio("ours, scan", "ours, tables", n, bits, data="clustered"):
            yield Aim(
                "multi-index hashing against our scan, clustered", where, ratio, 10 if n >= 10_000_000 else 0
            )
        for ratio in rows.ratio("ours, scan", "ours, planner", n, bits, data="clustered"):
            yield Aim("planner against our scan, clustered", where, ratio, 0)
        for ratio in rows.ratio("ours, scan", "ours, tables", n, bits, data="real"):
            yield Aim("multi-index hashing against our scan, real", where, ratio, 0)
        for ratio in rows.ratio("ours, scan", "ours, planner", n, bits, data="real"):
            yield Aim("planner against our scan, real", where, ratio, 0)
    for row in rows.settings("ours, planner"):
        if row.batch == 1 and row.k == 10:
            for ratio in rows.ratio(
                "ours, planner", "ours, scan", row.n, row.bits, 10, row.data, field="p99_ms"
            ):
                where = f"{row.n:,} × {row.bits} bits"
                yield Aim(f"planner's p99 over the scan's, {row.data}", where, ratio, 1.2, at_most=True)


def _filter_aims(rows: Rows, unfiltered: Row, where: str) -> Iterator[Aim]:
    for row in rows.with_rows_left_out(unfiltered):
        bound = 1.1 if row.engine.endswith("deleted") else 1.35
        text = row.engine.removeprefix("ours, scan: ")
        yield Aim(f"filter over no filter: {text}", where, row.p50_ms / unfiltered.p50_ms, bound, at_most=True)


def plot(rows: list[Row], folder: Path) -> None:
    """Plot latency against the number of codes, log-log, for each kind of codes and length."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    mpl.rcParams["svg.hashsalt"] = "lookalike"
    folder.mkdir(parents=True, exist_ok=True)
    for data, bits in (("uniform", 64), ("uniform", 256), ("clustered", 64), ("clustered", 256), ("real", 256)):
        chosen = [
            r for r in rows if (r.bits, r.k, r.data, r.batch) == (bits, 10, data, 1) and ":" not in r.engine
        ]
        if not chosen:
            continue
        figure, axes = plt.subplots(figsize=(7, 4.5))
        for engine in dict.fromkeys(r.engine for r in chosen):
            line = [(r.n, r.p50_ms) for r in chosen if r.engine == engine]
            style = "-" if engine.startswith("ours") else ":" if engine == "reading" else "--"
            axes.loglog(*zip(*line, strict=True), style, marker="o", label=engine)
        axes.set(
            title=f"{data} codes of {bits} bits, k = 10",
            xlabel="codes",
            ylabel="CPU milliseconds a query (median, one thread)",
        )
        axes.legend(fontsize="small")
        axes.grid(visible=True, which="major", alpha=0.3)
        figure.tight_layout()
        figure.savefig(folder / f"search-{data}-{bits}.svg", metadata={"Date": None})
        plt.close(figure)
