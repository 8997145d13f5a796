"""The world, the split, the loop and one tiny run: on icons made up here, not the npm packages."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resvg_py")
pytest.importorskip("pytorch_optimizer")

import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file

from experiments.nano import loop, train
from experiments.nano.clip import ClipSettings
from experiments.nano.lcm import LcmSettings, LcmStage
from experiments.nano.lora import LoraSettings, LoraStage, add_lora, save_lora
from experiments.nano.models import alphas_cumprod, make_schedulers, make_unet
from experiments.nano.optim import make_muon
from experiments.nano.sample import border_colour
from experiments.nano.teacher import Conditioning, TeacherSettings, TeacherStage
from experiments.nano.text import TextSettings
from experiments.nano.transfer import TransferSettings, TransferStage
from experiments.nano.turbo import VISITED, TurboSettings, TurboStage, record_flows
from experiments.nano.vae import VaeSettings, VaeStage, psnr
from experiments.nano.world import (
    COLOUR_NAMES,
    COLOURS,
    STYLES,
    THINGS,
    World,
    caption,
    is_held_out,
    pairs,
    to_uint8,
)
from turbo_lab.request import prompts


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Every thing is a disc of a shade and radius of its own."""
    folder = tmp_path_factory.mktemp("icons")
    for package in STYLES.values():
        icons = {
            name: {"body": f'<circle cx="8" cy="8" r="{3 + i % 5}" fill="#{40 * i % 4096:03x}"/>'}
            for i, name in enumerate(THINGS)
        }
        first, last = THINGS[0], THINGS[-1]
        del icons[last]
        data = {"icons": icons, "aliases": {last: {"parent": first}}, "width": 16, "height": 16}
        (folder / package).mkdir()
        (folder / package / "icons.json").write_text(json.dumps(data))
    return World.load(folder)


def test_the_split_holds_out_two_pairs_a_thing() -> None:
    held = pairs("heldout")
    assert (len(THINGS), len(COLOURS), len(pairs("all")), len(held)) == (64, 10, 640, 128)
    assert [thing for thing, _ in held] == [*range(64), *range(64)]
    assert all(first < second for (_, first), (_, second) in zip(held[:64], held[64:], strict=True))
    assert not set(held) & set(pairs("train"))
    assert set(held) | set(pairs("train")) == set(pairs("all"))


def test_the_rule_of_the_split_by_hand() -> None:
    assert is_held_out(0, 0)
    assert is_held_out(1, 1)  # 3 + 7 = 10
    assert not is_held_out(1, 0)


def test_captions_have_spaces_for_hyphens() -> None:
    thing = next(i for i, name in enumerate(THINGS) if "-" in name)
    assert caption(thing, 9) == f"a {THINGS[thing].replace('-', ' ')} on a gray background"


def test_an_unknown_split_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="must be all, train or heldout"):
        pairs("test")


@pytest.mark.parametrize("split", ["all", "train", "heldout"])
def test_the_packaged_prompts_are_the_worlds_captions(split: str) -> None:
    path = Path(prompts.__file__).parents[1] / "data" / "prompts" / f"scenes-{split}.txt"
    assert path.read_text().splitlines() == [caption(*pair) for pair in pairs(split)]


def test_scenes_have_their_shape_range_and_background(world: World) -> None:
    where = torch.tensor(pairs("heldout"))
    images = world.scenes(where[:, 0], where[:, 1], torch.Generator().manual_seed(0))
    assert images.shape == (128, 3, 64, 64)
    assert images.min() >= 0 and images.max() <= 1
    assert to_uint8(images).shape == (128, 64, 64, 3)
    palette = torch.tensor(list(COLOURS.values())) / 255
    nearest = (border_colour(images)[:, None] - palette).square().sum(-1).argmin(1)
    assert torch.equal(nearest, where[:, 1])


def test_a_thing_whose_name_is_an_alias_is_drawn(world: World) -> None:
    assert torch.equal(world.things[:, 0], world.things[:, -1])


def test_black_ink_is_white_on_black(world: World) -> None:
    black = torch.tensor([COLOUR_NAMES.index("black")])
    thing = torch.tensor([0])  # its made-up fill is black
    image = world.scenes(thing, black, torch.Generator().manual_seed(0), "ink")
    assert image[0, :, 32, 32].min() > 0.9


def test_the_same_seed_draws_the_same_scenes(world: World) -> None:
    index = torch.arange(8)
    one, two = (world.scenes(index, index, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one, two)


def test_missing_icons_name_the_script(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"fetch_icons\.sh"):
        World.load(tmp_path)


def _vae_stage(world: World) -> VaeStage:
    torch.manual_seed(0)
    settings = VaeSettings(
        batch_size=2, lr=0.02, adamw_lr=1e-3, kl_weight=2e-3, average=0.9, bfloat16=False
    )
    return VaeStage(settings, world)


def _loop(steps: int) -> loop.LoopConfig:
    return loop.LoopConfig(
        steps=steps, seed=5, warmup_steps=2, log_every=1, evaluate_every=0, save_every_s=1e9
    )


def _weights(stage: loop.Stage) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{key}": value
        for name, module in stage.modules.items()
        for key, value in module.state_dict().items()
    }


class _Quiet(VaeStage):
    """Without the evaluation on all held-out pairs, and able to die."""

    dies_at: int | None = None

    def step(self, step: int, generator: torch.Generator) -> dict[str, float]:
        if step == self.dies_at:
            raise KeyboardInterrupt
        return super().step(step, generator)

    def evaluate(self, step: int) -> dict[str, float]:
        return {"evaluated": float(step)}


def _quiet(world: World) -> _Quiet:
    stage = _vae_stage(world)
    stage.__class__ = _Quiet
    return stage  # type: ignore[return-value]


@pytest.mark.slow
def test_the_loss_falls_and_a_run_leaves_its_log(world: World, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    stage = _quiet(world)
    index = torch.arange(16) % 10
    images = world.scenes(index, index, torch.Generator().manual_seed(8)) * 2 - 1

    @torch.no_grad()
    def quality() -> float:
        decoded = stage.vae.decode(stage.vae.encode(images).latent_dist.mode()).sample
        return psnr(decoded, images).mean().item()

    before = quality()
    figures = loop.train(stage, _loop(16), tmp_path)
    # Of the same scenes: the logged loss is of two new ones a step. Half a decibel is an eighth
    # of the squared error.
    assert quality() > before + 0.5
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 17))
    assert figures == {"evaluated": 16.0}
    assert (tmp_path / "curves.png").stat().st_size > 0


@pytest.mark.slow
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(world: World, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole = _quiet(world)
    loop.train(whole, _loop(6), tmp_path / "whole")
    always = loop.LoopConfig(
        steps=6, seed=5, warmup_steps=2, log_every=1, evaluate_every=0, save_every_s=0
    )
    killed = _quiet(world)
    killed.dies_at = 4
    with pytest.raises(KeyboardInterrupt):
        loop.train(killed, always, tmp_path / "killed")
    torch.manual_seed(99)
    resumed = _quiet(world)
    loop.train(resumed, always, tmp_path / "killed")
    for name, value in _weights(whole).items():
        assert torch.equal(value, _weights(resumed)[name]), name
    logs = [(tmp_path / run / "log.jsonl").read_text() for run in ("whole", "killed")]
    assert logs[0] == logs[1]


def test_the_comparison_of_runs_can_fail(world: World, tmp_path: Path) -> None:
    one, other = _quiet(world), _quiet(world)
    loop.train(one, _loop(2), tmp_path / "one")
    loop.train(other, loop.LoopConfig(**{**_loop(2).__dict__, "seed": 6}), tmp_path / "other")
    assert any(not torch.equal(v, _weights(other)[k]) for k, v in _weights(one).items())


def test_muon_takes_matrices_and_adamw_the_rest() -> None:
    module = torch.nn.ModuleDict(
        {"conv": torch.nn.Conv2d(8, 8, 3), "thin": torch.nn.Conv2d(3, 8, 3)}
        | {"embedding": torch.nn.Embedding(16, 8)}
    )
    matrices, rest = make_muon([module], 0.02, 1e-3).param_groups
    assert [tuple(p.shape) for p in matrices["params"]] == [(8, 8, 3, 3)]
    assert len(rest["params"]) == 4


def test_the_schedule_of_signal_is_that_of_the_schedulers() -> None:
    expected = make_schedulers()["nano-sdxl"].alphas_cumprod
    torch.testing.assert_close(alphas_cumprod(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_flows_record_every_timestep_that_few_steps_visit(steps: int) -> None:
    scheduler = make_schedulers()["nano-turbo"]
    scheduler.set_timesteps(steps)
    assert {round(float(t)) for t in scheduler.timesteps} <= set(VISITED)


def _conditioning() -> Conditioning:
    generator = torch.Generator().manual_seed(1)
    return Conditioning(
        torch.randn(640, 32, 160, generator=generator), torch.randn(640, 96, generator=generator)
    )


@pytest.mark.slow
def test_the_teacher_and_its_student_take_a_step_each() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(2)
    latents, captions = torch.randn(8, 4, 16, 16, generator=generator), torch.arange(8)
    conditioning = _conditioning()
    settings = TeacherSettings(2, lr=0.02, adamw_lr=1e-3, average=0.9, caption_dropout=0.5)
    teacher = TeacherStage(settings, latents, captions, conditioning)
    assert teacher.step(0, generator)["loss"] > 0
    flows = record_flows(make_unet(), conditioning, captions[:2], 2.0, seed=3)
    assert flows["states"].shape == (2, len(VISITED), 4, 16, 16)
    turbo = TurboSettings(
        batch_size=2,
        lr=0.01,
        adamw_lr=1e-4,
        average=0.9,
        discriminator_lr=1e-3,
        distillation_weight=1.0,
        adversarial_weight=0.1,
        adversarial_from=0,
        renoise=(100, 800),
        flows=2,
        flow_guidance_scale=2.0,
    )
    student = TurboStage(turbo, teacher.unet, flows, latents, captions, conditioning, critic=None)
    before = {k: v.clone() for k, v in _weights(student).items()}
    figures = student.step(0, generator)
    assert set(figures) == {"distillation", "fooled", "discriminator"}
    changed = {
        k.split("/")[0] for k, v in _weights(student).items() if not torch.equal(v, before[k])
    }
    assert changed == {"student", "average", "discriminator"}


def test_a_lora_learns_alone_and_loads_into_the_stock_pipeline(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(2)
    latents, captions = torch.randn(8, 4, 16, 16, generator=generator), torch.arange(8)
    settings = LoraSettings(style="flat", rank=4, batch_size=2, lr=1e-2, caption_dropout=0.1)
    stage = LoraStage(settings, make_unet(), latents, captions, _conditioning())
    frozen = {k: v.clone() for k, v in stage.unet.state_dict().items() if "lora_" not in k}
    stage.step(0, generator)
    state = stage.unet.state_dict()
    assert all(torch.equal(state[k], v) for k, v in frozen.items())
    assert any("lora_B" in k and v.abs().max() > 0 for k, v in state.items())
    save_lora(stage.unet, tmp_path)
    stored = load_file(str(tmp_path / "pytorch_lora_weights.safetensors"))
    assert all(v.dtype == torch.float16 for v in stored.values())
    fresh = make_unet()
    fresh.load_lora_adapter(stored, prefix="unet")
    loaded = fresh.state_dict()
    assert sum("lora_" in k for k in loaded) == len(stored) == len(stage.lora)


def test_one_adapter_learns_on_the_teacher_and_on_the_student() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(2)
    latents, captions = torch.randn(8, 4, 16, 16, generator=generator), torch.arange(8)
    styled, student, conditioning = make_unet(), make_unet(), _conditioning()
    add_lora(styled, 4)
    flows = record_flows(styled, conditioning, captions[:2], 2.0, seed=3)
    settings = TransferSettings(
        style="flat",
        rank=4,
        batch_size=2,
        lr=1e-2,
        caption_dropout=0.1,
        distillation_weight=1.0,
        flows=2,
        flow_guidance_scale=2.0,
    )
    stage = TransferStage(
        settings, styled, student, flows, latents, captions, conditioning, critic=None
    )
    before = [{k: v.clone() for k, v in unet.state_dict().items()} for unet in (styled, student)]
    assert set(stage.step(0, generator)) == {"denoising", "distillation"}
    for unet, old in zip((styled, student), before, strict=True):
        changed = {k for k, v in unet.state_dict().items() if not torch.equal(v, old[k])}
        assert changed and all(".lora_" in k for k in changed)
    adapters = [
        {k: v for k, v in u.state_dict().items() if ".lora_" in k} for u in (styled, student)
    ]
    assert all(torch.equal(v, adapters[1][k]) for k, v in adapters[0].items())
    assert len(adapters[0]) == len(stage.lora)


def test_lcm_learns_its_adapter_alone() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(2)
    latents, captions = torch.randn(8, 4, 16, 16, generator=generator), torch.arange(8)
    settings = LcmSettings(rank=4, batch_size=2, lr=1e-2, guidance_scale=2.5, huber=1e-3)
    stage = LcmStage(settings, make_unet(), latents, captions, _conditioning(), critic=None)
    frozen = {k: v.clone() for k, v in stage.unet.state_dict().items() if "lora_" not in k}
    assert stage.step(0, generator)["loss"] > 0
    state = stage.unet.state_dict()
    assert all(torch.equal(state[k], v) for k, v in frozen.items())
    assert any("lora_B" in k and v.abs().max() > 0 for k, v in state.items())


def test_every_stage_has_a_config_with_the_fields_it_takes() -> None:
    folder = Path(train.__file__).parent / "conf" / "stage"
    takes = {
        "vae": VaeSettings,
        "clip": ClipSettings,
        "text": TextSettings,
        "teacher": TeacherSettings,
        "turbo": TurboSettings,
        "lcm": LcmSettings,
        "lora": LoraSettings,
        "transfer": TransferSettings,
    }
    assert set(takes) == set(train.STAGES) == {path.stem for path in folder.glob("*.yaml")}
    for name, settings in takes.items():
        values = OmegaConf.to_container(OmegaConf.load(folder / f"{name}.yaml"))
        settings(**values["settings"])
        loop.LoopConfig(**values["loop"])


_TWO = """
import sys
from pathlib import Path
import torch
from torch import nn
from experiments.nano import loop

class Stage:
    def __init__(self):
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 1)
        self.modules = {"layer": self.layer}
        self.optimizers = {"sgd": torch.optim.SGD(self.layer.parameters(), 0.1)}
    def step(self, step, generator):
        loss = self.layer(torch.randn(4, 3, generator=generator)).square().mean()
        self.optimizers["sgd"].zero_grad()
        loss.backward()
        self.optimizers["sgd"].step()
        return {"loss": loss.item()}
    def evaluate(self, step):
        return {}

stage = Stage()
cfg = loop.LoopConfig(3, 5, 1, 1, 0, 1e9)
loop.train(stage, cfg, Path(sys.argv[1]))
print("weights", stage.layer.weight.detach().flatten().tolist())
"""


@pytest.mark.slow
def test_two_processes_share_their_gradients(tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(_TWO)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "PYTHONPATH": str(Path(train.__file__).parents[2]),
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / "run")],
            env={**os.environ, **shared, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    printed = [process.communicate(timeout=120)[0] for process in processes]
    weights = [line for text in printed for line in text.splitlines() if "weights" in line]
    assert len(weights) == 2 and weights[0] == weights[1]
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 3
