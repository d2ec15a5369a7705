"""Tests of pipelines.report.plots.search_curves."""

from pipelines.report.plots import search_curves


def test_each_system_has_a_panel_with_a_line_per_learning_rate_over_steps(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(search_curves, "save_figure", lambda figure, path: kept.append(figure) or path)
    systems = {f"s{number}": {"0.001": [0.5, 0.7], "0.0001": [0.6, 0.65]} for number in range(5)}
    assert search_curves.plot_search_curves(tmp_path / "search.png", systems, 50) == tmp_path / "search.png"
    panels = [axes for axes in kept[0].axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == list(systems)
    lines = panels[4].get_lines()
    assert [line.get_label() for line in lines] == ["0.001", "0.0001"]
    assert lines[0].get_xdata().tolist() == [50, 100] and lines[0].get_ydata().tolist() == [0.5, 0.7]
