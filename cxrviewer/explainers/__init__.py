"""(classifier, radiograph, target) -> Explanation. EXPLAINERS names the methods; `explainer()` builds one.

A new method is a file with a subclass of Explainer and a line here; the shared tests pick it up.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from cxrviewer.errors import ConfigurationError
from cxrviewer.explainers.explainer import Explainer, Explanation
from cxrviewer.explainers.grad_cam import GradCam
from cxrviewer.explainers.integrated_gradients import IntegratedGradients
from cxrviewer.explainers.lime import Lime

EXPLAINERS: dict[str, type[Explainer]] = {
    "gradcam": GradCam,
    "integrated-gradients": IntegratedGradients,
    "lime": Lime,
}

__all__ = ["EXPLAINERS", "Explainer", "Explanation", "explainer"]


def explainer(name: str, **options: Any) -> Explainer:
    """The method of that name with its settings. Raises ConfigurationError for an unknown name, setting or value."""
    if name not in EXPLAINERS:
        raise ConfigurationError(f"There is no method {name}.", f"Choose one of {', '.join(EXPLAINERS)}.")
    method = EXPLAINERS[name]
    known = [field.name for field in fields(method)]  # type: ignore[arg-type]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ConfigurationError(f"{name} has no setting {unknown[0]}.", f"It has {', '.join(known)}.")
    return method(**options)
