"""`python -m a365admin.lab --config VAR/lab.json [--create]`: run the demo estate until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from a365admin.lab.config import LabConfig, create_config, load_config
from a365admin.lab.control import Control
from a365admin.lab.errors import LabError
from a365admin.lab.running import Estate


async def run(config: LabConfig) -> None:
    """Serve until SIGTERM or SIGINT; print "ready" when every port listens. Raises LabError when one is taken."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    estate = Estate(config)
    control = Control(config.control, estate)
    try:
        await estate.start()
        await control.start()
        print("ready", flush=True)
        await stopped.wait()
    finally:
        await control.stop()
        await estate.stop()


def main(arguments: list[str] | None = None) -> int:
    """Out: the exit code; 1 with a sentence on standard error when the demo cannot run."""
    parser = argparse.ArgumentParser(prog="python -m a365admin.lab", description="Run the demo estate on loopback.")
    parser.add_argument("--config", type=Path, required=True, help="lab.json, in the folder for data")
    parser.add_argument("--create", action="store_true", help="create lab.json first, where it does not exist")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        if options.create and not options.config.exists():
            if options.config.name != "lab.json":
                raise LabError("The demo estate's file must be called lab.json.")
            create_config(options.config.parent)
        asyncio.run(run(load_config(options.config)))
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
