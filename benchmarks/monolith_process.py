"""One process that loads everything at its start and keeps it: what robot programs usually look like.

Seven ROS nodes, MuJoCo with the scene from XML and its own renderer, and every model, each by its library's plain
interface: ultralytics, MediaPipe, transformers for chat (bfloat16) and for text classification, faster-whisper, Silero,
Piper. Then the visit of the demonstration: the camera renders and is looked at, each line is heard, classified,
answered and spoken.

Run by `benchmarks.monolith`, which samples its memory from outside. Prints one line of JSON per event.
"""

from __future__ import annotations

import json
import os
import sys
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np

from bbia_ros.residency.accounting import memory
from bbia_ros.residency.catalog import resolve
from bbia_ros.residency.torch_device import keep_quiet

NODES = 7
ANSWER_TOKENS = 48
FRAMES_PER_LINE = 8
WIDTH, HEIGHT = 640, 480


def tell(event: str) -> None:
    """Prints what has just happened, and the memory after it [MB]."""
    print(json.dumps({"event": event, "pss_mb": round(memory("self").pss / 1e6, 1)}), flush=True)


class Everything:
    """All of it, loaded. The attributes are the libraries' own objects."""

    def __init__(self, chat: str, classifier: str) -> None:
        self.executor = self._nodes()
        tell("ROS, 7 nodes")
        from ultralytics import YOLO

        self.yolo = YOLO(str(resolve("bbia-tabletop-yolo26n-pt", "objects")))
        self.yolo.predict(np.zeros((HEIGHT, WIDTH, 3), np.uint8), imgsz=320, verbose=False)
        tell("ultralytics YOLO26n")
        from bbia_ros.perception.faces_mediapipe import MediaPipeFaces

        self.faces = MediaPipeFaces(str(resolve("face-landmarker", "faces")))
        self.faces.faces(np.zeros((HEIGHT, WIDTH, 3), np.uint8), None)
        tell("MediaPipe faces")
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

        self.torch = torch
        self.tokenizer = AutoTokenizer.from_pretrained(chat)
        self.chat = AutoModelForCausalLM.from_pretrained(chat, dtype=torch.bfloat16)
        self.answer("Hello.", 2)
        tell("transformers chat, SmolLM2 135M bfloat16")
        self.classify: Any = pipeline("text-classification", model=classifier, device="cpu")
        self.classify("hello")
        tell("transformers text classification, MiniLM")
        from faster_whisper import WhisperModel

        self.whisper = WhisperModel(str(resolve("whisper-tiny", "stt")), compute_type="int8", cpu_threads=2)
        self.hear(np.zeros(16_000, np.float32))
        tell("faster-whisper tiny int8")
        from faster_whisper.vad import get_vad_model

        self.vad = get_vad_model()
        tell("Silero VAD")
        from piper import PiperVoice

        self.voice = PiperVoice.load(str(resolve("piper-joe", "tts")))
        self.speak("Hello.")
        tell("Piper")
        # Last: Mesa's software renderer brings an LLVM that torch's import crashes beside.
        self.mujoco, self.model, self.data, self.renderer = self._simulator()
        tell("MuJoCo, renderer 640x480")

    def _nodes(self) -> Any:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.lifecycle import LifecycleNode

        rclpy.init()
        executor = SingleThreadedExecutor()
        for number in range(NODES):
            node = LifecycleNode(f"part_{number}")
            node.trigger_configure()
            executor.add_node(node)
        executor.spin_once(timeout_sec=0.1)
        return executor

    def _simulator(self) -> tuple[Any, Any, Any, Any]:
        import mujoco

        from bbia_ros.driver.sim.assets import scene_path

        model = mujoco.MjModel.from_xml_path(str(scene_path("minimal")))
        data = mujoco.MjData(model)
        mujoco.mj_step(model, data)
        renderer = mujoco.Renderer(model, HEIGHT, WIDTH)
        renderer.update_scene(data)
        renderer.render()
        return mujoco, model, data, renderer

    def look(self) -> None:
        """One camera image, searched for objects and faces."""
        for _ in range(10):
            self.mujoco.mj_step(self.model, self.data)
        self.renderer.update_scene(self.data)
        image = self.renderer.render()
        self.yolo.predict(image[..., ::-1], imgsz=320, verbose=False)
        self.faces.faces(image, None)

    def hear(self, audio: Any) -> str:
        """Text of a line, mono float32 at 16 kHz."""
        segments, _ = self.whisper.transcribe(audio, beam_size=1, language="en")
        return " ".join(segment.text for segment in segments)

    def answer(self, text: str, tokens: int) -> str:
        """The chat model's answer."""
        messages = [{"role": "user", "content": text}]
        batch = self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with self.torch.inference_mode():
            found = self.chat.generate(**batch, max_new_tokens=tokens, do_sample=False)
        return str(self.tokenizer.decode(found[0, batch["input_ids"].shape[1] :], skip_special_tokens=True))

    def speak(self, text: str) -> int:
        """Samples of the spoken text."""
        return sum(len(piece.audio_float_array) for piece in self.voice.synthesize(text))


def visit(everything: Everything, lines: list[Path]) -> None:
    """The demonstration's lines, with a look around before each."""
    for path in lines:
        begun = time.monotonic()
        for _ in range(FRAMES_PER_LINE):
            everything.look()
        with wave.open(str(path)) as file:
            raw = np.frombuffer(file.readframes(file.getnframes()), np.int16)
            audio = raw[:: max(1, file.getframerate() // 16_000)].astype(np.float32) / 32768.0
        heard = everything.hear(audio)
        feeling = everything.classify(heard or "nothing")[0]["label"]
        reply = everything.answer(heard, ANSWER_TOKENS)
        everything.speak(reply)
        tell(f"line '{heard.strip()}' ({feeling}) answered after {time.monotonic() - begun:.1f} s")


def main() -> None:
    """usage: python -m benchmarks.monolith_process CHAT_FOLDER CLASSIFIER_FOLDER LINE.wav..."""
    keep_quiet()
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    everything = Everything(sys.argv[1], sys.argv[2])
    tell("ready")
    visit(everything, [Path(path) for path in sys.argv[3:]])
    tell("done")
    sys.stdin.readline()
    sys.stdout.flush()
    os._exit(0)  # MuJoCo's renderer and rclpy print when the interpreter takes them down


if __name__ == "__main__":
    main()
