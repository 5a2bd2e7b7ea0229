"""Tests of `embedcache.backbones.published`, without a network."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError

from embedcache.backbones import published
from embedcache.backbones.base import BackboneRequest
from embedcache.backbones.load import load_backbone
from embedcache.backbones.published import find_hub_file, find_url_file, hub_file, url_file
from embedcache.errors import WeightsUnavailableError

CONTENT = b"weights"
DIGITS = hashlib.sha256(CONTENT).hexdigest()[:8]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server on this machine."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / f"model-{DIGITS}.pth").write_bytes(CONTENT)
    (folder / "model-00000000.pth").write_bytes(CONTENT)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=folder)  # type: ignore[arg-type]  # as the server calls it

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_address[1]}"
        web.shutdown()
        thread.join()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No server answers, and no weights are here."""
    monkeypatch.setattr(published, "_is_reachable", lambda _: False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("timm/resnet18.a1_in1k", "hf download timm/resnet18.a1_in1k"),
        ("timm/gcvit_base.in1k", "curl --create-dirs -o "),
        ("torchvision/resnet18", "curl --create-dirs -o "),
        ("open_clip/ViT-B-32:openai", "hf download timm/vit_base_patch32_clip_224.openai"),
    ],
)
def test_unavailable_weights(name: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network, the error names how to get the weights, and what works offline."""
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", lambda *_: pytest.fail("the hub was asked")
    )
    with pytest.raises(WeightsUnavailableError) as caught:
        load_backbone(BackboneRequest(name))
    hint = caught.value.hint or ""
    assert way in hint
    assert "--weights FILE" in hint
    assert "bundled/efficientnet_lite0" in hint


@pytest.mark.usefixtures("no_network")
def test_foreign_formats() -> None:
    """Weights that are published in a format that is not read are refused as such."""
    with pytest.raises(WeightsUnavailableError, match="format"):
        load_backbone(BackboneRequest("timm/resnetv2_50x1_bit.goog_distilled_in1k"))


@pytest.mark.usefixtures("no_network")
def test_unpublished_weights() -> None:
    """An architecture that nobody has published weights for needs a file."""
    with pytest.raises(WeightsUnavailableError, match="--weights FILE"):
        load_backbone(BackboneRequest("timm/mobilenetv2_035"))


def test_offline_mode_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """With HF_HUB_OFFLINE, not even a probe leaves the machine."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(published, "_is_reachable", lambda _: pytest.fail("a probe was sent"))
    with pytest.raises(WeightsUnavailableError):
        hub_file("owner/not-on-this-machine", ["model.safetensors"])


def test_cached_hub_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the local hub cache is used without asking the network."""
    repo = tmp_path / "models--owner--model"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("abc")
    (repo / "snapshots" / "abc").mkdir(parents=True)
    (repo / "snapshots" / "abc" / "b.bin").write_bytes(CONTENT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(published, "_is_reachable", lambda _: pytest.fail("a probe was sent"))
    monkeypatch.setattr(
        huggingface_hub,
        "try_to_load_from_cache",
        lambda repo_id, name: _cached(tmp_path, repo_id, name),
    )
    assert find_hub_file("owner/model", ["a.bin"]) is None
    assert hub_file("owner/model", ["a.bin", "b.bin"]).read_bytes() == CONTENT


def _cached(root: Path, repo: str, name: str) -> str | None:
    path = root / f"models--{repo.replace('/', '--')}" / "snapshots" / "abc" / name
    return str(path) if path.exists() else None


def test_hub_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first file that the repository has is downloaded; none at all is an error."""

    def download(repo: str, name: str) -> str:
        if name != "b.bin":
            raise EntryNotFoundError("no such file")
        (tmp_path / name).write_bytes(CONTENT)
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(published, "_is_reachable", lambda _: True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert hub_file("owner/model", ["a.bin", "b.bin"]) == tmp_path / "b.bin"
    with pytest.raises(WeightsUnavailableError, match=r"has none of a\.bin"):
        hub_file("owner/model", ["a.bin"])


def test_hub_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that breaks off is a clear error."""

    def download(*_: object) -> str:
        raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(published, "_is_reachable", lambda _: True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(WeightsUnavailableError, match="reset by peer"):
        hub_file("owner/model", ["a.bin"])


def test_url_download(server: str, tmp_path: Path) -> None:
    """A file is downloaded once, its name's digits of SHA-256 checked."""
    url = f"{server}/model-{DIGITS}.pth"
    assert find_url_file(url, tmp_path) is None
    path = url_file(url, tmp_path / "new")
    assert path.read_bytes() == CONTENT
    assert url_file("http://127.0.0.1:1/model-" + DIGITS + ".pth", tmp_path / "new") == path


def test_url_with_wrong_digits(server: str, tmp_path: Path) -> None:
    """A file whose bytes are not those that its name promises is not kept."""
    with pytest.raises(WeightsUnavailableError, match="could not be downloaded"):
        url_file(f"{server}/model-00000000.pth", tmp_path)
    assert find_url_file(f"{server}/model-00000000.pth", tmp_path) is None


def test_url_that_is_not_there(server: str, tmp_path: Path) -> None:
    """A server that answers without having the file is told from one that does not answer."""
    with pytest.raises(WeightsUnavailableError, match="could not be downloaded"):
        url_file(f"{server}/none.pth", tmp_path)
    with pytest.raises(WeightsUnavailableError, match="cannot be reached"):
        url_file("http://127.0.0.1:1/none.pth", tmp_path)
