"""The toys of a run: registered by teddyctl, claimed once over the wire, their tokens kept in files."""

import os
import shutil
import subprocess
import tempfile

from load import LoadError

IMPORT_MAX = 100000  # what one import takes


def write_devices(path, first, count):
    keys = os.urandom(32 * count).hex()
    with open(path, "w") as f:
        f.writelines(f"toy-{first + n:07d},{keys[64 * n:64 * n + 64]}\n" for n in range(count))


def register(build, data, path):
    """Imports a file of devices, in pieces, into the data directory of a server that does not run."""
    with open(path) as f:
        lines = f.readlines()
    for at in range(0, len(lines), IMPORT_MAX):
        piece = path + ".piece"
        with open(piece, "w") as f:
            f.writelines(lines[at:at + IMPORT_MAX])
        subprocess.run([os.path.join(build, "teddyctl"), "--data", data, "import", piece], check=True,
                       stdout=subprocess.DEVNULL)
        os.unlink(piece)


MEMORY = "/dev/shm"


def register_in_memory(build, data, path):
    """The same, copied to the data directory when it is whole: a disk would sync every few thousand."""
    room = shutil.disk_usage(MEMORY).free if os.access(MEMORY, os.W_OK) else 0
    if room < 16 * os.path.getsize(path):
        register(build, data, path)
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        made = os.path.join(place, "data")
        register(build, made, path)
        shutil.copytree(made, data)


class Toys:
    """devices: `device_id,secret` a line; tokens: `device_id token refresh` a line, in files of parts."""

    def __init__(self, fleet, load, count):
        self.place = fleet.place
        self.devices = os.path.join(self.place, "devices.csv")
        self.tokens = os.path.join(self.place, "tokens")
        self.plain, self.tls = os.path.join(self.place, "plain"), os.path.join(self.place, "tls")
        self.count = count
        write_devices(self.devices, 1, count)
        register(fleet.build, self.plain, self.devices)
        self._claim(fleet, load)
        self._second(fleet)

    def _claim(self, fleet, load):
        with fleet.teddyd(self.plain, cpu=None) as server:
            result = load.run("claims", "claims of all toys", url=server.url("http", ""), devices_file=self.devices,
                              connections=64, operations=self.count, write_tokens=self.tokens, seconds=200)
        if result["operations"] != self.count:
            raise LoadError(f"{result['operations']} of {self.count} toys have claimed")

    def _second(self, fleet):
        """The same toys and keys for a server with TLS, which makes its certificate when it starts."""
        shutil.copytree(self.plain, self.tls)
        with fleet.teddyd(self.tls, tls=True):
            pass
        self.ca = os.path.join(self.tls, "ca.crt")

    def part(self, first, count):
        """A file with the tokens of toys first … first + count - 1."""
        path = f"{self.tokens}-{first}-{count}"
        if not os.path.exists(path):
            with open(self.tokens) as f:
                lines = f.readlines()[first:first + count]
            with open(path, "w") as f:
                f.writelines(lines)
        return path
