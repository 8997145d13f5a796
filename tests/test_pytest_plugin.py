"""The fixture ``golden_image`` in a suite of someone else's, run as they would run it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forks import run_in_fork
from turbo_lab.golden.library import GoldenLibrary

SUITE = """
import numpy as np

def draw(offset=0):
    y, x = np.mgrid[:32, :32]
    return np.stack([x * 4, y * 4, (x + y) * 2 + offset], axis=-1).astype(np.uint8)

def test_gradient(golden_image):
    golden_image.check(draw({offset}))

def test_stages(golden_image):
    latents = np.arange(16, dtype=np.float32) + {stage}
    golden_image.check(draw(), stages={{"latents.0": latents}}, recipe={{"steps": 1}})
"""


OPTIONS = ["-q", "-p", "no:cacheprovider"]


def run(folder: Path, *words: str) -> tuple[int, str]:
    """Run pytest in a fork, without our own suite's settings."""
    return run_in_fork(pytest.main, [*OPTIONS, *words, "test_it.py"], folder=folder)


def run_as_a_user(folder: Path, *words: str) -> tuple[int, str]:
    """Run pytest in a new interpreter, which finds the plugin by its entry point."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS, *words, "test_it.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "test_it.py").write_text(SUITE.format(offset=0, stage=0))
    return tmp_path


def test_the_life_of_a_golden(suite: Path) -> None:
    code, text = run_as_a_user(suite)
    assert code == 1 and "has no golden; run pytest --golden-record" in text
    assert not (suite / "goldens").exists()

    assert run_as_a_user(suite, "--golden-record")[0] == 0
    assert (suite / "goldens" / "test_it" / "test_gradient" / "golden.json").exists()
    assert run(suite)[0] == 0

    (suite / "test_it.py").write_text(SUITE.format(offset=1, stage=1))
    code, text = run(suite)
    assert code == 1
    assert "golden test_gradient: regression: not identical, on the same fingerprint" in text
    assert "first at latents.0" in text
    assert 'if it is meant      pytest --golden-accept "REASON" TEST' in text

    code, text = run(suite, "--golden-accept", "a brighter blue")
    assert code == 4 and "name the tests" in text
    code, text = run(suite, "--golden-accept", "a brighter blue", "-k", "gradient or stages")
    assert code == 0 and "accepted  test_it.py::test_gradient  (not identical" in text
    assert (
        "a brighter blue"
        in (suite / "goldens" / "test_it" / "test_gradient" / "golden.json").read_text()
    )
    assert run(suite)[0] == 0


def test_a_failure_says_by_how_much_and_where_to_see_it(suite: Path) -> None:
    assert run(suite, "--golden-record")[0] == 0
    (suite / "test_it.py").write_text(SUITE.format(offset=3, stage=0))
    code, text = run(suite, "--golden-report", "page.html")
    assert code == 1 and (suite / "page.html").exists()
    assert (
        "pixels differ by up to 3 of 255, PSNR 43.4 dB, 100.00% of the pixels; see page.html"
        in text
    )
    cache = ["-o", f"cache_dir={suite / 'cache'}", "-p", "cacheprovider"]
    code, text = run(suite, *cache)
    page = suite / "cache" / "d" / "turbo-lab" / "goldens.html"
    assert code == 1 and page.exists() and f"see {page}" in " ".join(text.split())


@pytest.mark.parametrize(
    ("limits", "code"),
    [("max_abs=3", 0), ("max_abs=2", 1), ("min_psnr=40", 0), ("max_abs=3, min_psnr=50", 1)],
)
def test_a_test_may_tolerate_a_difference(suite: Path, limits: str, code: int) -> None:
    assert run(suite, "--golden-record", "-k", "gradient")[0] == 0
    (suite / "test_it.py").write_text(
        SUITE.format(offset=3, stage=0).replace("draw(3)", f"draw(3), {limits}")
    )
    assert run(suite, "-k", "gradient")[0] == code


MARKED = """
import pytest
import numpy as np

@pytest.mark.golden({limits})
def test_gradient(golden_image):
    golden_image.check(np.full((8, 8, 3), {value}, np.uint8))
"""


@pytest.mark.parametrize(
    ("limits", "ini", "code"),
    [
        ("max_abs=3", "", 0),
        ("max_abs=2", "golden_max_abs=9", 1),
        ("min_psnr=35", "golden_min_psnr=90", 0),
    ],
)
def test_a_marker_limits_a_test_before_the_ini_file_does(
    suite: Path, limits: str, ini: str, code: int
) -> None:
    (suite / "pytest.ini").write_text(f"[pytest]\naddopts = --strict-markers\n{ini}\n")
    for value, words in ((10, ["--golden-record"]), (13, [])):
        (suite / "test_it.py").write_text(MARKED.format(limits=limits, value=value))
        found = run(suite, *words)
    assert found[0] == code, found[1]


def test_the_ini_file_limits_every_test_and_names_the_page(suite: Path) -> None:
    (suite / "pytest.ini").write_text("[pytest]\ngolden_max_abs = 3\ngolden_report = out/a.html\n")
    assert run(suite, "--golden-record")[0] == 0
    (suite / "test_it.py").write_text(SUITE.format(offset=3, stage=0))
    assert run(suite)[0] == 0 and not (suite / "out" / "a.html").exists()
    assert run(suite, "--golden-all")[0] == 0
    assert "test_gradient" in (suite / "out" / "a.html").read_text("utf-8")
    (suite / "test_it.py").write_text(SUITE.format(offset=4, stage=0))
    assert run(suite)[0] == 1


@pytest.mark.parametrize(
    ("ini", "limits", "message"),
    [
        ("golden_max_abs = much", "max_abs=3", "golden_max_abs and golden_min_psnr: "),
        ("", "max_abs=-1", "marker golden: "),
        ("", "tolerance=3", "marker golden: "),
    ],
)
def test_wrong_limits_are_explained(suite: Path, ini: str, limits: str, message: str) -> None:
    (suite / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
    (suite / "test_it.py").write_text(MARKED.format(limits=limits, value=1))
    code, text = run_as_a_user(suite, "--golden-record")
    assert code != 0 and message in text
    assert "INTERNALERROR" not in text


def test_only_a_failed_comparison_names_the_options(suite: Path) -> None:
    """The words of other failures decide nothing, nor does a failure that the test expects."""
    assert run(suite, "--golden-record")[0] == 0
    expected = "with pytest.raises(pytest.fail.Exception): golden_image"
    (suite / "test_it.py").write_text(
        "import pytest\n"
        + SUITE.format(offset=1, stage=0).replace(
            "golden_image.check(draw(1", f"{expected}.check(draw(1"
        )
        + "\ndef test_other():\n"
        "    pytest.fail('golden has no golden; run pytest --golden-record', pytrace=False)\n"
    )
    code, text = run(suite)
    assert code == 1 and "golden images" not in text


@pytest.mark.slow
def test_it_works_under_xdist_and_recording_moves_nothing(suite: Path) -> None:
    assert run(suite, "--golden-record", "-n", "2")[0] == 0
    (suite / "test_it.py").write_text(SUITE.format(offset=1, stage=0))
    assert run(suite, "--golden-record", "-n", "2")[0] == 1


def test_wrong_images_are_explained(suite: Path) -> None:
    (suite / "test_it.py").write_text(
        "import numpy as np\n"
        "def test_float(golden_image):\n"
        "    golden_image.check(np.zeros((4, 4, 3)))\n"
    )
    code, text = run(suite)
    assert code == 1 and "float64 (1, 4, 4, 3) is not (N, H, W, 3) uint8 RGB" in text


@pytest.mark.slow
def test_grey_is_an_image_and_transparency_is_refused(suite: Path) -> None:
    (suite / "test_it.py").write_text(
        "import numpy as np\n"
        "from PIL import Image\n"
        "GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)\n"
        "def test_array(golden_image):\n"
        "    golden_image.check(GREY)\n"
        "def test_pictures(golden_image):\n"
        "    golden_image.check([Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())])\n"
    )
    assert run(suite, "--golden-record")[0] == 0
    assert run(suite)[0] == 0
    (suite / "test_it.py").write_text(
        "from PIL import Image\n"
        "def test_alpha(golden_image):\n"
        "    golden_image.check(Image.new('RGBA', (4, 4)))\n"
    )
    code, text = run(suite, "--golden-record")
    assert code == 1 and "put it on a background: image.convert('RGB')" in text


def test_another_recipe_is_uncovered_and_says_how_pytest_accepts_it(suite: Path) -> None:
    assert run(suite, "--golden-record")[0] == 0
    (suite / "test_it.py").write_text(
        SUITE.format(offset=0, stage=0).replace('"steps": 1', '"steps": 2')
    )
    code, text = run(suite)
    assert code == 1 and "uncovered: the case is another cell now" in text
    assert 'if it is meant: pytest --golden-accept "REASON" TEST' in text
    assert "turbo-lab golden" not in text


@pytest.mark.slow
def test_a_stock_pipeline_is_traced(tiny_sdxl_dir: Path, suite: Path) -> None:
    (suite / "test_it.py").write_text(
        "import torch\n"
        "from diffusers import StableDiffusionXLPipeline\n"
        "def test_pipeline(golden_image):\n"
        f"    pipeline = StableDiffusionXLPipeline.from_pretrained({str(tiny_sdxl_dir)!r},\n"
        "        add_watermarker=False)\n"
        "    golden_image.check_pipeline(pipeline, prompt='a key', num_inference_steps=2,\n"
        "        guidance_scale=2.0, height=64, width=64,\n"
        "        generator=torch.Generator().manual_seed(1))\n"
    )
    code, text = run(suite, "--golden-record")
    assert code == 0, text
    assert run(suite)[0] == 0
    sidecar = (suite / "goldens" / "test_it" / "test_pipeline" / "golden.json").read_text()
    for stage in ("noise", "prompt_embeds", "unet.0", "latents.1", "vae", "pixels"):
        assert f'"stage": "{stage}"' in sidecar


def test_an_id_as_long_as_a_prompt_names_a_folder(suite: Path) -> None:
    (suite / "test_it.py").write_text(
        "import numpy as np\n"
        "import pytest\n"
        "PROMPTS = ['短い猫のポスター' * 12, 'w ' * 125, 'w ' * 126, 'w' * 300]\n"
        "@pytest.mark.parametrize('prompt', PROMPTS, ids=PROMPTS)\n"
        "def test_poster(golden_image, prompt):\n"
        "    golden_image.check(np.full((8, 8, 3), len(prompt) % 256, np.uint8))\n"
    )
    code, text = run(suite, "--golden-record")
    assert code == 0, text
    assert run(suite)[0] == 0
    names = [path.name for path in (suite / "goldens" / "test_it").iterdir()]
    assert len(names) == 4 and max(map(len, names)) <= 255


def test_tests_of_one_name_have_a_golden_each(suite: Path) -> None:
    (suite / "test_it.py").write_text(
        "import numpy as np\n"
        "import pytest\n"
        "class TestDark:\n"
        "    def test_draw(self, golden_image):\n"
        "        golden_image.check(np.zeros((4, 4, 3), np.uint8))\n"
        "class TestLight:\n"
        "    def test_draw(self, golden_image):\n"
        "        golden_image.check(np.full((4, 4, 3), 255, np.uint8))\n"
        "@pytest.mark.parametrize('word', ['a b', 'a/b', 'a-b', 'a'])\n"
        "def test_word(golden_image, word):\n"
        "    golden_image.check(np.full((4, 4, 3), ord(word[1:2] or ' ') * 2, np.uint8))\n"
    )
    assert run(suite, "--golden-record")[0] == 0
    assert run(suite)[0] == 0
    names = {path.name for path in (suite / "goldens" / "test_it").iterdir()}
    assert len(names) == 6
    assert {"TestDark.test_draw", "TestLight.test_draw", "test_word-a"} <= names


@pytest.mark.slow
def test_the_report_is_one_page_whatever_runs_the_tests(suite: Path) -> None:
    assert run(suite, "--golden-record")[0] == 0
    (suite / "test_it.py").write_text(SUITE.format(offset=1, stage=1))
    pages = []
    for words in ((), ("-n", "2")):
        assert run(suite, "--golden-report", "out/page.html", *words)[0] == 1
        assert [path.name for path in (suite / "out").iterdir()] == ["page.html"]
        pages.append((suite / "out" / "page.html").read_text())
        (suite / "out" / "page.html").unlink()
    assert pages[0] == pages[1]
    assert "test_it.py::test_gradient" in pages[0] and "test_it.py::test_stages" in pages[0]
    assert "All keys" in pages[0]


@pytest.mark.slow
def test_on_another_device_images_decide(suite: Path) -> None:
    """Rounding passes there and another picture does not; both are judged, none is an error."""
    assert run(suite, "--golden-record")[0] == 0
    for name in ("test_gradient", "test_stages"):
        made_elsewhere(suite, name, device_class="cuda sm_90")
    (suite / "test_it.py").write_text(SUITE.format(offset=1, stage=0))
    code, text = run(suite)
    assert code == 0, text
    (suite / "test_it.py").write_text(SUITE.format(offset=80, stage=0))
    code, text = run(suite)
    assert code == 1 and "golden test_gradient: regression: window_density" in text


def test_non_finite_stages_are_neither_recorded_nor_accepted(suite: Path) -> None:
    (suite / "test_it.py").write_text(SUITE.format(offset=0, stage="np.nan"))
    code, text = run(suite, "--golden-record", "-k", "stages")
    assert code == 1 and not (suite / "goldens" / "test_it" / "test_stages").exists()
    assert "non-finite values (NaN or infinity), first in latents.0: golden test_stages is" in text
    (suite / "test_it.py").write_text(SUITE.format(offset=0, stage=0))
    assert run(suite, "--golden-record")[0] == 0
    (suite / "test_it.py").write_text(SUITE.format(offset=0, stage="np.inf"))
    for words in ((), ("--golden-accept", "it is meant", "-k", "stages")):
        code, text = run(suite, *words)
        assert code == 1 and "non-finite values (NaN or infinity), first in latents.0" in text


@pytest.mark.slow
def test_tensors_of_64_bits_are_not_rounded(suite: Path) -> None:
    template = (
        "import numpy as np\n"
        "def test_wide(golden_image):\n"
        "    stages = {{'tokens': np.array([2**40 + {token}]), 'sums': np.array([1 + {sum}])}}\n"
        "    golden_image.check(np.zeros((4, 4, 3), np.uint8), stages=stages)\n"
    )
    (suite / "test_it.py").write_text(template.format(token=0, sum=0.0))
    assert run(suite, "--golden-record")[0] == 0
    for token, total, stage in ((1, 0.0, "tokens"), (0, 1e-12, "sums")):
        (suite / "test_it.py").write_text(template.format(token=token, sum=total))
        code, text = run(suite)
        assert code == 1 and f"first at {stage}" in text


def made_elsewhere(suite: Path, test: str, **keys: str) -> None:
    """Rewrite a golden as another environment would have recorded it."""
    library = GoldenLibrary(suite / "goldens" / "test_it")
    golden = library.read(test)
    changed = {**golden.fingerprint.keys, **keys}
    library.write_document(
        dataclasses.replace(
            golden,
            fingerprint=dataclasses.replace(golden.fingerprint, keys=changed),
            accepted=(dataclasses.replace(golden.accepted[0], keys=changed),),
        )
    )


@pytest.mark.slow
def test_a_damaged_golden_is_an_error_of_its_test_and_in_the_page(suite: Path) -> None:
    assert run(suite, "--golden-record")[0] == 0
    sidecar = suite / "goldens" / "test_it" / "test_gradient" / "golden.json"
    sidecar.write_text(sidecar.read_text()[:200])
    code, text = run(suite, "--golden-report", "page.html")
    assert code == 1 and "golden test_gradient: error: " in text and "Traceback" not in text
    assert "test_it.py::test_gradient" in (suite / "page.html").read_text()
    code, text = run(suite, "--golden-report", "test_it.py/page.html")
    assert code == 4 and "--golden-report=test_it.py/page.html: cannot be written" in text
