"""`python -m cxrviewer.training RUN_FOLDER`: the process of one run, from its config.json to its bundle.

What a launcher starts. The same run as `python -m cxrviewer train`, at low priority and with a core left for the app.
Exit status 0: finished; 1: failed or cancelled, and status.json says why; 2: no run folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

NICENESS = 10
"""The app's own work goes first."""
REPORT_SECONDS = 300


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
    from cxrviewer.logs import configure_logging
    from cxrviewer.settings import get_settings
    from cxrviewer.training.commands import train

    try:
        configure_logging(get_settings().log_level)  # libraries that quote what they read are silenced
        train(path / "config.json", path, resume=True)
    except CxrError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    report(path)
    return 0


def report(run: Path) -> None:
    """Have the report written by the program that draws: training itself draws nothing. A finished run stays one."""
    from cxrviewer.settings import get_settings

    if run.parent != get_settings().runs_dir:
        return  # the command knows runs by their id alone
    command = (sys.executable, "-P", "-m", "cxrviewer", "runs", "report", run.name)
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(command, stdin=subprocess.DEVNULL, timeout=REPORT_SECONDS, check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
