import math

from pipelines.report.evaluation.seeds import over_seeds


def test_a_seed_without_a_value_counts_in_neither_mean_nor_sd():
    found = over_seeds([1.0, math.nan, 3.0])
    assert (found["mean"], found["sd"]) == (2.0, math.sqrt(2.0)) and math.isnan(found["seeds"][1])


def test_one_value_has_no_sd_and_none_has_no_mean():
    assert over_seeds([0.5])["mean"] == 0.5 and math.isnan(over_seeds([0.5])["sd"])
    assert math.isnan(over_seeds([math.nan])["mean"])
