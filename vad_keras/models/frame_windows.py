"""Overlapping windows over the frames of a video: which frames a video network sees together, and whose maps are kept.

A network with convolutions over time sees less of the video for a frame near the end of its clip. So windows overlap,
and of each window only the frames with enough others around them are kept.
"""

from typing import NamedTuple


class Window(NamedTuple):
    """Frames ``start <= frame < stop`` are computed together; of them ``keep_start <= frame < keep_stop`` are kept."""

    start: int
    stop: int
    keep_start: int
    keep_stop: int

    @property
    def kept(self) -> slice:
        """The kept frames, counted from ``start``."""
        return slice(self.keep_start - self.start, self.keep_stop - self.start)


def plan_windows(num_frames: int, window_frames: int, stride_frames: int, causal: bool = False) -> list[Window]:
    """Cut a video into windows of ``K`` frames, ``s`` frames after each other; each frame is kept exactly once.

    The ``K - s`` frames by which windows overlap are the context of the kept ones: half of them before and half after,
    the odd one after. Only at the ends of the video there is less: the first window also keeps the frames at its start,
    and the last one those at its end. The last window holds no more than these and its context, so it is shorter than
    ``K``, and ``n = 1 + ceil((T - K) / s)`` windows compute ``T + (n - 1) (K - s)`` frames.

    ``causal`` windows have all their context before the kept frames, so they end with the newest of these: a stream
    may compute one as soon as ``s`` new frames are there. Of the ``s`` kept frames the first still sees the
    ``s - 1`` others; with ``s = 1`` no frame sees a later one. The first windows are shorter than ``K``.

    The plan of a longer video begins with the same windows, but for the last one, so a stream and a file agree.

    Args:
        num_frames: frames of the video, ``T``.
        window_frames: ``K``.
        stride_frames: ``s``; ``K - 2 r`` is the largest with which every frame has ``r`` frames on both sides.
        causal: take the context from the past only.

    Returns:
        In the order of time.

    Raises:
        ValueError: for a negative number of frames, or a stride outside 1..``K``.

    Example:

    >>> for window in plan_windows(num_frames=30, window_frames=16, stride_frames=8):
    ...     print(window)
    Window(start=0, stop=16, keep_start=0, keep_stop=12)
    Window(start=8, stop=24, keep_start=12, keep_stop=20)
    Window(start=16, stop=30, keep_start=20, keep_stop=30)
    >>> plan_windows(4, window_frames=16, stride_frames=2, causal=True)[-1]
    Window(start=0, stop=4, keep_start=2, keep_stop=4)
    """
    if num_frames < 0:
        raise ValueError(f"`num_frames` must not be negative. Received: {num_frames}.")
    if not 1 <= stride_frames <= window_frames:
        raise ValueError(
            f"`stride_frames` must lie in 1..window_frames={window_frames}. Received: {stride_frames}. Use longer "
            "windows or a smaller stride."
        )
    plan = _causal_windows if causal else _centered_windows
    return plan(num_frames, window_frames, stride_frames)


def _causal_windows(num_frames: int, window_frames: int, stride_frames: int) -> list[Window]:
    windows = []
    for keep_start in range(0, num_frames, stride_frames):
        stop = min(keep_start + stride_frames, num_frames)
        windows.append(Window(max(stop - window_frames, 0), stop, keep_start, stop))
    return windows


def _centered_windows(num_frames: int, window_frames: int, stride_frames: int) -> list[Window]:
    before = (window_frames - stride_frames) // 2
    windows, kept = [], 0
    while kept < num_frames:
        start = max(kept - before, 0)
        stop = min(start + window_frames, num_frames)
        after = window_frames - stride_frames - before if stop < num_frames else 0
        windows.append(Window(start, stop, kept, stop - after))
        kept = stop - after
    return windows
