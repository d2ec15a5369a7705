"""notebooks/02_clique_attention.ipynb: its sums by hand are those of the layer."""

import re

import pytest


@pytest.fixture(scope="module")
def shown(run_on_tensorflow):
    return run_on_tensorflow("02_clique_attention")


def test_affinity_and_features_by_hand_are_those_of_the_layer(shown):
    affinity, features = re.search(r"largest difference of p̂: (\S+); of h, relative: (\S+)", shown.text).groups()
    assert float(affinity) < 1e-5 and float(features) < 1e-4


def test_the_weights_of_each_locality_add_up_to_one(shown):
    assert "add up to 1.000000 to 1.000000 at each locality" in shown.text


def test_the_clique_of_the_first_frame_is_shifted_inwards(shown):
    assert "frame 0 sees frames [0 1 2 3] at τ = 4" in shown.text


def test_it_plots_members_heat_maps_and_weights(shown):
    assert shown.pictures == 3 and re.search(r"w_τ: 1: \d\.\d+, 2: \d\.\d+, 4: \d\.\d+", shown.text)
