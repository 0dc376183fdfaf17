"""Command line: `python -m tools.train_detector {render,train,export,evaluate}`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

DATASET = Path("build/detector/data")
RUN = Path("build/detector/run")
SHIPPED = Path("models/detector")


def main() -> None:
    """Parses the command line and runs one step."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_detector", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    render = steps.add_parser("render", help="render the training and validation pictures")
    render.add_argument("--folder", type=Path, default=DATASET)
    render.add_argument("--training", type=int, default=8000, help="number of training pictures")
    render.add_argument("--validation", type=int, default=100, help="number of validation pictures")
    render.add_argument("--first", type=int, default=0, help="index of the first training picture")
    train = steps.add_parser("train", help="train a YOLO26n from random weights (needs requirements/train.txt)")
    train.add_argument("--folder", type=Path, default=DATASET)
    train.add_argument("--run", type=Path, default=RUN)
    train.add_argument("--minutes", type=float, default=62.0, help="wall time to train for")
    train.add_argument("--batch", type=int, default=8)
    train.add_argument("--threads", type=int, default=2)
    train.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    export = steps.add_parser("export", help="write the ONNX file, the stripped .pt and model.json")
    export.add_argument("--run", type=Path, default=RUN)
    export.add_argument("--output", type=Path, default=SHIPPED)
    export.add_argument(
        "--one-to-many", action="store_true", help="export the one-to-many head instead of the one-to-one head"
    )
    evaluate = steps.add_parser("evaluate", help="measure the ONNX file on held-out scenes")
    evaluate.add_argument("--model", type=Path, default=SHIPPED / "bbia-tabletop-yolo26n.onnx")
    evaluate.add_argument("--scenes", type=int, default=200)
    evaluate.add_argument("--output", type=Path, default=Path("build/detector/evaluation"))
    arguments = parser.parse_args()
    os.environ.setdefault("MUJOCO_GL", "osmesa")
    try:
        run_step(arguments)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        hint = ": see requirements/train.txt" if isinstance(error, ModuleNotFoundError) else ""
        parser.exit(1, f"{parser.prog}: {error}{hint}\n")


def run_step(arguments: argparse.Namespace) -> None:
    """Runs the step that was asked for; each imports what it alone needs."""
    if arguments.step == "render":
        from tools.train_detector.dataset import write_dataset

        print(write_dataset(arguments.folder, arguments.training, arguments.validation, arguments.first))
    elif arguments.step == "train":
        from tools.train_detector.training import train as run_training

        run_training(
            arguments.folder / "data.yaml",
            arguments.run,
            minutes=arguments.minutes,
            batch=arguments.batch,
            threads=arguments.threads,
            resume=arguments.resume,
        )
    elif arguments.step == "export":
        from tools.train_detector.export import export as run_export

        run_export(arguments.run, arguments.output, end_to_end=not arguments.one_to_many)
    else:
        from tools.train_detector.evaluation import evaluate as run_evaluation

        run_evaluation(arguments.model, arguments.scenes, arguments.output)


if __name__ == "__main__":
    main()
