"""`fid`: torch-fidelity's network bit for bit, its own name, and what it refuses to be called."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import DigestCache
from turbo_lab.metrics import extractor_source as sources
from turbo_lab.metrics.context import MetricContext, metric_fingerprints
from turbo_lab.metrics.evaluate import measure
from turbo_lab.metrics.extractor import ClipExtractor
from turbo_lab.metrics.extractor_source import (
    INCEPTION_FILE,
    ExtractorSource,
    extractor_source,
    inception_source,
)
from turbo_lab.metrics.inception import InceptionExtractor
from turbo_lab.metrics.reference import build_reference, save_reference
from turbo_lab.metrics.reference_source import ReferenceSource, reference_source


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the network in torch-fidelity's format, batch norms not at their start."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, *_: object, **__: object) -> None:  # type: ignore[override]
            """As it was initialised."""

    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "none.pth")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Untrained("untrained", ["2048"], str(folder / "none.pth"))
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                # about what keeps the signal's size through a layer
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.1, 0.2)
    torch.save(network.state_dict(), folder / "random.pth")
    return folder / "random.pth"


@pytest.fixture
def any_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "INCEPTION_SHA256", "")


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """(2, 330, 420, 3) uint8: not square, and larger than the network's 299."""
    return np.random.default_rng(0).integers(0, 256, (2, 330, 420, 3), dtype=np.uint8)


@pytest.mark.usefixtures("any_weights")
def test_features_are_torch_fidelitys_bit_for_bit(
    weights: Path, photos: np.ndarray, cache: DigestCache
) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3("oracle", ["2048"], str(weights))
    with torch.inference_mode():
        (oracle,) = network(torch.from_numpy(photos).permute(0, 3, 1, 2))
    ours = InceptionExtractor(inception_source(str(weights)), cache).image_features(photos)
    assert ours.shape == (2, 2048) and np.abs(ours[0] - ours[1]).max() > 1e-3
    np.testing.assert_array_equal(ours, oracle.numpy())


@pytest.mark.usefixtures("any_weights")
def test_features_are_torchmetrics_without_antialiasing(
    weights: Path, photos: np.ndarray, cache: DigestCache
) -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = FrechetInceptionDistance(
            2048, feature_extractor_weights_path=str(weights), antialias=False
        ).inception
    pixels = torch.from_numpy(photos).permute(0, 3, 1, 2)
    with torch.inference_mode():
        plain = oracle(pixels).numpy()
        oracle.use_antialias = True
        smooth = oracle(pixels).numpy()
    ours = InceptionExtractor(inception_source(str(weights)), cache).image_features(photos)
    np.testing.assert_array_equal(ours, plain)
    assert np.abs(ours - smooth).max() > 1e-3  # its default gives another value


@pytest.mark.slow
@pytest.mark.usefixtures("any_weights")
def test_fid_is_measured_next_to_the_metrics_of_the_chosen_extractor(
    tmp_path: Path,
    weights: Path,
    source: ExtractorSource,
    extractor: ClipExtractor,
    images: np.ndarray,
    cache: DigestCache,
) -> None:
    judge = InceptionExtractor(inception_source(str(weights)), cache)
    path, own = tmp_path / "i.safetensors", tmp_path / "c.safetensors"
    save_reference(path, build_reference(judge.image_features(images[8:]), "i", judge.digest))
    save_reference(own, build_reference(extractor.image_features(images), "c", extractor.digest))
    context = MetricContext(
        source, ReferenceSource("c", own), (), judge.source, ReferenceSource("i", path)
    )
    names, texts = ("fd", "fid", "clip_score"), ("a", "b") * 4
    found = measure(images[:8], texts, range(8), names, context, extractor, cache)
    assert [m.name for m in found] == ["fd/tiny-clip", "fid", "clip_score"]
    assert all(m.value is not None for m in found)
    assert found[1].note is not None and "n=8 is fewer than the 2048 features" in found[1].note
    assert found[1].details is not None and found[1].details["reference_name"] == "i"
    assert metric_fingerprints(names, context, cache) == {m.name: m.fingerprint for m in found}

    wrong = replace(context, inception_reference=ReferenceSource("c", own))
    (refused,) = measure(images[:8], texts, range(8), ("fid",), wrong, extractor, cache)
    assert refused.value is None and "build the reference again" in str(refused.note)


def test_only_torch_fidelitys_weights_give_a_fid(
    weights: Path, source: ExtractorSource, images: np.ndarray, cache: DigestCache
) -> None:
    context = MetricContext(source, None, (), inception_source(str(weights)))
    (found,) = measure(images[:2], ("a", "b"), (0, 1), ("fid",), context, cache=cache)
    assert found.name == "fid" and found.value is None
    assert "6726825d...: a distance by another network is not an FID" in str(found.note)


def test_absent_weights_are_named_and_the_rest_goes_on(
    tmp_path: Path,
    source: ExtractorSource,
    extractor: ClipExtractor,
    images: np.ndarray,
    cache: DigestCache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    context = MetricContext(source)
    fid, clip = measure(
        images[:2], ("a", "b"), (0, 1), ("fid", "clip_score"), context, extractor, cache
    )
    assert clip.value is not None and fid.value is None
    note = str(fid.note)
    assert f"{tmp_path}/hub/checkpoints/{INCEPTION_FILE} does not exist" in note
    assert "name it with metrics.inception=FILE" in note


@pytest.mark.usefixtures("any_weights")
def test_a_fid_needs_its_own_reference(
    weights: Path, source: ExtractorSource, images: np.ndarray, cache: DigestCache
) -> None:
    context = MetricContext(source, reference_source(), (), inception_source(str(weights)))
    (found,) = measure(images[:2], ("a", "b"), (0, 1), ("fid",), context, cache=cache)
    assert found.value is None
    assert "metrics=fid: needs metrics.fid_reference=FILE; make it with" in str(found.note)


@pytest.mark.usefixtures("any_weights")
def test_weights_with_code_in_them_are_not_run(tmp_path: Path, cache: DigestCache) -> None:
    class Code:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w').close()",)

    torch.save({"conv": Code()}, tmp_path / "bad.pth")
    with pytest.raises(InputError, match="bad.pth is not a file of weights"):
        InceptionExtractor(inception_source(str(tmp_path / "bad.pth")), cache)
    assert not (tmp_path / "ran").exists()


@pytest.mark.usefixtures("any_weights")
def test_it_has_no_text_side(weights: Path, images: np.ndarray, cache: DigestCache) -> None:
    context = MetricContext(extractor_source("inception", str(weights)))
    (found,) = measure(images[:1], ("a",), (0,), ("clip_score",), context, cache=cache)
    assert found.value is None and "has no text side" in str(found.note)


def test_absent_weights_have_no_digest() -> None:
    with pytest.raises(MissingFilesError, match="does not exist"):
        inception_source("nowhere.pth").digest(DigestCache())
