"""notebooks/04_train_with_fit.ipynb trains by `fit` and by a loop of its own, and shows what it promises."""

import csv
import re

import pytest


@pytest.fixture(scope="module")
def shown(run_on_tensorflow):
    return run_on_tensorflow("04_train_with_fit")


def test_the_kept_epoch_is_that_of_the_lowest_validation_loss(shown):
    with (shown.folder / "runs" / "small" / "fit.csv").open(newline="") as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 2
    assert f"2 epochs; the weights are those of epoch {losses.index(min(losses)) + 1}" in shown.text


def test_it_shows_the_history_and_a_timeline(shown):
    assert shown.pictures == 2


def test_the_loaded_model_gives_the_same_scores(shown):
    assert float(re.search(r"largest difference of a score after loading: (\S+)", shown.text)[1]) < 1e-6
    assert (shown.folder / "runs" / "small" / "fit.keras").exists()


def test_tensorboard_was_given_training_and_validation(shown):
    logs = shown.folder / "runs" / "small" / "logs" / "fit"
    assert {path.parent.name for path in logs.rglob("events*")} == {"train", "validation"}


def test_the_loop_of_ten_lines_gives_the_total_of_the_terms(shown):
    totals = re.search(r"loss of each step: (.+)", shown.text)[1].split(", ")
    terms = dict(pair.rsplit(" ", 1) for pair in re.search(r"terms of the last: (.+)", shown.text)[1].split(", "))
    assert len(set(totals)) == 6 and totals[-1] == terms["total"]
    parts = float(terms["bag_cross_entropy"]) + float(terms["contrast"])
    assert float(terms["total"]) == pytest.approx(parts, abs=0.01)  # the others have a weight of 8e-5
