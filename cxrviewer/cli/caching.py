"""`datasets cache`: what the prepared training pictures take on disk, and giving it back."""

from __future__ import annotations

from typing import Annotated

import typer

from cxrviewer.cli.output import answering, say, say_json
from cxrviewer.cli.predicting import AsJson


def cache(
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove them; the next run decodes its pictures again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prepared training pictures: how many gigabytes they take. What a run is filling now is never removed."""
    with answering(as_json):
        from cxrviewer.training.picture_cache import PictureCache

        pictures = PictureCache.of()
        freed = pictures.clear() if clear else 0
        room = pictures.room()
        if as_json:
            say_json({"bytes": room.bytes, "rules": room.rules, "freed": freed, "cap": pictures.max_bytes})
        else:
            given_back = f"; {freed / 1e9:.2f} GB given back" if clear else ""
            say(
                f"{room.bytes / 1e9:.2f} of {pictures.max_bytes / 1e9:.0f} GB, "
                f"{room.rules} ways of preparing{given_back}"
            )
