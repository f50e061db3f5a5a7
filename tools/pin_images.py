"""Write the digests of the base images into `.env`, which the compose file reads; `make pin-images` runs this.

    .venv/bin/python -m tools.pin_images

The images are the defaults of the variables `*_IMAGE` in the compose files that name a registry's image with a tag. A
digest comes from the registry through `docker buildx imagetools inspect`; without it the script says so and exits with
0.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = ("docker-compose.yml", "docker-compose.gpu.yml")
SECONDS = 60

_VARIABLE = re.compile(r"\$\{([A-Z_]+_IMAGE):-([a-z0-9./_-]+:[A-Za-z0-9._-]+)\}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class NoDigest(Exception):
    """The digest of an image cannot be read; the message says why."""


def find_images(root: Path) -> dict[str, str]:
    """Return variable -> image with its tag, of those that have a tag; our own images have none."""
    texts = [(root / name).read_text() for name in FILES if (root / name).exists()]
    return {name: image for text in texts for name, image in _VARIABLE.findall(text)}


def read_digest(image: str) -> str:
    """Return an image's digest from its registry.

    Raises:
        NoDigest: there is no docker buildx, or the registry does not answer.
    """
    if shutil.which("docker") is None:
        raise NoDigest("docker is not installed")
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoDigest(f"docker buildx did not end ({type(error).__name__})") from error
    digest = done.stdout.strip()
    if done.returncode or not _DIGEST.fullmatch(digest):
        lines = done.stderr.strip().splitlines()
        raise NoDigest(f"docker buildx gave no digest ({lines[-1][:200] if lines else 'no message'})")
    return digest


def with_variables(text: str, values: Mapping[str, str]) -> str:
    """Return the text of a `.env` with variables set; all other lines stay."""
    kept = [line for line in text.splitlines() if line.partition("=")[0].strip() not in values]
    return "".join(f"{line}\n" for line in (*kept, *(f"{name}={value}" for name, value in values.items())))


def main(root: Path = ROOT, digest_of: Callable[[str], str] = read_digest) -> int:
    """Write the digests; returns the exit status.

    Args:
        root: The repository.
        digest_of: Returns an image's digest.
    """
    pinned = {}
    for name, image in find_images(root).items():
        try:
            pinned[name] = f"{image}@{digest_of(image)}"
        except NoDigest as error:
            sys.stdout.write(f"{name}: {image} was NOT PINNED: {error}; .env is unchanged\n")
            return 0
    path = root / ".env"
    path.write_text(with_variables(path.read_text() if path.exists() else "", pinned))
    for name, value in pinned.items():
        sys.stdout.write(f"{name}={value}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
