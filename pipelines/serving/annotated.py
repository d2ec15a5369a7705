"""An annotated copy of a scored video: score bar, patch map and alarm border (``vad score --annotate``)."""

import numpy as np

from pipelines.data.snippets import expand_to_frames
from pipelines.data.video import VideoReader
from pipelines.data.video_stream import open_sound
from pipelines.report.plots.heat_map import score_maps
from pipelines.report.video.overlay import Overlay
from pipelines.report.video.writer import write_video
from vad_keras import spec


def write_annotated(path, target, video, info, progress=iter):
    """Write a copy of a video with its scores, and with every frame, its time and the sound of the original.

    Args:
        path: The video.
        target: MP4 to write.
        video: ``VideoScores`` of it.
        info: ``ModelInfo`` of the model.
        progress: Function that passes frames on and may show how many there were.

    Returns:
        What was left out, in words; empty if nothing was.
    """
    sampled, indices = video.sampled, video.sampled_indices
    maps = score_maps(sampled.patch_score, sampled.before_crf, sampled.after_crf, info.score_from)
    rows = expand_to_frames(np.arange(len(indices)), indices, len(video.scores))
    region = spec.CENTER_CROP if info.crop else (1.0, 1.0)
    deciding = next(iter(maps.values()))
    is_alarm = np.zeros(len(video.scores), bool)
    for alarm in video.alarms:
        is_alarm[alarm.start_frame : alarm.end_frame] = True
    overlay = Overlay(video.times_sec, video.scores, video.threshold, is_alarm, rows, deciding, info.scales, region)
    reader = VideoReader(path)
    frames = enumerate(progress(reader.whole_frames()))
    drawn = ((time_sec, overlay.draw(frame, rgb)) for frame, (time_sec, rgb) in frames)
    with open_sound(path) as sound:
        sound_of_first = (lambda: (sound, reader.start_sec)) if sound else None
        return write_video(target, drawn, video.fps, lambda: reader.end_sec, sound_of_first)
