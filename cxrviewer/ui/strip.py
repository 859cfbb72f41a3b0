"""Four small Grad-CAMs beside the chosen finding's maps."""

from __future__ import annotations

from cxrviewer.classifiers.prediction import Prediction
from cxrviewer.studies.radiograph import Radiograph
from cxrviewer.ui import colouring, film, resources, words
from cxrviewer.ui.state import ViewerState
from cxrviewer.ui.viewport import Pane
from cxrviewer.ui.viewport.media import address

COUNT = 4


def strip_panes(radiograph: Radiograph, prediction: Prediction, state: ViewerState) -> list[list[Pane]]:
    """Two rows of two panes, the highest finding first; empty where the model has no findings."""
    grids, base = resources.reader().grad_cams(radiograph), film.picture(radiograph, state)
    panes = []
    for score in prediction.findings[:COUNT]:
        if score.target not in grids:
            continue
        drawn = colouring.layer_of(
            grids[score.target], radiograph.shape, keep_top=state.keep_top, colours=state.colours
        )
        name = words.target_label(score.target)
        panes.append(
            Pane(
                score.target.slug,
                f"{name} {words.probability(score.probability)}",
                base,
                f"Grad-CAM of {name}",
                overlay=address(drawn.png, "image/png", f"strip-{score.target.slug}"),
                opacity=state.opacity,
            )
        )
    return [panes[:2], panes[2:]] if panes else []
