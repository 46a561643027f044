"""A camera's address with the user and password of its credential file."""

from __future__ import annotations

from device.config.model import Camera
from device.errors import ConfigError


def with_credential(camera: Camera) -> str:
    """The source's URL with user and password from the camera's credential file: memory only.

    Raises ConfigError when that file cannot be read.
    """
    if camera.credential is None:
        return camera.source
    try:
        credential = camera.credential.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError(str(camera.credential), (f"the credential of camera {camera.id}: {fault}",)) from fault
    scheme, _, rest = camera.source.partition("://")
    return f"{scheme}://{credential}@{rest}"
