import pytest

from tests.pipelines.live.conftest import NOON, an_event

ID = f"{1:032x}"


@pytest.fixture
def with_media(store):
    """The store with an event that has a clip of 1000 bytes and a snapshot."""
    store.save(an_event(1, end=NOON + 110))
    for path, content in ((store.clip_path(ID), bytes(range(250)) * 4), (store.snapshot_path(ID), b"jpeg")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return store


def ids(answer):
    return [int(event["event_id"], 16) for event in answer.json()["events"]]


def test_events_come_newest_first_and_filtered(client, store):
    for number, camera, level in ((1, "door", "alarm"), (2, "yard", "notice"), (3, "door", "notice")):
        store.save(an_event(number, camera, level))
    store.review(f"{1:032x}", "true_alarm")
    wanted = {"": [3, 2, 1], "camera=door": [3, 1], "level=notice": [3, 2], "verdict=true_alarm": [1]}
    wanted |= {"reviewed=false": [3, 2], "reviewed=true": [1], f"before={NOON + 300}": [2, 1]}
    wanted |= {"camera=%27%20OR%201=1": []}
    assert {query: ids(client.get(f"/api/events?{query}")) for query in wanted} == wanted


def test_pages_lose_no_event_that_starts_at_the_same_time(client, store):
    for number, start in enumerate((5, 4, 4, 3, 2)):
        store.save(an_event(number, start=NOON + start))
    found, before = [], ""
    for _ in range(5):
        page = client.get(f"/api/events?limit=2{before}")
        found += ids(page)
        if page.json()["before"] is None:
            break
        before = f"&before={page.json()['before']}"
    assert sorted(found) == [0, 1, 2, 3, 4]


def test_a_verdict_is_given_and_taken_back(client, store):
    store.save(an_event(1))
    for verdict in ("true_alarm", "false_alarm", None):
        answer = client.put(f"/api/events/{ID}/verdict", json={"verdict": verdict})
        assert answer.json()["verdict"] == store.get(ID).verdict == verdict
    assert client.put(f"/api/events/{ID}/verdict", json={"verdict": "maybe"}).status_code == 422
    assert client.put(f"/api/events/{2:032x}/verdict", json={"verdict": None}).status_code == 404


def test_a_part_of_a_clip_is_served(client, with_media):
    whole = client.get(f"/api/events/{ID}/clip.mp4")
    assert (whole.status_code, len(whole.content), whole.headers["content-type"]) == (200, 1000, "video/mp4")
    assert whole.headers["accept-ranges"] == "bytes" and 'filename="door_' in whole.headers["content-disposition"]
    part = client.get(f"/api/events/{ID}/clip.mp4", headers={"Range": "bytes=0-1"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"\x00\x01", "bytes 0-1/1000")
    last = client.get(f"/api/events/{ID}/clip.mp4", headers={"Range": "bytes=990-"})
    assert last.content == whole.content[990:]
    beyond = client.get(f"/api/events/{ID}/clip.mp4", headers={"Range": "bytes=1000-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */1000")
    assert client.get(f"/api/events/{ID}/snapshot.jpg").content == b"jpeg"


def test_an_event_without_media_says_so(client, store):
    store.save(an_event(1))
    assert client.get(f"/api/events/{ID}/clip.mp4").json()["detail"] == "there is no clip of this event."
    assert client.get(f"/api/events/{ID}").json()["has_clip"] is False


@pytest.mark.parametrize(
    "path",
    [
        "..%2f..%2fevents.sqlite/clip.mp4",
        "%2e%2e/%2e%2e/events.sqlite",
        f"{ID}/..%2f..%2fevents.sqlite",
        f"{ID}/%2e%2e%2fclip.mp4",
        f"{ID}/clip.mp4%00.jpg",
        f"{ID}/..\\clip.mp4",
        f"{ID.upper()}x/clip.mp4",
        "%00/clip.mp4",
        "'%20OR%20'1'='1/clip.mp4",
    ],
)
def test_no_path_leaves_the_store(client, with_media, path):
    answer = client.get(f"/api/events/{path}")
    assert answer.status_code in (404, 422) and b"SQLite" not in answer.content
