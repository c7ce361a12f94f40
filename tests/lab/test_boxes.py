"""What is drawn of objects found: boxes made in advance, and those that ship against `decode`."""

from __future__ import annotations

import pytest
import torch

from explorer.detection import FOUND, Found, average_precision, decode
from explorer.lab import boxes as drawn
from explorer.lab.boxes import ENOUGH, LEAST, boxes_of, precision, scenes, specs, truth
from explorer.lab.networks import SIZE
from explorer.lab.summary import Key, shipped
from explorer.models.loading import load
from explorer.scenes import CLASSES
from explorer.scenes.groups import RenderedGroups


def group(*objects: tuple[list[float], int]) -> RenderedGroups:
    """One scene of objects, (edges, class) each, and one that does not count."""
    edges = torch.tensor([[*(box for box, _ in objects), [0.0, 0.0, 1.0, 1.0]]])
    labels = torch.tensor([[*(label for _, label in objects), 0]])
    counts = torch.tensor([[*(True for _ in objects), False]])
    empty = torch.zeros(1, 3, 8, 8)
    return RenderedGroups(empty, torch.zeros(1, labels.shape[1], 8, 8, dtype=torch.bool), edges, labels, counts)


def answered(*given: tuple[list[float], int, float]) -> Found:
    """What was found: (edges, class, score) each."""
    edges, labels, scores = (list(one) for one in zip(*given))
    return Found(torch.tensor([edges]), torch.tensor([labels]), torch.tensor([scores]))


def test_boxes_come_by_falling_score_down_to_the_least():
    found = answered(([0, 0, 0.5, 0.5], 1, 0.4), ([0, 0, 0.5, 0.5], 2, LEAST - 0.01), ([0.5, 0.5, 1, 1], 2, 0.9))
    (own,) = boxes_of(found, group(([0, 0, 0.5, 0.5], 1)))
    assert [one.label for one in own] == [CLASSES[2], CLASSES[1]]
    assert [one.found for one in own] == [False, True]
    assert own[1].edges == (0, 0, 0.5, 0.5)


def test_an_object_is_found_once_by_the_surest_box_of_its_class():
    place = [0.2, 0.2, 0.6, 0.6]
    found = answered((place, 3, 0.5), (place, 3, 0.8), (place, 4, 0.9))
    (own,) = boxes_of(found, group((place, 3)))
    assert [(one.score, one.found) for one in own] == [
        (pytest.approx(0.9), False),
        (pytest.approx(0.8), True),
        (pytest.approx(0.5), False),
    ]


def test_what_does_not_count_or_hardly_overlaps_is_not_found():
    assert ENOUGH == 0.5
    far = answered(([0, 0, 1, 1], 0, 0.9), ([0.0, 0.0, 0.2, 0.5], 1, 0.8))
    (own,) = boxes_of(far, group(([0.0, 0.0, 0.5, 0.5], 1)))  # overlap 0.4; and the object of class 0 does not count
    assert not any(one.found for one in own)


needs_weights = pytest.mark.skipif(not specs(), reason="no models that find objects ship")


@needs_weights
@pytest.mark.parametrize("block", specs())
def test_they_are_what_decode_reads_of_a_forward_pass(block):
    model = load(specs()[block], "cpu")
    shown = scenes(model.input_size[0])
    with torch.inference_mode():
        found = decode(model.logits(shown.images).float())
    assert found.scores.shape[1] == FOUND
    for at, own in enumerate(boxes_of(found, shown)):
        scores, order = found.scores[at].sort(descending=True)
        sure = order[scores >= LEAST].tolist()
        assert len(own) == len(sure) > 0
        for one, place in zip(own, sure):
            assert torch.allclose(found.boxes[at, place], torch.tensor(one.edges), atol=1e-5)
            assert one.label == CLASSES[int(found.labels[at, place])]
            assert one.score == pytest.approx(float(found.scores[at, place]), abs=1e-5)


@needs_weights
def test_an_object_counts_as_found_as_average_precision_has_it():
    # One box alone for each object: AP50 of a class is then what is found of it.
    shown = scenes(SIZE)
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0])
    edges = torch.where(shown.counts[..., None], shown.boxes, whole)
    perfect = Found(edges, shown.labels, shown.counts.float())
    known = {"boxes": shown.boxes, "labels": shown.labels, "counts": shown.counts}
    assert average_precision(perfect, known)[0] == pytest.approx(1.0)
    assert [[one.found for one in own] for own in boxes_of(perfect, shown)] == [[True] * 3, [True] * 5]
    assert [len(one) for one in truth(shown)] == [3, 5]


@needs_weights
def test_the_precision_beside_is_the_tables():
    for block in specs():
        assert precision(block) == shipped("detect").mean(block, Key.of("detection", "AP"))


def test_without_weights_there_is_none(monkeypatch):
    monkeypatch.setattr(drawn, "available", lambda: ())
    assert specs() == {}
