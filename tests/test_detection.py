"""Detection: average precision is COCO's, what is taught is what is read, and the loss knows a right answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from detecting import coco, perfect

from explorer import detection
from explorer.detection import FOUND, SIZES, Found, average_precision, decode, scores
from explorer.lab.detection import loss
from explorer.lab.networks import CHANNELS, GRID
from explorer.scenes import CLASSES, draw_groups, render_groups

COUNT = 60


@pytest.fixture(scope="module")
def truth() -> dict[str, torch.Tensor]:
    made = render_groups(draw_groups(12, torch.arange(COUNT)))
    return {"boxes": made.boxes, "labels": made.labels, "counts": made.counts}


def _noisy(truth: dict[str, torch.Tensor], seed: int, ties: bool = False) -> Found:
    """What a poor detector might find: boxes that are off, wrong classes, doubles, and things that are not there."""
    draw = torch.Generator().manual_seed(seed)
    n = len(truth["boxes"])
    boxes = torch.rand(n, FOUND, 4, generator=draw)
    boxes = torch.cat([boxes[..., :2] * 0.7, boxes[..., :2] * 0.7 + 0.05 + 0.25 * boxes[..., 2:]], -1)
    labels = torch.randint(0, len(CLASSES), (n, FOUND), generator=draw)
    found = torch.rand(n, FOUND, generator=draw) * 0.6
    for copy in range(3):
        place = slice(5 * copy, 5 * copy + 5)
        boxes[:, place] = truth["boxes"] + (0.01 + 0.03 * copy) * torch.randn(n, 5, 4, generator=draw)
        right = torch.rand(n, 5, generator=draw) < 0.8
        labels[:, place] = torch.where(right & truth["counts"], truth["labels"], labels[:, place])
        found[:, place] += 0.4 * torch.rand(n, 5, generator=draw)
    boxes[..., 2:] = boxes[..., 2:].maximum(boxes[..., :2] + 0.01)
    if ties:
        found = (found * 5).round() / 5
    order = found.argsort(dim=1, descending=True, stable=True)
    boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
    return Found(boxes, labels.gather(1, order), found.gather(1, order))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("area", [(0.0, math.inf), *SIZES.values()], ids=["all", *SIZES])
def test_average_precision_is_that_of_pycocotools(truth, seed, area, capsys):
    found = _noisy(truth, seed)
    own, theirs = average_precision(found, truth, area), coco(found, truth, area)
    capsys.readouterr()
    assert 0.05 < own[0] < 0.95  # neither nothing nor all of it
    assert np.abs(own - theirs).max() < 1e-6


def test_equal_scores_are_taken_in_order(truth):
    found = _noisy(truth, 3, ties=True)
    assert np.abs(average_precision(found, truth) - coco(found, truth, (0.0, math.inf))).max() < 1e-6


def test_what_is_taught_is_what_is_read(truth):
    right = perfect(truth)
    found = scores(decode(right), truth, 48)
    # Two objects of one place share its box, and of two of one class in neighbouring places one is no peak.
    assert found["AP50"] > 0.97
    assert found["AP"] > 0.95
    assert found["centre error"] < 0.01
    # The offsets of two objects in one place cannot both be told: what is left of the loss.
    assert float(loss(right, truth)) < 2


def test_the_loss_is_less_the_nearer_the_answer(truth):
    right = perfect(truth)
    noise = torch.randn(right.shape, generator=torch.Generator().manual_seed(0))
    values = [float(loss(right + much * noise, truth)) for much in (0.0, 0.5, 2.0, 8.0)]
    assert values == sorted(values)
    assert values[-1] > 10 * values[0]


def test_pictures_without_an_object_teach_that_there_is_none():
    truth = {"boxes": torch.zeros(2, 5, 4), "labels": torch.zeros(2, 5).long(), "counts": torch.zeros(2, 5).bool()}
    answers = torch.zeros(2, CHANNELS, *GRID, requires_grad=True)
    loss(answers, truth).backward()
    assert answers.grad is not None
    assert (answers.grad[:, : len(CLASSES)] > 0).all()
    assert (answers.grad[:, len(CLASSES) :] == 0).all()


def test_overlap_of_known_boxes():
    boxes = np.array([[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0], [5.0, 5.0, 6.0, 6.0]])
    assert detection.overlap(boxes[:1], boxes).tolist() == [[1.0, pytest.approx(1 / 7), 0.0]]
