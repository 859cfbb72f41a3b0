"""Kills writers in mid-write and tells what they had acknowledged. A program of its own: it forks.

    python writer.py DATA_DIR ROUNDS      -> one line of JSON: {"rounds": N, "acknowledged": [digest, ...]}

One process imports everything once; each round forks a child that imports studies as fast as it can, writes a
digest to a pipe after each call that has returned, and is killed with SIGKILL after some milliseconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from cxrviewer.archive import Archive
from cxrviewer.classifiers.prediction import Prediction, Provenance, ScopeAnswer
from cxrviewer.studies.radiograph import Identity, Metadata, Radiograph


def write_without_end(data_dir: Path, round_: int, pipe: int) -> None:
    """Import studies and save results until killed."""
    archive = Archive(data_dir)
    for number in range(10**6):
        data = f"{round_} {number} ".encode() * 2000
        digest = hashlib.sha256(data).hexdigest()
        radiograph = Radiograph(
            np.zeros((16, 16), np.float32),
            digest,
            Metadata("DICOM", study_instance_uid=f"1.{round_}.{number % 3}"),
            identity=Identity("Doe^Jane", "P1"),
        )
        archive.import_study(data, radiograph)
        provenance = Provenance("m", "ab" * 32, "0.1.0", "torch", "cpu", "p", "2026-01-01")
        archive.save_result(Prediction(digest, 1, ScopeAnswer(True), (), provenance, 0.1))
        os.write(pipe, (digest + "\n").encode())


def one_round(data_dir: Path, round_: int, seconds: float) -> list[str]:
    """What a writer that lived for `seconds` after its first word had acknowledged."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        write_without_end(data_dir, round_, write)
        os._exit(0)
    os.close(write)
    # The first word shows that it writes; a kill during start-up would test little.
    received = os.read(read, 1 << 16)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(read, 1 << 16):
        received += more
    os.close(read)
    # A killed writer may leave half a line, which it has not acknowledged.
    return received.decode().split("\n")[:-1]


def main() -> None:
    data_dir, rounds = Path(sys.argv[1]), int(sys.argv[2])
    chance = random.Random(1)
    acknowledged: list[str] = []
    for round_ in range(rounds):
        acknowledged += one_round(data_dir, round_, chance.uniform(0, 0.03))
    print(json.dumps({"rounds": rounds, "acknowledged": acknowledged}))


if __name__ == "__main__":
    main()
