"""Device nodes that a board's GPU, cameras and header need: below /dev, and what systemd calls them in `DeviceAllow=`.

The one table: `systemd/lfr.service` states these lines (a test compares), the vision worker may open these nodes after
its lock-down, `lfr doctor --board` opens them and names the line that is wrong. Read from public sources, not yet seen
on a board:

nvmap         a misc device (nvidia-oot, drivers/video/tegra/nvmap: `dev_user.name = "nvmap"`, misc_register), so its
              region in /proc/devices is `misc`: only a path names it alone
nvgpu         alloc_chrdev_region(…, dev_name(dev)) (nvgpu, os/linux/ioctl.c): the region is called as the GPU's device,
              17000000.gpu on Orin (tegra234.dtsi), 17000000.ga10b in earlier trees; on Thor the GPU is a PCI device
              and its folder /dev/nvgpu/igpu-0000:01:00.0 (meta-avocado pull request 248)
host1x-fence  alloc_chrdev_region(…, "host1x-fence"), mode 0666 (nvidia-oot, drivers/gpu/host1x-fence/dev.c); its module
              is loaded by an alias of host1x, and a boot that loses that race has no such node
dri/render*   "drm", major 226 (Linux, drivers/gpu/drm/drm_drv.c); opened by CUDA beside nvmap on JetPack 6
nvidia*       "nvidia" or "nvidia-frontend", "nvidia-uvm", "nvidia-modeset" (open-gpu-kernel-modules, nv.c, uvm.c); on
              Thor CUDA needs them (eve pull request 6387)
nvhost*       "nvhost" (nvidia-oot, drivers/video/tegra/host/nvhost)
"""

from __future__ import annotations

from dataclasses import dataclass

from device.domain.symptoms.names import OnBoard


@dataclass(frozen=True, slots=True)
class BoardNode:
    """Nodes of one kind.

    pattern  below /dev, as pathlib globs
    allow    values of DeviceAllow= that admit them (systemd.resource-control(5))
    worker   whether the vision worker opens them; the header's lines are the supervisor's
    needs    chips that cannot recognise on their GPU without them
    missing  the symptom when such a chip has none
    """

    pattern: str
    allow: tuple[str, ...]
    worker: bool = True
    needs: tuple[str, ...] = ()
    missing: OnBoard = OnBoard.NODE_MISSING


ORIN, THOR = "nvidia,tegra234", "nvidia,tegra264"
NODES = (
    BoardNode("gpiochip*", ("char-gpiochip",), worker=False, needs=(ORIN, THOR)),
    BoardNode("video*", ("char-video4linux",)),
    BoardNode("nvmap", ("/dev/nvmap",), needs=(ORIN, THOR)),
    BoardNode("nvgpu/*/*", ("char-*.gpu", "char-*.ga10b", "char-????:??:??.?"), needs=(ORIN,)),
    BoardNode("host1x-fence", ("char-host1x-fence",), needs=(ORIN,), missing=OnBoard.FENCE_MISSING),
    BoardNode("dri/renderD*", ("char-drm",), needs=(ORIN,)),
    BoardNode("nvhost*", ("char-nvhost*",)),
    BoardNode("nvidia*", ("char-nvidia*",), needs=(THOR,)),
    BoardNode("nvsciipc", ("/dev/nvsciipc",)),
)
ALLOWED = tuple(value for node in NODES for value in node.allow)
"""Every DeviceAllow= of the unit, in order; each is `rw`."""
OF_THE_WORKER = tuple(node.pattern for node in NODES if node.worker)
