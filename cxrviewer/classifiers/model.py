"""A model that serves: a checked bundle with its network, calibration and scope. One call answers a radiograph."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

from cxrviewer import __version__
from cxrviewer.classifiers.bundle import Bundle
from cxrviewer.classifiers.calibration import prevalence_of, score
from cxrviewer.classifiers.card import Card
from cxrviewer.classifiers.framing import Frame
from cxrviewer.classifiers.prediction import Prediction, Provenance
from cxrviewer.classifiers.preparer import Prepared
from cxrviewer.classifiers.preparing import prepare_small
from cxrviewer.classifiers.scope import SCOPE_SIZE, Scope
from cxrviewer.classifiers.serving import Output, ServingClassifier
from cxrviewer.classifiers.shrinking import shrink
from cxrviewer.studies.radiograph import Radiograph


class ServingModel:
    """Shared by all sessions; nothing on it changes after it is made.

    site_prevalence: share of pneumonia where the pictures come from, or None for that of the tune part.
    operating_point: by which of a target's operating points it is called positive; "model": the bundle's own.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        engine: str = "auto",
        device: str = "auto",
        site_prevalence: float | None = None,
        operating_point: str = "model",
    ) -> None:
        self.card: Card = bundle.card
        self.serving = ServingClassifier(
            bundle.classifier(),
            model_id=bundle.card.id,
            weights_sha256=bundle.card.weights_sha256,
            engine=engine,
            device=device,
        )
        self.scope = Scope(bundle.card.scope, bundle.scope_tensors())
        self._site_prevalence, self._operating_point = site_prevalence, operating_point

    def predict(self, radiograph: Radiograph) -> Prediction:
        """Scope, then one forward pass, then calibration. No score is computed out of scope."""
        return self.predict_with_output(radiograph)[0]

    def predict_with_output(self, radiograph: Radiograph) -> tuple[Prediction, Output | None]:
        """The prediction, and the forward pass behind it (None out of scope): Grad-CAM needs nothing more."""
        start = time.perf_counter()
        preparer, shape = self.serving.preparer, radiograph.shape
        # The scope's own picture is the whole film, whatever the network is given; both come of one pass.
        shrunk = shrink(radiograph, SCOPE_SIZE, preparer.first(shape))
        answer = self.scope.answer(radiograph, shrunk)
        prepared = output = None
        if answer.in_scope:
            prepared = preparer.finish(
                shrunk.squares[1], shape, lambda part: shrink(radiograph, part).squares[0]
            )
            answer = replace(answer, cautions=(*answer.cautions, *prepared.notes))
            output = self.serving.run(prepare_small(prepared.square, self.serving.spec))
            if prepared.frame != Frame.whole(shape):
                output = replace(output, frame=prepared.frame)
        logits = [] if output is None else [float(logit) for logit in output.logits[0]]
        scores = tuple(
            score(logit, target, prevalence_of(target, self._site_prevalence), self._operating_point)
            for logit, target in zip(logits, self.card.targets[: len(logits)], strict=True)
        )
        prediction = Prediction(
            digest=radiograph.digest,
            frame=radiograph.frame,
            scope=answer,
            scores=scores,
            provenance=self.provenance(prepared),
            seconds=time.perf_counter() - start,
        )
        return prediction, output

    def provenance(self, prepared: Prepared | None = None) -> Provenance:
        """What a result carries (G16); with `prepared` also what was done to that one picture."""
        own = "" if prepared is None or self.serving.preparer.still else f"; {_box(prepared)}"
        return Provenance(
            model_id=self.card.id,
            weights_sha256=self.card.weights_sha256,
            app_version=__version__,
            engine=self.serving.engine,
            device=str(self.serving.device),
            preprocessing=self.serving.spec.words() + own,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def _box(prepared: Prepared) -> str:
    """The one picture's own transform, in its pixels: with it the square can be made again without a lung network."""
    frame = prepared.frame
    rows, columns = (frame.top, frame.top + frame.height), (frame.left, frame.left + frame.width)
    lost = " (lungs not found)" if prepared.notes else ""
    return f"rows {rows[0]} to {rows[1]}, columns {columns[0]} to {columns[1]}{lost}"
