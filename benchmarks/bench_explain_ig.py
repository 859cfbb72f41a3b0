"""Integrated Gradients: placed steps that stop when converged, against captum's default of 50 Gauss-Legendre steps."""

from __future__ import annotations

import numpy as np
import torch
from bench_explain_support import Rivals, arguments, pictures, ratio, report, rivals, timed
from captum.attr import IntegratedGradients

from cxrviewer.classifiers.preparing import reduce
from cxrviewer.explainers import explainer
from cxrviewer.explainers.baselines import endpoints
from cxrviewer.explainers.integrated_gradients import tolerance
from cxrviewer.studies.radiograph import Radiograph

INTERNAL_BATCH = 10
"""captum's default puts all 50 pictures into one backward pass: several gigabytes for a DenseNet-121."""


def captum_default(
    both: Rivals, film: Radiograph, baseline: str, target: int, steps: int = 50
) -> torch.Tensor:
    """What captum gives: (1, C, S, S)."""
    start, end = endpoints(reduce(film.presentation(), both.served.spec.size), baseline, both.served.spec)
    found: torch.Tensor = IntegratedGradients(both.plain).attribute(
        end, start, target=target, n_steps=steps, internal_batch_size=INTERNAL_BATCH
    )
    return found.detach()


def main() -> None:
    """Alternate the two over the pictures; also how far both maps are from a reference of many steps."""
    parser = arguments(__doc__, pictures=20)
    parser.add_argument("--baseline", default="black", choices=["black", "blur", "mean"])
    parser.add_argument("--reference", type=int, default=0, help="steps of a reference map; 0 for none")
    options = parser.parse_args()
    both = rivals(options)
    films, source = pictures(options.pictures)
    target = both.served.targets[options.target]
    method = explainer("integrated-gradients", baseline=options.baseline)
    method.explain(both.served, films[0], target)
    slow, fast, rows, errors = [], [], [], []
    for number, film in enumerate(films):
        slow.append(timed(lambda film=film: captum_default(both, film, options.baseline, options.target)))
        fast.append(timed(lambda film=film: method.explain(both.served, film, target)))
        ours, theirs = fast[-1].answer, slow[-1].answer.double()
        difference = float(ours.admits["difference"])
        delta = float(theirs.sum()) - difference
        rows.append(
            (
                abs(delta), abs(float(ours.admits["convergence_delta"])), abs(delta) <= tolerance(difference),
                ours.admits["converged"], ours.admits["steps"], ours.admits["roughness"],
            )
        )  # fmt: skip
        print(f"{number}: difference {difference:.3f}", *(f"{value:.4g}" for value in rows[-1]), flush=True)
        if options.reference:
            best = captum_default(both, film, options.baseline, options.target, options.reference).double()
            maps = (theirs[0].sum(0), torch.from_numpy(ours.grid).double())
            truth = best[0].sum(0)
            errors.append([float((one - truth).norm() / truth.norm()) for one in maps])
    table = np.array(rows, float)
    figures = {
        "weights": both.weights,
        "pictures": f"{len(films)} {source}",
        "baseline": options.baseline,
        "median_delta_plain": float(np.median(table[:, 0])),
        "median_delta_ours": float(np.median(table[:, 1])),
        "converged_plain": float(table[:, 2].mean()),
        "converged_ours": float(table[:, 3].mean()),
        "median_steps_ours": float(np.median(table[:, 4])),
        "most_steps_ours": float(table[:, 4].max()),
        "median_roughness_ours": float(np.median(table[:, 5])),
    } | ratio(slow, fast)
    if errors:
        plain, ours_error = np.median(np.array(errors), axis=0)
        figures |= {"map_error_plain": float(plain), "map_error_ours": float(ours_error)}
    report("integrated gradients", figures, options.out)


if __name__ == "__main__":
    main()
