"""What can be wrong with a camera that delivers, or has ceased to: one table with text, cause, remedy and consequence.

The vision worker finds a fault (device/edges/camera/picture_health.py), the beat carries its value, and condition,
status, `lfr why` and the hub's notice print from here.

1. A fault that `stops` fails the run condition *camera live* for that camera: nobody in its pictures could be
   recognised, or they are not the pictures of now. Decision record 0510 gives the reason for each.
2. Any other one is a warning: recognition goes on, and the operator decides.

How do I add one? A member, a row in FAULTS, its test in device/edges/camera, and a case in tests/unit/edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class CameraFault(str, Enum):
    """Faults, those that stop first; of several at once the first is reported."""

    STALLED = "stalled"
    SIZE_CHANGED = "size_changed"
    DARK = "dark"
    OVEREXPOSED = "overexposed"
    COVERED = "covered"
    FROZEN = "frozen"
    TURNED = "turned_away"
    DEFOCUSED = "defocused"
    STILL = "still"


@dataclass(frozen=True, slots=True)
class FaultText:
    """A row of the table of symptoms (symptoms/table.py), and its consequence.

    text: what was found;  cause: what is behind it most often;  remedy: what to do;  stops: rule 1
    """

    text: str
    cause: str
    remedy: str
    stops: bool

    @property
    def advice(self) -> str:
        """Text and remedy as an operator reads them."""
        return f"{self.text}; {self.remedy}"


FAULTS: dict[CameraFault, FaultText] = {
    CameraFault.STALLED: FaultText(
        "no picture arrives",
        "power, cable or network of the camera; its encoder has stopped",
        "check the camera's power, its cable and the network to it",
        stops=True,
    ),
    CameraFault.SIZE_CHANGED: FaultText(
        "the pictures have another size than configured, or than before",
        "somebody changed its stream or resolution",
        "set its resolution and main stream back; or correct cameras[].size; without one load the deployment again",
        stops=True,
    ),
    CameraFault.DARK: FaultText(
        "the picture is dark",
        "night without light, a lens cap, a closed iris",
        "take off the lens cap, light the scene, or open the iris",
        stops=True,
    ),
    CameraFault.OVEREXPOSED: FaultText(
        "most of the picture is white",
        "sun or a lamp in the lens, wrong exposure",
        "shade the lens from sun or lamp, and check exposure and iris",
        stops=True,
    ),
    CameraFault.COVERED: FaultText(
        "the lens is covered",
        "something lies on the lens or hangs before it",
        "uncover and clean the lens",
        stops=True,
    ),
    CameraFault.FROZEN: FaultText(
        "the picture is frozen: the same one is sent again and again",
        "the camera's encoder repeats its last picture; or nothing has moved for long in a picture without noise",
        "walk through its view: it ends at once if the camera works; otherwise restart the camera",
        stops=True,
    ),
    CameraFault.TURNED: FaultText(
        "the camera shows another scene than when it was started",
        "wind, a vehicle or a person has moved it",
        "turn it back to its zone; if the view is right, load the deployment again",
        stops=False,
    ),
    CameraFault.DEFOCUSED: FaultText(
        "the picture is out of focus",
        "the lens has moved, or is wet or dirty",
        "focus or clean the lens",
        stops=False,
    ),
    CameraFault.STILL: FaultText(
        "nothing moves but noise: the picture is frozen, or nobody moves",
        "an empty scene, or a camera that repeats its last picture",
        "walk through it to see which",
        stops=False,
    ),
}


def fault_of(value: str) -> CameraFault | None:
    """The fault with this value; None for any other text."""
    return next((fault for fault in CameraFault if fault.value == value), None)
