"""Find published weight files on this machine, or fetch them, and say how when neither works.

A file that is here is used without asking the network, so that a run is quick and
repeatable; what it holds is told by its digest, not by its name.
"""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from embedcache.errors import WeightsUnavailableError

__all__ = ["find_hub_file", "find_url_file", "hub_file", "torch_hub_dir", "url_file"]

_TIMEOUT_S = 5.0
"""For one probe. Without it, huggingface_hub retries for 23 s when there is no route (seen)."""


def find_hub_file(repo: str, names: Sequence[str]) -> Path | None:
    """The first of several files of a Hugging Face repository that is in the local cache."""
    from huggingface_hub import try_to_load_from_cache

    for name in names:
        cached = try_to_load_from_cache(repo, name)
        if isinstance(cached, str):
            return Path(cached)
    return None


def hub_file(repo: str, names: Sequence[str]) -> Path:
    """The first of several files that a Hugging Face repository has, downloaded if need be.

    Raises:
        WeightsUnavailableError: None is on this machine and none can be fetched.
    """
    if cached := find_hub_file(repo, names):
        return cached
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    get = f"hf download {repo}"
    if constants.HF_HUB_OFFLINE or not _is_reachable(constants.ENDPOINT):
        raise _unavailable(constants.ENDPOINT, repo, get)
    for name in names:
        try:
            return Path(hf_hub_download(repo, name))
        except LocalEntryNotFoundError as error:
            raise _unavailable(constants.ENDPOINT, repo, get) from error
        except EntryNotFoundError:
            continue
        except (HfHubHTTPError, OSError) as error:
            raise _failed(f"{repo}: {error}", get) from error
    raise _failed(f"{repo} has none of {', '.join(names)}", get)


def torch_hub_dir() -> Path:
    """Where torchvision and timm keep weights that come from a plain URL."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def find_url_file(url: str, folder: Path) -> Path | None:
    """The file of a URL, if it is in `folder` already."""
    target = folder / Path(urllib.parse.urlparse(url).path).name
    return target if target.is_file() else None


def url_file(url: str, folder: Path) -> Path:
    """The file of a URL, downloaded into `folder` if need be.

    Its name may end in the first digits of its SHA-256, `resnet18-f37072fd.pth`; then
    these are checked.

    Raises:
        WeightsUnavailableError: It is not on this machine and cannot be fetched.
    """
    if found := find_url_file(url, folder):
        return found
    import torch

    target = folder / Path(urllib.parse.urlparse(url).path).name
    get = f"curl --create-dirs -o {target} {url}"
    if not _is_reachable(url):
        raise _unavailable(urllib.parse.urlparse(url).netloc, url, get)
    digits = torch.hub.HASH_REGEX.search(target.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(target), digits and digits.group(1))
    except (OSError, RuntimeError) as error:
        raise _failed(f"{url}: {error}", get) from error
    return target


def _is_reachable(url: str) -> bool:
    """Whether a server answers at all, through the proxies of the environment."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  # https of a library's table
    try:
        urllib.request.urlopen(request, timeout=_TIMEOUT_S).close()  # noqa: S310  # likewise
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _unavailable(host: str, where: str, get: str) -> WeightsUnavailableError:
    return WeightsUnavailableError(
        "these weights are not on this machine, and their server cannot be reached",
        where=where,
        got=f"no route to {host}",
        hint=_ways(get),
    )


def _failed(what: str, get: str) -> WeightsUnavailableError:
    return WeightsUnavailableError(
        "these weights could not be downloaded", got=what, hint=_ways(get)
    )


def _ways(get: str) -> str:
    return (
        f"where there is a network, run `{get}`; or give a local file with --weights FILE; "
        "or use bundled/efficientnet_lite0, which needs no network"
    )
