"""Model cards: what each model is for, what it was trained on, how it fared."""

from __future__ import annotations

from cxrviewer.ui import cards, resources, shell

with shell.screen():
    cards.show_models(resources.models())
