"""`python -m cxrviewer.training RUN_FOLDER`: the process of one run, from its config.json to its bundle.

What a launcher starts. The same run as `python -m cxrviewer train`, at low priority and with a core left for the app.
Exit status 0: finished; 1: failed or cancelled, and status.json says why; 2: no run folder.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

NICENESS = 10
"""The app's own work goes first."""


def main(arguments: list[str]) -> int:
    """Take the run up, and start the next one that waits when it ends."""
    if len(arguments) != 1 or not (Path(arguments[0]) / "config.json").is_file():
        sys.stderr.write("usage: python -m cxrviewer.training RUN_FOLDER (with its config.json)\n")
        return 2
    if hasattr(os, "nice"):
        with suppress(OSError):
            os.nice(max(0, NICENESS - os.nice(0)))  # whoever started this may be nice already
    path = Path(arguments[0]).absolute()
    from cxrviewer.errors import CxrError
    from cxrviewer.training.commands import train

    try:
        train(path / "config.json", path, resume=True)
    except CxrError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
