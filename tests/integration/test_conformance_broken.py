"""Each check of the conformance program can fail: a port that is broken in one way fails on the lines that say so, and
on no other. The ways are those of sdk/port/conformance/broken.c."""

import harness
from conformance import Ports

# How the port is broken; which checks are run; a piece of the title of each that must fail.
BROKEN = [
    ("name", "bad servers", {"another host"}),
    ("dates", "bad servers", {"has expired", "is not valid yet"}),
    ("word", "bad servers", {"nobody listens", "hangs up at once"}),
    ("seed", "machine", {"from boot to boot"}),
    ("random", "machine", {"random bytes are random"}),
    ("hmac", "machine", {"hmac_sha256 signs"}),
    ("sha1", "machine", {"sha1 digests"}),
    ("clock", "machine", {"wall_time"}),
    ("one", "records", {"do not touch each other", "both survive a reboot", "damaged record"}),
    ("slow", "records", {"none of these calls blocks"}),
    ("short", "records", {"1 to TEDDY_RECORD_MAX", "both survive a reboot"}),
    ("wide", "records", {"no further than its buffer"}),
    ("blind", "records", {"damaged record"}),
    ("half", "records", {"erase erases both", "do not touch each other"}),
    ("endless", "link", {"orderly end", "without close_notify", "reset connection"}),
    ("lossy", "link", {"small buffers"}),
    ("block", "link", {"recv does not block"}),
    ("connect", "link", {"connect does not block"}),
    ("send", "link", {"send does not block"}),
    ("resume", "protocol", {"TLS session is resumed"}),
]


class Broken(Ports):
    def test_each_way_is_found(self):
        for how, only, titles in BROKEN:
            with self.subTest(how):
                self.broken(how, only, titles)


if __name__ == "__main__":
    harness.main()
