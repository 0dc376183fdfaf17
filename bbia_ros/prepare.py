"""Makes once what would otherwise be made at the first start: compiled scenes, exported models, the visitor's lines.

`python -m bbia_ros.prepare`, which `make demo` runs after the build. All goes to the cache folder, keyed by what it
was made from; what is there already costs a check. Without it the first start is slower, nothing else.
"""

from __future__ import annotations

import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the imports ends quietly

import sys
from collections.abc import Callable

from rich.console import Console

from bbia_ros.cli import INTERRUPTED
from bbia_ros.demo.play import LINES
from bbia_ros.driver.sim import mjb
from bbia_ros.driver.sim.scene import SceneOptions
from bbia_ros.emotion.minilm_onnx import ensure_onnx
from bbia_ros.residency.catalog import resolve
from bbia_ros.speech.lines import synthesize_lines
from bbia_ros.speech.piper_parts import ensure_parts


def steps() -> dict[str, Callable[[], object]]:
    """What is prepared -> how."""
    return {
        "simulator: physics": lambda: mjb.prepare("physics", SceneOptions()),
        "simulator: eye camera": lambda: mjb.prepare("camera", SceneOptions()),
        "simulator: film": lambda: mjb.prepare("film", SceneOptions(width=480, height=360)),  # FilmEngine's size
        "text emotion: int8 export": lambda: ensure_onnx(resolve("minilm-l6-v2", "text_emotion")),
        "voice: two parts": lambda: ensure_parts(resolve("piper-joe", "tts")),
        "the visitor's lines": lambda: synthesize_lines(list(LINES.values())),
    }


def main() -> int:
    """Prepares everything and says what.

    Returns:
        0; 1 when a step failed, where the demonstration would fail too; 130 on Ctrl-C.
    """
    console = Console(stderr=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    failed = 0
    for name, step in steps().items():
        with console.status(f"preparing {name}"):
            try:
                step()
            except Exception as error:  # each step has its own kinds; all are one sentence for the user
                console.print(f"[red]could not prepare {name}: {error}[/red]")
                failed = 1
            except KeyboardInterrupt:
                return INTERRUPTED
    return failed


if __name__ == "__main__":
    sys.exit(main())
