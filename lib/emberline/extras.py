"""What comes with an extra of the package, since only some pipelines need it: whether it is here,
and how to get it.
"""

from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True)
class Extra:
    """An extra's name, the modules that it brings, and what people call them."""

    name: str
    modules: tuple[str, ...]
    brings: str

    @property
    def remedy(self) -> str:
        """What installs it."""
        return f"pip install 'emberline[{self.name}]'"

    def is_here(self) -> bool:
        """Whether all that it brings could be imported, without doing so."""
        return all(find_spec(module) is not None for module in self.modules)


TRAIN = Extra("train", ("tensorflow",), "TensorFlow")
SPARK = Extra("spark", ("pyspark",), "Spark")
LITERT = Extra("litert", ("ai_edge_litert",), "LiteRT (ai-edge-litert)")
EXPORT = Extra("train,litert", ("tensorflow", "ai_edge_litert"), "TensorFlow and LiteRT")
ONNX = Extra("onnx", ("tf2onnx", "onnxruntime"), "ONNX (tf2onnx, onnxruntime)")
ONNX_RUNTIME = Extra("onnx", ("onnxruntime",), "ONNX Runtime (onnxruntime)")
EXPORT_ONNX = Extra(
    f"{EXPORT.name},{ONNX.name}",
    (*EXPORT.modules, *ONNX.modules),
    "TensorFlow, LiteRT and ONNX (tf2onnx, onnxruntime)",
)
FAST = Extra("fast", ("numba",), "numba")
INDEX = Extra("index", ("usearch",), "usearch")
SERVE = Extra("serve", ("starlette", "uvicorn"), "a web server (Starlette, uvicorn)")
SOUND = Extra("sound", ("soundfile", "soxr"), "the extra for sound (soundfile, soxr)")
TUNE = Extra("tune", ("optuna",), "Optuna")
NOISE = Extra("noise", ("opendp",), "OpenDP")
MLFLOW = Extra("mlflow", ("mlflow",), "MLflow")
