"""A label file of ten million lines: read and checked within 2 GB and 60 s, and refused by a wrong last line.

    python benchmarks/bench_label_file.py [--lines 10000000] [--dataset chexpert|nih|csv] [--folder DIR]

The table is generated (four of its pictures exist), then `datasets inspect` runs in a process of its own, whose time
and peak memory are printed (time on the clock and on the processor); then again with the last line spoilt.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PIL import Image

from cxrviewer.labels import CHEXPERT_14

PICTURES = 4
BLOCK = 100_000
SECONDS, BYTES = 60, 2 << 30


def nih_lines() -> Iterator[str]:
    findings = ("No Finding", "Effusion|Mass", "Pneumonia", "Infiltration|Edema|Nodule")
    yield "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
    for n in range(sys.maxsize):
        yield f"{n // 8:08d}_{n % 8:03d}.png,{findings[n % 4]},{n % 8},{n // 8},{n % 90:03d}Y,{'MF'[n % 2]},PA"


def chexpert_lines() -> Iterator[str]:
    labels = [
        ",".join(("", "1.0", "0.0", "-1.0")[(n * 7 + k * k) % 4] for k in range(14)) for n in range(1000)
    ]
    yield f"Path,Sex,Age,Frontal/Lateral,AP/PA,{','.join(CHEXPERT_14)}"
    for n in range(sys.maxsize):
        path = f"CheXpert-v1.0-small/train/patient{n // 4:07d}/study{n % 4}/view1_frontal.jpg"
        yield f"{path},{('Male', 'Female')[n % 2]},{n % 90},Frontal,AP,{labels[n % 1000]}"


def csv_lines() -> Iterator[str]:
    yield "path,patient,age,sex,pneumonia,Mass,Nodule"
    for n in range(sys.maxsize):
        yield f"images/{n // 1000:05d}/{n:08d}.png,person-{n // 3},{n % 90},{'MF'[n % 2]},{n % 2},{n % 3 % 2},"


TABLES: dict[str, tuple[str, Callable[[], Iterator[str]], Callable[[str], str]]] = {
    "nih": ("Data_Entry_2017.csv", nih_lines, lambda line: "images/" + line.split(",")[0]),
    "chexpert": ("train.csv", chexpert_lines, lambda line: line.split(",")[0].split("/", 1)[1]),
    "csv": ("table.csv", csv_lines, lambda line: line.split(",")[0]),
}


def write(folder: Path, name: str, lines: int) -> Path:
    """The table, and the pictures of its first lines."""
    file, rows, place = TABLES[name]
    source = rows()
    header, first = next(source), list(islice(source, PICTURES))
    for grey, line in enumerate(first):
        path = folder / place(line)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), grey).save(path)
    with (folder / file).open("w", encoding="utf-8") as out:
        out.write("\n".join([header, *first]) + "\n")
        left = lines - PICTURES
        while left > 0 and (block := list(islice(source, min(BLOCK, left)))):
            out.write("\n".join(block) + "\n")
            left -= len(block)
    return folder / file


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock and on the processor, and the most memory that was resident, in bytes."""

    clock: float
    processor: float
    memory: int


def inspect(folder: Path, name: str) -> tuple[dict[str, object], Cost]:
    """`datasets inspect --json`: its answer, and what it cost."""
    command = [
        sys.executable,
        "-m",
        "cxrviewer",
        "datasets",
        "inspect",
        "--dataset",
        name,
        "--root",
        str(folder),
        "--json",
    ]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        answer = child.stdout.read() if child.stdout is not None else ""
        _, _, usage = os.wait4(child.pid, 0)
        child.returncode = 0  # wait4 has reaped it
    cost = Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
    return json.loads(answer), cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--dataset", choices=TABLES, action="append")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the table is written; default: temporary"
    )
    chosen = parser.parse_args()
    for name in chosen.dataset or TABLES:
        with tempfile.TemporaryDirectory(dir=chosen.folder) as made:
            listing = write(Path(made), name, chosen.lines)
            size = listing.stat().st_size
            answer, cost = inspect(Path(made), name)
            assert answer["images"] == PICTURES
            assert answer["missing_files"] == chosen.lines - PICTURES
            report(f"{name}, {chosen.lines:,} lines, {size / 1e6:.0f} MB: read", cost)
            with listing.open("ab") as file:
                file.write(b"spoilt\n")
            answer, cost = inspect(Path(made), name)
            words = json.dumps(answer)
            assert f"line {chosen.lines + 2}: expected" in words, words
            report(f"{name}, a wrong last line: refused", cost)


def report(what: str, cost: Cost) -> None:
    within = cost.clock <= SECONDS and cost.memory <= BYTES
    print(
        f"{what} in {cost.clock:.1f} s ({cost.processor:.1f} s of processor), {cost.memory / (1 << 30):.2f} GB: "
        f"{'within' if within else 'OVER'} 60 s and 2 GB",
        flush=True,
    )


if __name__ == "__main__":
    main()
