"""The numbers of metrics.json: null where there is nothing to measure, and the rule of twenty positives."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from cxrviewer.evaluation.measuring import PartMetrics, Task, measure

NAN = math.nan


def column(positives: int, negatives: int, total: int = 100) -> np.ndarray:
    return np.array([1.0] * positives + [0.0] * negatives + [NAN] * (total - positives - negatives))


@pytest.fixture(scope="module")
def part() -> PartMetrics:
    rng = np.random.default_rng(1)
    labels = np.column_stack([column(30, 40), column(25, 75), column(5, 95), column(0, 100), column(100, 0)])
    probabilities = np.clip(np.nan_to_num(labels, nan=0.5) * 0.3 + rng.random((100, 5)) * 0.6, 0, 1)
    tasks = [Task("pneumonia", 0.5, headline=False), *(Task(name, 0.5) for name in ("A", "B", "C", "D"))]
    return measure(labels, probabilities, tasks, [f"p{n % 50}" for n in range(100)])


def test_counts(part: PartMetrics) -> None:
    assert (part.n_images, part.n_patients) == (100, 50)
    found = part.labels["pneumonia"]
    assert found is not None and (found.n_positive, found.n_negative) == (30, 40)


def test_a_label_with_one_class_is_null(part: PartMetrics) -> None:
    assert part.labels["C"] is None and part.labels["D"] is None
    answer = json.loads(json.dumps(part.as_json()))
    assert answer["labels"]["C"] is None
    assert "NaN" not in json.dumps(answer)


def test_few_positives_are_listed_but_not_in_the_headline(part: PartMetrics) -> None:
    a, b = part.labels["A"], part.labels["B"]
    assert a is not None and b is not None and b.auroc_ci95 is not None
    assert part.mean_auroc == a.auroc
    assert part.mean_auroc_all == pytest.approx((a.auroc + b.auroc) / 2)
    assert (b.threshold, b.sensitivity, b.specificity) == (None, None, None)
    assert (a.threshold, a.sensitivity is not None) == (0.5, True)
    assert part.mean_auroc_ci95 is not None and part.mean_auroc_ci95.low < a.auroc < part.mean_auroc_ci95.high


def test_intervals_hold_their_value(part: PartMetrics) -> None:
    for found in part.labels.values():
        if found is not None:
            assert found.auroc_ci95 is not None
            assert found.auroc_ci95.low <= found.auroc <= found.auroc_ci95.high


def test_accuracy_is_the_binary_heads(part: PartMetrics) -> None:
    answer = part.as_json()
    assert part.accuracy is not None
    assert answer["misclassification_rate"] == pytest.approx(1 - part.accuracy)


def test_accuracy_by_hand_where_one_class_is_absent() -> None:
    """Adults who all have the disease: no AUROC, but how many were called is known."""
    part = measure(
        np.ones((4, 1)), np.array([[0.9], [0.2], [0.7], [0.6]]), [Task("pneumonia", 0.5)], list("abcd")
    )
    assert part.labels == {"pneumonia": None}
    assert part.accuracy == 0.75
    assert (part.mean_auroc, part.brier, part.loss) == (None, None, None)


def test_where_only_the_binary_head_is_stated_it_is_the_mean() -> None:
    labels = np.column_stack([column(40, 60), column(0, 0)])
    probabilities = np.column_stack([np.linspace(1, 0, 100), np.zeros(100)])
    tasks = [Task("pneumonia", 0.5, headline=False), Task("A", None)]
    part = measure(labels, probabilities, tasks, [str(n) for n in range(100)])
    assert part.mean_auroc == part.mean_auroc_all == 1.0


def test_the_operating_point_by_hand() -> None:
    """30 ill, of whom 24 are called; 60 well, of whom 6 are called."""
    labels = np.array([1.0] * 30 + [0.0] * 60)[:, None]
    chances = np.array([0.9] * 24 + [0.1] * 6 + [0.9] * 6 + [0.1] * 54)[:, None]
    part = measure(labels, chances, [Task("Mass", 0.5)], [str(n) for n in range(90)])
    answer = part.as_json()["labels"]
    assert isinstance(answer, dict)
    found = answer["Mass"]
    assert found["confusion"] == {"tp": 24, "fp": 6, "fn": 6, "tn": 54}
    assert (found["sensitivity"], found["specificity"]) == (0.8, 0.9)
    assert (found["ppv"], found["npv"]) == (0.8, 0.9)
    assert found["accuracy"] == pytest.approx(78 / 90)
    assert found["misclassification_rate"] == pytest.approx(12 / 90)
    # A binomial share's deviation is sqrt(p (1 - p) / n): 0.073 of 30, 0.039 of 60.
    for name, deviation in (("sensitivity", 0.073), ("specificity", 0.0387)):
        low, high = found[f"{name}_ci95"]
        assert low < found[name] < high
        assert (high - low) / (2 * 1.96) == pytest.approx(deviation, rel=0.2)
    for name in ("average_precision", "ppv", "npv", "accuracy", "brier"):
        low, high = found[f"{name}_ci95"]
        assert low < found[name] < high
