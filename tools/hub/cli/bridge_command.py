"""`lfr hub bridge`: the configuration that carries a van's counts and states to an MQTT 5 cluster."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path


def add_bridge_command(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder made by `lfr hub init`")
    parser.add_argument("--to", required=True, metavar="HOST:PORT", help="the cluster's MQTT over TLS")
    parser.add_argument("--ca", required=True, type=Path, metavar="FILE", help="the cluster's authority, PEM")
    parser.add_argument("--cert", required=True, type=Path, metavar="FILE", help="this van's certificate there, PEM")
    parser.add_argument("--key", required=True, type=Path, metavar="FILE", help="its key, PEM")
    parser.add_argument("--prefix", default="", metavar="LEVELS", help="before the topics there, such as region-2/lfr")
    parser.add_argument("--van-host", metavar="NAME|ADDRESS", help="of the van's broker (default: its bind)")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from tools.hub.broker.bridge import Cluster, write_bridge
    from tools.hub.broker.mosquitto import find_mosquitto
    from tools.hub.cli.addresses import host_and_port, hosts
    from tools.hub.storage.folder import HubFolder

    host, port = host_and_port(args.to, "--to")
    cluster = Cluster(host=host, port=port, ca=args.ca, cert=args.cert, key=args.key, prefix=args.prefix)
    (van_host,) = hosts([args.van_host], "--van-host") if args.van_host else (None,)
    file = write_bridge(HubFolder(args.folder), cluster, van_host=van_host)
    print(file)
    print(f"start it with: {find_mosquitto().path} -c {shlex.quote(str(file))}", file=sys.stderr)
    return 0
