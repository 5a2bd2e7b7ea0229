"""`BackboneSource`: a backbone that is loaded only when a forward pass is needed.

Its identity is known without torch as long as its weight files have not changed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from embedcache.backbones.base import Backbone, BackboneRequest
from embedcache.backbones.tuned_folder import seen_by, settled
from embedcache.errors import StorageError
from embedcache.records.backbone import BackboneSpec
from embedcache.records.seen import SeenRows

__all__ = ["BackboneSource"]


class BackboneSource:
    """A backbone on demand.

    Args:
        backbone: A request, or a backbone that is already in memory.
        index_dir: Folder of the disposable identity index.
        device: Where to load it.
        batch_size: Images per forward pass; `None` for the device's default.
        compile: Compile the model with torch.compile.
    """

    def __init__(
        self,
        backbone: BackboneRequest | Backbone,
        *,
        index_dir: Path,
        device: str = "auto",
        batch_size: int | None = None,
        compile: bool = False,  # noqa: A002  # torch's own word for it
    ) -> None:
        self._request = settled(backbone) if isinstance(backbone, BackboneRequest) else None
        self._backbone = None if isinstance(backbone, BackboneRequest) else backbone
        self._index_dir = index_dir
        self._device = device
        self._compile = compile
        self._lock = threading.RLock()  # an action may ask for the backbone again
        self.batch_size = batch_size
        self._when_loaded: list[Callable[[Backbone], None]] = []
        self._spec = self._find_spec()

    def _find_spec(self) -> BackboneSpec:
        if self._request is None:
            return self.load().spec
        from embedcache.backbones.index import resolve_spec

        return resolve_spec(self._request, self._index_dir) or self.load().spec

    @property
    def spec(self) -> BackboneSpec:
        """What the backbone is."""
        return self._spec

    @property
    def request(self) -> dict[str, str | int | None]:
        """How to ask for it again, as JSON; empty for a backbone made in memory."""
        return {} if self._request is None else self._request.to_json()

    @property
    def seen(self) -> SeenRows | None:
        """The images that trained a tuned backbone; None for any other.

        Raises:
            CacheInvalidError: Its folder is damaged.
        """
        return None if self._request is None else seen_by(self._request)

    @property
    def is_loaded(self) -> bool:
        """Whether it is in memory."""
        return self._backbone is not None

    def when_loaded(self, action: Callable[[Backbone], None]) -> None:
        """Do something with the backbone as soon as it is loaded, or now if it is."""
        with self._lock:
            if self._backbone is None:
                self._when_loaded.append(action)
            else:
                action(self._backbone)

    def load(self) -> Backbone:
        """The backbone, loaded at the first call. Safe to call from several threads."""
        with self._lock:
            if self._backbone is None:
                assert self._request is not None
                from embedcache.backbones.index import remember_spec
                from embedcache.backbones.load import load_backbone

                backbone = load_backbone(
                    self._request,
                    device=self._device,
                    batch_size=self.batch_size,
                    compile=self._compile,
                )
                with contextlib.suppress(StorageError):  # the index only saves time
                    remember_spec(
                        self._request, backbone.spec, backbone.weight_files, self._index_dir
                    )
                self._backbone = backbone
                try:
                    for action in self._when_loaded:
                        action(backbone)
                except BaseException:
                    self._backbone = None  # no other thread gets what one found to be wrong
                    raise
            return self._backbone
