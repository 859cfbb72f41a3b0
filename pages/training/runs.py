"""Training runs: state, curves and log of each. They are started by `python -m cxrviewer train`."""

from __future__ import annotations

from cxrviewer.settings import get_settings
from cxrviewer.ui import shell, training

with shell.screen():
    training.show_runs(get_settings().runs_dir)
