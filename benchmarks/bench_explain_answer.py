"""Study to answer: decode, predict, Grad-CAM of every label; ours against eager torch and captum label by label."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import torch
from bench_explain_support import arguments, ratio, report, rivals, timed
from captum.attr import LayerGradCam

from cxrviewer.classifiers.preparing import prepare, prepare_small
from cxrviewer.classifiers.shrinking import shrink
from cxrviewer.explainers.grad_cam import grad_cam_all
from cxrviewer.studies.opening import open_study
from cxrviewer.studies.phantoms import make_phantom, phantom_dicom


def main() -> None:
    """Alternate the two on the same DICOM files; the first call of each warms up and is not counted."""
    parser = arguments(__doc__, pictures=7)
    parser.add_argument("--film", type=int, default=2048, help="side of the DICOM file in pixels")
    options = parser.parse_args()
    both = rivals(options)
    weights = both.served.head_weights()
    captum = LayerGradCam(both.plain, both.plain.feature_layer)

    def ours(data: bytes) -> np.ndarray:
        (small,) = shrink(open_study(data), both.served.spec.size).squares
        output = both.served.run(prepare_small(small, both.served.spec))
        return grad_cam_all(output, weights)

    def plain(data: bytes) -> np.ndarray:
        file = pydicom.dcmread(io.BytesIO(data))
        pixels = file.pixel_array.astype(np.float32)
        low, high = np.percentile(pixels, (0.5, 99.5))
        inputs = prepare(np.clip((pixels - low) / (high - low), 0, 1), both.served.spec)
        with torch.no_grad():
            both.plain(inputs)
        maps = [
            captum.attribute(inputs, index, relu_attributions=True)
            for index in range(len(both.served.targets))
        ]
        return torch.cat(maps)[:, 0].detach().numpy()

    files = [phantom_dicom(make_phantom(seed, size=options.film)) for seed in range(min(options.pictures, 3))]
    ours(files[0]), plain(files[0])
    slow, fast = [], []
    for number in range(options.pictures):
        data = files[number % len(files)]
        slow.append(timed(lambda data=data: plain(data)))
        fast.append(timed(lambda data=data: ours(data)))
    figures = {"weights": both.weights, "labels": len(both.served.targets), "film": options.film}
    report("study to answer", figures | ratio(slow, fast), options.out)


if __name__ == "__main__":
    main()
