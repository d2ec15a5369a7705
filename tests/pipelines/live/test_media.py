"""Where clips and snapshots of events are, and which files are removed."""

from pipelines.live.media import CLIP, SNAPSHOT, Media


def test_only_the_files_of_the_event_are_removed(tmp_path, make_event):
    media, event = Media(tmp_path), make_event(1)
    other = make_event(2)
    for path in (media.path(event, CLIP), media.path(event, SNAPSHOT), media.path(other, CLIP)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(5000))
    assert media.has(event, CLIP) and not media.has(other, SNAPSHOT)
    assert media.remove(event) >= 10_000 and media.remove(event) == 0
    assert not media.has(event, CLIP) and media.has(other, CLIP)
    assert media.remove_strays({other.event_id: other}.get, older_than=9e9) == 0
    assert media.remove_strays({}.get, older_than=9e9) == 1
