"""The device's configuration file: read, checked as a whole, with paths made absolute."""

from __future__ import annotations

import os
from pathlib import Path

from device.config.document import load
from device.config.model import DeviceConfig, recording_path
from device.errors import ConfigError


def load_config(path: Path) -> DeviceConfig:
    """Decode the file; relative paths in it count from its own folder. ConfigError with every problem at once."""
    return _anchored(load(path, DeviceConfig), path.resolve().parent)


def check_files(config: DeviceConfig, place: str) -> None:
    """ConfigError that names every file the configuration needs and this user cannot read.

    A missing root of trust is no error of the configuration: the device stays in `ready` and reports it.
    """
    needed = {"mqtt.ca": config.mqtt.ca, "mqtt.cert": config.mqtt.cert, "mqtt.key": config.mqtt.key}
    for index, camera in enumerate(config.cameras):
        if camera.credential is not None:
            needed[f"cameras[{index}].credential"] = camera.credential
        if not camera.live:
            needed[f"cameras[{index}].source"] = recording_path(camera.source)
    problems = [f"{key}: {found}; found {str(path)!r}" for key, path in needed.items() if (found := _unreadable(path))]
    if problems:
        raise ConfigError(place, tuple(problems))


def _unreadable(path: Path) -> str | None:
    if not path.exists():
        return "must be an existing file"
    return None if os.access(path, os.R_OK) else "must be readable by this user"


def _anchored(config: DeviceConfig, base: Path) -> DeviceConfig:
    """The same configuration with every relative path joined to `base`."""
    mqtt = config.mqtt.model_copy(update={k: base / getattr(config.mqtt, k) for k in ("ca", "cert", "key")})
    cameras = tuple(
        camera.model_copy(
            update={
                "source": camera.source if camera.live else str(base / recording_path(camera.source)),
                "credential": None if camera.credential is None else base / camera.credential,
            }
        )
        for camera in config.cameras
    )
    named = {k: getattr(config.vision, k) for k in ("models_dir", "evidence", "evidence_keys")}
    vision = config.vision.model_copy(update={k: None if path is None else base / path for k, path in named.items()})
    folders = {k: base / getattr(config, k) for k in ("state_dir", "run_dir")}
    stick = config.trust.usb
    usb = None if stick is None else base / stick
    trust = config.trust.model_copy(update={"roots": base / config.trust.roots, "usb": usb})
    changes = {"mqtt": mqtt, "cameras": cameras, "vision": vision, "trust": trust, **folders}
    return config.model_copy(update=changes)
