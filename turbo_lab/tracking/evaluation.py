"""MLflow's data set of a cell, and the table of its images.

MLflow's page shows a table that has this name and form in its evaluation view, image columns
included.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from turbo_lab.documents.sweep import CellResult
from turbo_lab.identity import digest
from turbo_lab.tracking.facts import CellFacts
from turbo_lab.tracking.names import MAX_DATASET_NAME, shortened
from turbo_lab.tracking.pictures import FOLDER, image_stems

if TYPE_CHECKING:
    from mlflow.entities import Dataset

TABLE = "eval_results_table.json"
"""File of the table, as MLflow's page knows it."""
TABLE_TAGS = {"mlflow.loggedArtifacts": json.dumps([{"path": TABLE, "type": "table"}])}
"""Tag of a run whose table the page shows."""
# MLflow keeps this many characters of a data set's digest.
_DIGEST = 36


def images_table(cell: CellResult, facts: CellFacts, shows_images: bool) -> str:
    """Return name, image, prompt, seed and metrics of each image of a cell, as JSON.

    ``shows_images``: add the images that :func:`turbo_lab.tracking.pictures.write_images` writes.
    """
    names = list(facts.per_image)
    judged = any(image.flagged is not None for image in cell.images)
    rows = []
    for index, (stem, image) in enumerate(image_stems(cell.images)):
        picture = {
            "type": "image",
            "filepath": f"{FOLDER}/{stem}.png",
            "compressed_filepath": f"{FOLDER}/{stem}+compressed.webp",
        }
        values = [facts.per_image[name][index] for name in names]
        rows.append(
            [
                f"{image.prompt}, seed {image.seed}",
                *([picture] if shows_images else []),
                image.prompt,
                image.seed,
                *(value if math.isfinite(value) else str(value) for value in values),
                *([image.flagged] if judged else []),
                image.pixel_sha256,
            ]
        )
    # The page has a row per value of the first column, and compares what is named "output".
    columns = ["image", *(["output"] if shows_images else []), "prompt", "seed", *names]
    columns += [*(["flagged"] if judged else []), "pixel_sha256"]
    return json.dumps({"columns": columns, "data": rows}, ensure_ascii=False)


def dataset(cell: CellResult) -> Dataset | None:
    """Return the prompts and seeds of a cell as MLflow's data set; ``None`` without images.

    Values are comparable only on equal data sets, so the number of images and the seeds are part
    of one.
    """
    from mlflow.entities import Dataset

    if not cell.images:
        return None
    rows = [[image.prompt, image.seed, image.source] for image in cell.images]
    settings, count = cell.parameters, len(rows)
    # Short, because the page writes it before the name of each chart's metric.
    words = [f"{settings.prompts} x{count}"]
    words += [f"seed {settings.seed}"] if settings.seed else []
    words += ["same seed"] if settings.seed_mode == "same" else []
    name = shortened(", ".join(words), MAX_DATASET_NAME)
    whole = digest(rows)
    source = json.dumps({"digest": whole, "prompt_sets": dict(cell.provenance.prompt_sets)})
    num_prompts = len({image.prompt for image in cell.images})
    profile = json.dumps({"num_images": count, "num_prompts": num_prompts})
    return Dataset(name, whole[:_DIGEST], "local", source, profile=profile)
