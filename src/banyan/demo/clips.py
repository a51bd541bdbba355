"""The demo's videos: one calm picture in motion, as many minutes of it as a lesson is long.

A short loop is drawn and encoded once; a clip is that loop over and over, so that an hour of it takes milliseconds to
make. VP8 in WebM, because every browser plays it, those without licensed codecs too.
"""

import colorsys
import math
from fractions import Fraction
from functools import cache
from pathlib import Path

LENGTHS = (97, 148, 203, 254, 316, 388, 463, 547, 634, 742, 871, 1013, 1187, 1369)

_WIDTH, _HEIGHT = 480, 270
_FRAMES_PER_SECOND = 8
_LOOP_SECONDS = 16
_BIT_RATE = 30_000
_LEAVES = 7


def name(seconds: int) -> str:
    return f"demo-{seconds}.webm"


def make(file: str, path: Path) -> None:
    """Write the clip of that name; any other name is none of ours and writes nothing."""
    seconds = next((length for length in LENGTHS if name(length) == file), None)
    if seconds is None:
        return
    draft = path.with_suffix(".part")
    _write(draft, seconds)
    draft.replace(path)


def _write(path: Path, seconds: int) -> None:
    import av

    packets = _loop()
    with av.open(str(path), "w", format="webm") as container:
        stream = container.add_stream("libvpx", rate=_FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        for at in range(seconds * _FRAMES_PER_SECOND):
            data, key = packets[at % len(packets)]
            packet = av.Packet(data)
            packet.stream = stream
            packet.pts = packet.dts = at
            packet.duration = 1
            packet.time_base = Fraction(1, _FRAMES_PER_SECOND)
            packet.is_keyframe = key
            container.mux(packet)


@cache
def _loop() -> list[tuple[bytes, bool]]:
    """The encoded frames of the loop, the first of them a key frame."""
    import av

    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
    encoder.time_base = Fraction(1, _FRAMES_PER_SECOND)
    encoder.bit_rate = _BIT_RATE
    encoder.gop_size = _FRAMES_PER_SECOND * _LOOP_SECONDS // 2  # whoever seeks finds a key frame within 8 seconds
    encoder.options = {"deadline": "realtime", "cpu-used": "6", "auto-alt-ref": "0"}
    count = _FRAMES_PER_SECOND * _LOOP_SECONDS
    packets = []
    for index in range(count):
        frame = av.VideoFrame(_WIDTH, _HEIGHT, "yuv420p")
        for plane, content in zip(frame.planes, _picture(index / count), strict=True):
            plane.update(_padded(content, plane.width, plane.line_size))
        frame.pts = index
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return [(bytes(packet), packet.is_keyframe) for packet in packets]


def _picture(turn: float) -> tuple[bytearray, bytearray, bytearray]:
    """Leaves going round on a dark green ground, as luma and two chromas; `turn` 0 and 1 look the same."""
    luma, blue, red = _colour(0.42, 0.5, 0.16)
    planes = (
        bytearray([luma]) * (_WIDTH * _HEIGHT),
        bytearray([blue]) * (_WIDTH * _HEIGHT // 4),
        bytearray([red]) * (_WIDTH * _HEIGHT // 4),
    )
    for leaf in range(_LEAVES):
        angle = 2 * math.pi * (turn + leaf / _LEAVES)
        x = _WIDTH / 2 + 0.36 * _WIDTH * math.sin(angle)
        y = _HEIGHT / 2 + 0.32 * _HEIGHT * math.sin(2 * angle)
        _disc(planes, x, y, 15 + 2.5 * leaf, _colour(0.30 + 0.02 * leaf, 0.55, 0.45 + 0.06 * leaf))
    return planes


def _disc(
    planes: tuple[bytearray, bytearray, bytearray], x: float, y: float, radius: float, colour: tuple[int, int, int]
) -> None:
    """Row by row, because a slice is filled at once and a pixel is not."""
    for plane, value, scale in zip(planes, colour, (1, 2, 2), strict=True):
        width = _WIDTH // scale
        for row in range(math.ceil((y - radius) / scale), math.floor((y + radius) / scale) + 1):
            half = math.sqrt(max(0.0, radius**2 - (row * scale - y) ** 2))
            start, end = round((x - half) / scale), round((x + half) / scale)
            plane[row * width + start : row * width + end] = bytes([value]) * (end - start)


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    """As luma, blue and red difference of BT.601 in its studio range."""
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return round(16 + 219 * luma), round(128 + 126 * (blue - luma)), round(128 + 160 * (red - luma))


def _padded(content: bytearray, width: int, line: int) -> bytes:
    """Rows as long as the codec wants them."""
    if width == line:
        return bytes(content)
    gap = bytes(line - width)
    return b"".join(bytes(content[at : at + width]) + gap for at in range(0, len(content), width))
