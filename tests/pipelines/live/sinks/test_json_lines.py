"""Messages as JSON lines."""

import json

from pipelines.live.sinks.json_lines import JsonLines


def state(number):
    return {"type": "state", "camera": "door", "time": number, "state": "live", "health": "ok", "reason": "ü" * 20}


def lines(path):
    return [json.loads(line)["time"] for line in path.read_text(encoding="utf-8").splitlines()]


def test_messages_are_appended_without_scores(tmp_path):
    path = tmp_path / "log" / "events.jsonl"
    for number in range(2):
        sink = JsonLines(path)
        sink.publish(state(number))
        sink.publish({"type": "score", "camera": "door", "time": 9, "score": 0.5})
        sink.close()
    assert lines(path) == [0, 1]


def test_files_rotate_by_size_and_the_oldest_goes(tmp_path):
    sink = JsonLines(tmp_path / "events.jsonl", max_bytes=500, keep=2)
    for number in range(20):
        sink.publish(state(number))
    sink.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]
    assert all(path.stat().st_size <= 500 for path in tmp_path.iterdir())
    kept = [time for name in reversed(names) for time in lines(tmp_path / name)]
    assert kept == list(range(20 - len(kept), 20)) and len(kept) > 6 and sink.dropped == 0


def test_a_line_that_a_crash_cut_off_spoils_no_other(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"type": "ev')
    sink = JsonLines(path)
    sink.publish(state(1))
    sink.close()
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[1])["time"] == 1


def test_a_disk_that_fails_is_counted(tmp_path):
    (tmp_path / "events.jsonl").mkdir()
    sink = JsonLines(tmp_path / "events.jsonl")
    sink.publish(state(1))
    sink.close()
    assert sink.dropped == 1
