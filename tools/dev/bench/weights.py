"""The packaged weights in the form that OpenCV's own classes load.

FaceDetectorYN reads the packaged YuNet as it is. FaceRecognizerSF of OpenCV 5.0.0 refuses the packaged SFace: the file
lists its weights as graph inputs too (assertion "ninputs == 1"). The same weights without those, unpacked to float32
and with BatchNorm folded, load in every OpenCV since 4.5 and are the fastest form there (measured 2026-11-23, 2 x86-64
vCPU, OpenCV 5.0.0: 9.1 ms a face, 9.7 ms unfolded).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT
from engines.graph.folding import fold_batch_norms, fold_input_scale
from engines.graph.onnx_graph import Value, drop_dropout, fold_constants, load, save
from engines.places import cache_dir
from engines.prepare.fetch import weights_of


def detector_file() -> Path:
    """YuNet for FaceDetectorYN."""
    return weights_of(card(DETECTOR_DEFAULT))


def recogniser_file() -> Path:
    """SFace for FaceRecognizerSF: input `data`, (1, 3, 112, 112) float32 RGB 0..255; made once, then cached."""
    target = cache_dir() / "bench" / f"{RECOGNISER_DEFAULT}-opencv-1.onnx"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        graph = load(weights_of(card(RECOGNISER_DEFAULT)))
        fold_constants(graph)
        drop_dropout(graph)
        fold_batch_norms(graph)
        fold_input_scale(graph)
        staged = target.with_suffix(".part.onnx")
        inputs, outputs = [Value("data", np.float32, (1, 3, 112, 112))], [Value(graph.outputs[0], np.float32, (1, 128))]
        save(graph, staged, inputs, outputs)
        staged.replace(target)
    return target
