"""Which TensorRT plans the workers of a configuration open: `lfr engines build --config`, at a board's first boot.

1. A CPU backend needs none.
2. Every camera needs the second look and the recognisers as they take arrays: they are verified before the lock-down,
   also where a camera's frames lie on the GPU afterwards (device/enrolment/model_sessions.py, rule 3).
3. A camera of the board (CSI, V4L2 through jetson_utils) has its frames on the GPU, in the size that jetson_utils opens
   it in. Any other has them on the CPU, and its size is known once it is open: detectors are built for every usual
   16:9 size. A worker whose camera has another size states the plan that it lacks, and the command that builds it.
"""

from __future__ import annotations

from device.config.model import DeviceConfig
from device.edges.camera.live import on_board, with_address
from device.enrolment.model_sessions import chosen_card, chosen_recognisers, resolved
from device.vision.detector import DetectionSize
from device.vision.refine import PATCH_PX
from engines.cards.model_card import ModelCard
from engines.select import BATCHES, GPU_BACKEND
from engines.tensorrt.plans import NeededPlans, Profile

BOARD_FRAME = (720, 1280)
"""Height and width that jetson_utils opens a camera in when it is asked for none (camera/gstCamera.h, 07d0d9f8e4c0)."""
USUAL_FRAMES = ((720, 1280), (1080, 1920), (2160, 3840))
"""Of network cameras. 1440 x 2560 is searched at the size of the last."""


def needed_plans(config: DeviceConfig) -> NeededPlans:
    """The plans of every camera, each once (rules 1 to 3). Raises UsageError, EngineUnavailable."""
    vision = config.vision
    backend = resolved(vision.backend)
    if backend.partition(":")[0] != GPU_BACKEND:
        return NeededPlans(backend)
    detector = chosen_card(vision.detector, "detector", vision.models_dir)
    recognisers = chosen_recognisers(vision.recogniser, vision.screen, vision.models_dir).cards
    found: dict[tuple[str, Profile], ModelCard] = {}

    def need(card: ModelCard, size: tuple[int, int], frame: tuple[int, int] | None) -> None:
        found[(card.name, Profile(*BATCHES[card.role], *size, frame))] = card

    for camera in config.cameras:
        board = on_board(with_address(camera.source))
        for frame in (None, BOARD_FRAME) if board else (None,):
            need(detector, (PATCH_PX, PATCH_PX), frame)
            for one in recognisers:
                need(one, one.input_size or (0, 0), frame)
        for height, width in (BOARD_FRAME,) if board else USUAL_FRAMES:
            fit = DetectionSize.for_frame(width, height, min_face_px=vision.min_face_px)
            need(detector, (fit.height, fit.width), BOARD_FRAME if board else None)
    plans = tuple((card, profile) for (_, profile), card in found.items())
    return NeededPlans(backend, plans, vision.models_dir)
