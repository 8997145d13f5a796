"""The functions called from a program of Hydra, threads, an event loop and pools of processes."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.version import VersionBase
from omegaconf import DictConfig

import turbo_lab
from tests.api.test_run import small
from tests.small_sweeps import misfit
from turbo_lab import api
from turbo_lab.api import run
from turbo_lab.errors import InputError, TurboLabWarning


def hashes(sweep: api.Sweep) -> list[str]:
    return [image.pixel_sha256 for cell in sweep.cells for image in cell.images]


def test_a_program_of_hydra_passes_its_own_config(
    tiny_sdxl_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "sweep: {guidance_scale: [0, 2], sheet: {x: guidance_scale}, model: '???'}\n"
    (tmp_path / "mine.yaml").write_text(text)
    place = [f"hydra.run.dir={tmp_path}", "hydra.output_subdir=null", "hydra/job_logging=none"]
    monkeypatch.setattr("sys.argv", ["mine.py", "sweep.model=local", *place])
    version = VersionBase.instance().version_base
    found: list[api.Sweep] = []

    @hydra.main(version_base="1.3", config_path=str(tmp_path), config_name="mine")
    def main(cfg: DictConfig) -> None:
        own = GlobalHydra.instance().hydra
        keys = small(tiny_sdxl_dir, tmp_path / "store")
        found.append(
            api.sweep(**{key: keys[key] for key in keys if key not in cfg.sweep}, **cfg.sweep)
        )
        assert GlobalHydra.instance().hydra is own is not None

    try:
        main()
    finally:
        VersionBase.instance().version_base = version
    assert [cell.axes for cell in found[0].cells] == [{"guidance_scale": 0}, {"guidance_scale": 2}]


def test_threads_draw_what_one_thread_draws(tiny_sdxl_dir: Path, tmp_path: Path) -> None:
    """Torch's settings are the process's, so the calls take turns; notes stay with their call."""
    keys = [small(tiny_sdxl_dir, tmp_path / str(seed)) | {"seed": seed} for seed in range(3)]
    keys[1]["lora"] = ["none", str(misfit(tmp_path))]
    with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(3) as pool:
        warnings.simplefilter("always")
        found = list(pool.map(lambda one: api.sweep(**one), keys))
    alone = [
        api.sweep(**one | {"store": tmp_path / "alone", "lora": "none"}, progress=True)
        for one in keys
    ]
    assert [hashes(one) for one in found] == [hashes(one) for one in alone]
    ours = [str(one.message) for one in caught if one.category is TurboLabWarning]
    assert len(ours) == 1 and "is for another architecture" in ours[0]


def test_a_running_event_loop_does_not_matter(tiny_sdxl_dir: Path, tmp_path: Path) -> None:
    def draw(name: str) -> list[str]:
        return hashes(api.sweep(**small(tiny_sdxl_dir, tmp_path / name)))

    async def cells() -> list[list[str]]:
        return [draw("a"), *await asyncio.gather(*(asyncio.to_thread(draw, n) for n in "bc"))]

    first, second, third = asyncio.run(cells())
    assert first == second == third


def test_calls_of_other_threads_wait_for_their_turn() -> None:
    turns, order = run._Turns(), []
    entered, leave = threading.Event(), threading.Event()

    def first() -> None:
        with turns.wait("sweep"):
            entered.set()
            leave.wait()
            order.append(1)

    def second() -> None:
        with turns.wait("sweep"):
            order.append(2)

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    entered.wait()
    threads[1].start()
    leave.set()
    for thread in threads:
        thread.join()
    assert order == [1, 2]


def test_a_fork_has_its_turn_while_a_thread_of_its_parent_is_at_work() -> None:
    entered, leave = threading.Event(), threading.Event()

    def work() -> None:
        with run._TURNS.wait("sweep"):
            entered.set()
            leave.wait()

    thread = threading.Thread(target=work)
    thread.start()
    entered.wait()
    child = os.fork()
    if not child:
        run._TURNS.is_fork_of_drawn = False  # other tests of this process have drawn
        with run._TURNS.wait("sweep"):
            os._exit(0)
    leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_fork_of_a_process_that_has_drawn_is_refused() -> None:
    """Torch waits for threads that a fork does not have."""
    turns = run._Turns()
    turns.in_fork()
    with turns.wait("sweep"):
        turns.has_drawn = True
    turns.in_fork()
    refusal = pytest.raises(InputError, match="^gate: this process is a fork of one .* use spawn")
    with refusal, turns.wait("gate"):
        pass


@pytest.mark.parametrize("name", ["sweep", "compare", "gate", "open_store"])
def test_a_pool_of_processes_can_take_every_function(name: str) -> None:
    function = getattr(turbo_lab, name)
    assert pickle.loads(pickle.dumps(function)) is function  # noqa: S301  (made here)


POOL = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import turbo_lab

def draw(path, store):
    return turbo_lab.sweep(
        model="local", **{"model.path": path}, store=store, num_images=2, batch_size=2,
        num_threads=2, resolution=64, tracking="none", timing="off", metrics="none",
    )

if __name__ == "__main__":
    method, path, root = sys.argv[1:]
    hashes = lambda sweep: [i.pixel_sha256 for cell in sweep.cells for i in cell.images]
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        found = pool.submit(draw, path, root + "/child").result()
    assert len(found.images()) == 2
    assert hashes(draw(path, root + "/parent")) == hashes(found)
    # Now this process has used torch: a fork would wait for its threads for ever.
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            pool.submit(draw, path, root + "/child").result()
    except turbo_lab.errors.InputError as error:
        print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_of_processes_draws(method: str, tiny_sdxl_dir: Path, tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    command = [sys.executable, str(script), method, str(tiny_sdxl_dir), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sweep: this process is a fork of one that has drawn with torch")
