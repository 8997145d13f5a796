"""The feature cache: nothing is computed twice, and nothing damaged is believed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_clip import PROMPTS
from turbo_lab.errors import InputError
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.cache import CachedExtractor, FeatureCache
from turbo_lab.metrics.context import MetricContext
from turbo_lab.metrics.evaluate import measure
from turbo_lab.metrics.extractor import ClipExtractor
from turbo_lab.metrics.extractor_source import extractor_source

JUDGE = "a" * 64 + "-cpu"


class Counting:
    """A real judge that writes down what it was asked."""

    def __init__(self, judge: ClipExtractor) -> None:
        self.name, self.digest, self._judge = judge.name, judge.digest, judge
        self.images: list[int] = []
        self.texts: list[list[str]] = []

    def image_features(self, images: np.ndarray) -> np.ndarray:
        self.images.append(len(images))
        return self._judge.image_features(images)

    def text_features(self, prompts: Sequence[str]) -> np.ndarray:
        self.texts.append(list(prompts))
        return self._judge.text_features(prompts)


@pytest.fixture
def judge(extractor: ClipExtractor) -> Counting:
    return Counting(extractor)


def cached(judge: Counting, folder: Path, device: str = "cpu") -> CachedExtractor:
    return CachedExtractor(judge.name, judge.digest, lambda: judge, FeatureCache(folder), device)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


def test_a_second_evaluation_asks_the_judge_nothing(
    judge: Counting, tmp_path: Path, images: np.ndarray
) -> None:
    first = cached(judge, tmp_path)
    features, texts = first.image_features(images), first.text_features(PROMPTS)
    again = cached(judge, tmp_path)
    np.testing.assert_array_equal(again.image_features(images), features)
    np.testing.assert_array_equal(again.text_features(PROMPTS), texts)
    assert judge.images == [20] and judge.texts == [list(PROMPTS)]
    assert len(entries(tmp_path)) == 20 + len(PROMPTS)


def test_only_what_is_new_is_computed_and_equal_images_once(
    judge: Counting, tmp_path: Path, images: np.ndarray
) -> None:
    cached(judge, tmp_path).image_features(images[:5])
    mixed = np.concatenate([images[3:8], images[5:8][::-1]])
    found = cached(judge, tmp_path).image_features(mixed)
    assert judge.images == [5, 3]
    np.testing.assert_array_equal(found[5:], found[[4, 3, 2]])
    np.testing.assert_allclose(found, judge._judge.image_features(mixed), rtol=0, atol=1e-5)


def test_texts_are_read_once_a_process(judge: Counting, tmp_path: Path) -> None:
    one = cached(judge, tmp_path)
    one.text_features(["a", "b", "a"])
    for entry in entries(tmp_path):
        entry.unlink()
    one.text_features(["b", "a", "c"])
    assert judge.texts == [["a", "b"], ["c"]]


def flipped(content: bytes, other: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    "spoil",
    [
        flipped,
        lambda content, other: content[:-3],
        lambda content, other: b"",
        lambda content, other: b"no header",
        lambda content, other: other,
    ],
    ids=["a bit", "cut short", "empty", "another file", "another image's entry"],
)
def test_a_corrupted_entry_is_computed_again(
    spoil: Callable[[bytes, bytes], bytes], judge: Counting, tmp_path: Path, images: np.ndarray
) -> None:
    features = cached(judge, tmp_path).image_features(images)
    entry, other = entries(tmp_path)[:2]
    sound = entry.read_bytes()
    entry.write_bytes(spoil(sound, other.read_bytes()))
    again = cached(judge, tmp_path).image_features(images)
    np.testing.assert_allclose(again, features, rtol=0, atol=1e-5)
    assert judge.images == [20, 1]
    cached(judge, tmp_path).image_features(images)
    assert judge.images == [20, 1]  # and it was mended


def test_another_judge_or_device_has_entries_of_its_own(
    judge: Counting, tmp_path: Path, images: np.ndarray
) -> None:
    cached(judge, tmp_path).image_features(images)
    cached(judge, tmp_path, "cuda:0").image_features(images)
    cached(judge, tmp_path, "cuda:1").image_features(images)
    assert judge.images == [20, 20]
    judge.digest = "b" * 64
    cached(judge, tmp_path).image_features(images)
    assert judge.images == [20, 20, 20]


def test_a_folder_that_cannot_be_written_to_is_warned_of_once(
    judge: Counting, tmp_path: Path, images: np.ndarray
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="point TURBO_LAB_CACHE at a folder") as caught:
        found = cached(judge, tmp_path / "file" / "features").image_features(images)
    assert len(caught) == 1 and found.shape == (20, 12)


@pytest.mark.parametrize("bad", [np.zeros((2, 4, 4, 3)), np.zeros((4, 4, 3), np.uint8)])
def test_refused_images(bad: np.ndarray, judge: Counting, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="images"):
        cached(judge, tmp_path).image_features(bad)
    with pytest.raises(InputError, match="at least one"):
        cached(judge, tmp_path).text_features([])


WRITER = """
import sys
from pathlib import Path
import numpy as np
from turbo_lab.metrics.cache import FeatureCache
cache, row = FeatureCache(Path(sys.argv[1])), np.arange(256, dtype=np.float32)
for step in range(300):
    cache.put("judge", "image", f"{step % 3:064x}", row)
"""


def test_two_writers_and_a_reader_never_see_half_an_entry(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)]) for _ in range(2)]
    cache, seen = FeatureCache(tmp_path), 0
    while any(writer.poll() is None for writer in writers):
        for content in (f"{step:064x}" for step in range(3)):
            row = cache.get("judge", "image", content)
            assert row is not None or not seen  # once there, it is never gone or damaged
            if row is not None:
                np.testing.assert_array_equal(row, np.arange(256))
                seen += content == f"{2:064x}"
    assert [writer.returncode for writer in writers] == [0, 0] and seen > 3
    assert list(tmp_path.rglob("*.partial")) == []


MEASURE = """
import sys
from pathlib import Path
import numpy as np
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.cache import FeatureCache
from turbo_lab.metrics.evaluate import measure
from turbo_lab.metrics.context import MetricContext
from turbo_lab.metrics.extractor_source import extractor_source
{extra}
images, prompts = np.load({images!r}), {prompts!r}
context = MetricContext(extractor_source({judge!r}), None, prompts)
cache, features = DigestCache(Path({folder!r}) / "digests"), FeatureCache(Path({folder!r}))
found = measure(images, prompts, range(3), ("clip_score", "r_precision"), context,
                cache=cache, features=features)
print([m.value for m in found], sorted({{"torch", "open_clip", "scipy"}} & set(sys.modules)))
"""


@pytest.mark.parametrize("extra,loaded", [("", "[]"), ("import scipy", "['scipy']")])
def test_measuring_known_images_imports_no_torch(
    extra: str, loaded: str, clip_folder: Path, tmp_path: Path, images: np.ndarray
) -> None:
    """The second case shows that the first can fail."""
    prompts = ("a red circle", "a blue circle", "two red squares")
    context = MetricContext(extractor_source(str(clip_folder)), None, prompts)
    cache, names = DigestCache(tmp_path / "digests"), ("clip_score", "r_precision")
    known = measure(
        images[:3], prompts, range(3), names, context, cache=cache, features=FeatureCache(tmp_path)
    )
    np.save(tmp_path / "images.npy", images[:3])
    code = MEASURE.format(
        extra=extra,
        images=str(tmp_path / "images.npy"),
        prompts=prompts,
        judge=str(clip_folder),
        folder=str(tmp_path),
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == f"{[m.value for m in known]} {loaded}"
