"""What a finished fine-tuning leaves: its record, and its folder, whole or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from embedcache.backbones.tuned_folder import seen_bytes
from embedcache.finetuning.record import FORMAT, FinetuneRecord
from embedcache.heads.json_records import dump_record
from embedcache.runs.folder import (
    CONFIG,
    FINETUNE,
    FINETUNE_PAGE,
    TUNED,
    TUNED_ROWS,
    publish_run,
)
from embedcache.storage.publish import write_atomic
from embedcache.store.catalog import slug
from embedcache.workflows.finetune_options import FinetuneOptions
from embedcache.workflows.tuned_run import MODEL, Shipment, ship
from embedcache.workflows.tuning import Tuned
from embedcache.workflows.tuning_gate import Opened, TestRows
from embedcache.workflows.tuning_material import Material, rows_seen
from embedcache.workflows.tuning_page import tuning_page
from embedcache.workflows.tuning_rows import TuningRows

__all__ = ["finetune_record", "publish_tuning"]


def finetune_record(
    tuning: TuningRows,
    material: Material,
    options: FinetuneOptions,
    tuned: Tuned,
    fingerprint: str,
) -> FinetuneRecord:
    """How a training went, without what was found on test rows.

    Args:
        tuning: The run that it started from.
        material: Its rows and model.
        options: As asked for.
        tuned: The training.
        fingerprint: Of all that the result depends on.
    """
    progress = tuned.trained.progress
    trials = sum(each.seconds for each in tuned.trials)
    return FinetuneRecord(
        FORMAT,
        tuning.run.name,
        tuning.head.backbone,
        material.family,
        str(material.device),
        options.unfreeze,
        len(tuned.freezing.blocks),
        tuned.freezing.trained,
        options.augment,
        options.class_weights,
        tuning.head.classes,
        len(material.train),
        len(material.validation),
        material.start.c,
        material.start.residual_ratio,
        material.start.softened,
        tuned.plan,
        tuned.recipe,
        tuned.trials,
        progress,
        (progress.seconds + trials + tuned.plan.caching_seconds) / 60,
        fingerprint,
    )


def publish_tuning(
    runs: Path,
    tuning: TuningRows,
    material: Material,
    options: FinetuneOptions,
    record: FinetuneRecord,
    test: TestRows | None,
    opened: Opened | None,
) -> Path:
    """The folder of the training: a run like any other if the gate let it pass, else evidence.

    Args:
        runs: The runs folder.
        tuning: The run that it started from.
        material: Its classifier has the weights to keep.
        options: As asked for.
        record: How it went.
        test: The rows of the gate; None where there are none.
        opened: What they said; None where they were not read.

    Raises:
        StorageError: The disk is full or the folder is not writable.
    """
    shipments: list[Shipment] = []

    def write(folder: Path) -> None:
        if test is not None and opened is not None and opened.gate.ships:
            rows = opened.rows, test.images.digests, test.group, opened.probabilities
            temperature = 1.0 if record.sweep is None else record.sweep.temperature
            shipments.append(ship(folder, tuning, material, *rows, temperature))
        else:
            write_atomic(folder / TUNED, _weights(material))
        write_atomic(folder / TUNED_ROWS, seen_bytes(rows_seen(material)))
        backbones = shipments[0].backbones if shipments else None
        write_atomic(folder / CONFIG, _config(tuning, options, backbones))
        write_atomic(folder / FINETUNE, dump_record(record))
        if opened is not None and opened.seen is not None:
            opened.seen.save(folder)

    def write_named(folder: Path, name: str) -> None:
        for shipment in shipments:
            shipment.write_head(folder, name)
        page = tuning_page(record, tuning, options, test, opened, name)
        write_atomic(folder / FINETUNE_PAGE, page)

    backbone = slug(tuning.head.backbone)
    return publish_run(runs, tuning.head.dataset, backbone, MODEL, write, write_named)


def _weights(material: Material) -> bytes:
    """Backbone and head after the training, `tower.…` and `head.…`."""
    from safetensors.torch import save

    state = material.classifier.state_dict()
    return save({name: tensor.cpu().contiguous() for name, tensor in state.items()})


def _config(
    tuning: TuningRows, options: FinetuneOptions, backbones: list[dict[str, Any]] | None
) -> bytes:
    source = None if options.source is None else str(options.source.absolute())
    value: dict[str, Any] = {
        "caches": [str(tuning.cache.path)],
        "run": str(tuning.run),
        "finetune": {**asdict(options), "source": source},
    }
    if backbones is not None:
        value["backbones"] = backbones
    return json.dumps(value, indent=1).encode()
