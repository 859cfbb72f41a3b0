"""LIME: the fast engine and stopping when settled, against a plain call of the lime package with an eager function."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import torch
from bench_explain_support import Rivals, arguments, pictures, ratio, report, rivals, timed
from lime.lime_image import LimeImageExplainer

from cxrviewer.classifiers.preparing import reduce, standardise
from cxrviewer.explainers import explainer
from cxrviewer.explainers.lime import agreement
from cxrviewer.explainers.lime_regions import cut
from cxrviewer.studies.radiograph import Radiograph

SEGMENTS = 50


def plain_lime(both: Rivals, film: Radiograph, target: int, samples: int, seed: int) -> np.ndarray:
    """Weights a region, by the package's own call on the same regions."""
    picture = reduce(film.presentation(), both.served.spec.size)
    segments = cut(picture, "slic", SEGMENTS)

    def score(batch: np.ndarray) -> np.ndarray:
        inputs = standardise(torch.from_numpy(batch[..., 0]).float()[:, None]).repeat(
            1, both.served.spec.channels, 1, 1
        )
        with torch.no_grad():
            return both.plain(inputs).numpy()

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
        found = LimeImageExplainer(random_state=seed).explain_instance(
            picture.astype(np.float64), score, (target,), top_labels=None, num_samples=samples,
            segmentation_fn=lambda _: segments, random_seed=0,
        )  # fmt: skip
    weights = np.zeros(segments.max() + 1)
    for region, weight in found.local_exp[target]:
        weights[region] = weight
    return weights


def main() -> None:
    """For each picture: plain, ours at the same samples, ours until settled, and the agreement with a reference."""
    parser = arguments(__doc__, pictures=3)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--reference", type=int, default=5000, help="samples of the reference; 0 for none")
    options = parser.parse_args()
    both = rivals(options)
    films, source = pictures(options.pictures)
    target = both.served.targets[options.target]

    def ours(film: Radiograph, **settings: float | int | bool) -> np.ndarray:
        found = explainer("lime", segments=SEGMENTS, **settings).explain(both.served, film, target)
        drawn.append(int(found.admits["samples"]))
        assert found.segments is not None
        return found.grid.ravel()[np.unique(found.segments, return_index=True)[1]].astype(np.float64)

    drawn: list[int] = []
    ours(films[0], samples=20)
    plain_lime(both, films[0], options.target, 20, 0)
    slow, same, settled, ranks, stopped = [], [], [], [], []
    for number, film in enumerate(films):
        slow.append(timed(lambda film=film: plain_lime(both, film, options.target, options.samples, 0)))
        same.append(timed(lambda film=film: ours(film, samples=options.samples, settle=0.0, paired=False)))
        settled.append(timed(lambda film=film: ours(film, samples=options.samples)))
        stopped.append(drawn[-1])
        # The lime package draws the same samples for the same seed, so the two must agree to the engine's 1e-4.
        rows = [agreement(slow[-1].answer, same[-1].answer)]
        if options.reference:
            truth = ours(film, samples=options.reference, settle=0.0, paired=False, seed=1000)
            rows += [agreement(truth, one[-1].answer) for one in (slow, settled)]
        ranks.append(rows)
        print(number, stopped[-1], [round(value, 4) for value in rows], flush=True)
    table = np.median(np.array(ranks), axis=0)
    figures = {
        "weights": both.weights,
        "pictures": f"{len(films)} {source}",
        "samples": options.samples,
        "rank_agreement_same_samples": float(table[0]),
        "median_samples_settled": float(np.median(stopped)),
    }
    figures |= {f"same_samples_{key}": value for key, value in ratio(slow, same).items()}
    figures |= {f"settled_{key}": value for key, value in ratio(slow, settled).items()}
    if options.reference:
        figures |= {"fidelity_plain": float(table[1]), "fidelity_settled": float(table[2])}
    report("lime", figures, options.out)


if __name__ == "__main__":
    main()
