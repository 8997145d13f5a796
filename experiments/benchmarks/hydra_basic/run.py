"""A sweep as it is mostly written: Hydra's basic launcher, a pipeline and an MLflow run a job.

python run.py -m model_path=DIR num_inference_steps=1,2,3,4 guidance_scale=0,0.5,1,1.5,2,3
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
import mlflow
import torch
from diffusers import StableDiffusionXLPipeline
from hydra.utils import to_absolute_path

if TYPE_CHECKING:
    from omegaconf import DictConfig


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> None:
    """One job: load, generate, log."""
    torch.set_num_threads(config.num_threads)
    prompts = Path(to_absolute_path(config.prompts_file)).read_text().splitlines()
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        config.model_path,
        dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    mlflow.set_tracking_uri(config.tracking_uri)
    mlflow.set_experiment(config.experiment)
    with mlflow.start_run():
        mlflow.log_params(dict(config))
        began = time.perf_counter()
        images = pipeline(
            prompts,
            num_inference_steps=config.num_inference_steps,
            guidance_scale=config.guidance_scale,
            width=config.width,
            height=config.height,
            generator=[torch.Generator().manual_seed(config.seed + i) for i in range(len(prompts))],
        ).images
        mlflow.log_metric("seconds", time.perf_counter() - began)
        for index, image in enumerate(images):
            name = f"{index:02d}.png"
            image.save(name)
            mlflow.log_artifact(name)


if __name__ == "__main__":
    main()
