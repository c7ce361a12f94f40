"""What tests of detection measure against: pycocotools, and a head that knows the truth."""

from __future__ import annotations

import math

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from explorer.detection import Found
from explorer.lab.networks import CHANNELS, GRID
from explorer.scenes import CLASSES


def coco(found: Found, truth: dict[str, torch.Tensor], area: tuple[float, float] = (0.0, math.inf)) -> np.ndarray:
    """(10,) from pycocotools; its areas and boxes are in a frame of side 1."""
    objects, answers = [], []
    for picture in range(len(truth["boxes"])):
        for box, label, counts in zip(*(truth[name][picture].tolist() for name in ("boxes", "labels", "counts"))):
            if counts:
                x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
                record = {"id": len(objects) + 1, "image_id": picture, "category_id": label, "bbox": [x, y, w, h]}
                objects.append({**record, "area": w * h, "iscrowd": 0})
        for box, label, score in zip(*(one[picture].tolist() for one in found)):
            if score > 0:
                x, y, w, h = box[0], box[1], box[2] - box[0], box[3] - box[1]
                answers.append({"image_id": picture, "category_id": label, "bbox": [x, y, w, h], "score": score})
    known = COCO()
    known.dataset = {
        "images": [{"id": picture} for picture in range(len(truth["boxes"]))],
        "categories": [{"id": label} for label in range(len(CLASSES))],
        "annotations": objects,
    }
    known.createIndex()
    run = COCOeval(known, known.loadRes(answers), "bbox")
    run.params.areaRng, run.params.areaRngLbl = [[area[0], min(area[1], 1e9)]], ["asked"]
    run.params.maxDets = [100]
    run.evaluate()
    run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, 0]  # overlaps, recalls, classes
    known = (precision > -1).all((0, 1))
    return precision[:, :, known].mean((1, 2))


def perfect(truth: dict[str, torch.Tensor], grid: tuple[int, int] = GRID) -> torch.Tensor:
    """The answers of a head that knows the truth."""
    height, width = grid
    answers = torch.zeros(len(truth["boxes"]), CHANNELS, height, width)
    answers[:, : len(CLASSES)] = -12.0
    for picture, number in truth["counts"].nonzero().tolist():
        left, top, right, bottom = truth["boxes"][picture, number].tolist()
        x, y = (left + right) / 2 * width, (top + bottom) / 2 * height
        column, row = int(x), int(y)
        answers[picture, int(truth["labels"][picture, number]), row, column] = 12.0
        told = [x - column - 0.5, y - row - 0.5, math.log((right - left) / 0.3), math.log((bottom - top) / 0.3)]
        answers[picture, len(CLASSES) :, row, column] = torch.tensor(told)
    return answers
