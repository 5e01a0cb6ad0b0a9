"""/metrics of a running server: each time is counted as often as the thing was done, each refusal under its reason; promtool accepts the page,
docs/metrics.md describes it, and the dashboard asks for nothing else. METRICS_DOC=write has the page written anew."""

import json
import os
import re
import secrets
import ssl
import subprocess
import time
import unittest

import requests
from cryptography import x509
from harness import CLAIM, PATIENCE, Case, Server, Toy, answer, main, own_mounts, receive, receive_type
from test_metrics_rules import SOURCE, alerts, check_expressions

PAGE = os.path.join(SOURCE, "docs/metrics.md")
DASHBOARD = os.path.join(SOURCE, "packaging/grafana/teddy.json")
TIMES = ("claim", "store_commit", "tls_handshake", "reply_first_word", "reply_done")
NAME = re.compile(r"\b(?:teddy|process)_[a-z0-9_]+")


class Scrape:
    """The page, read strictly: a family's HELP and TYPE once, its samples right behind."""

    def __init__(self, text):
        self.text, self.families, self.samples = text, {}, {}
        name = None
        assert text.endswith("\n")
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name, help_text = line[7:].split(" ", 1)
                assert name not in self.families, name
                self.families[name] = {"name": name, "help": help_text, "type": None, "labels": {}}
            elif line.startswith("# TYPE "):
                typed, kind = line[7:].split(" ")
                assert typed == name and kind in ("counter", "gauge", "histogram"), line
                self.families[name]["type"] = kind
            else:
                self._sample(name, line)

    def _sample(self, family, line):
        name, labels, value = re.fullmatch(r"([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (\S+)", line).groups()
        suffix = ("_bucket", "_sum", "_count") if self.families[family]["type"] == "histogram" else ("",)
        assert name in [family + s for s in suffix], (family, line)
        key = name + (f"{{{labels}}}" if labels else "")
        assert key not in self.samples, key
        self.samples[key] = float(value)
        for label, content in re.findall(r'(\w+)="([^"]*)"', labels or ""):
            if label != "le":
                self.families[family]["labels"].setdefault(label, []).append(content)

    def __getitem__(self, key):
        return self.samples[key]

    def names(self):
        """What an expression may ask for."""
        return {re.sub(r"\{.*", "", key) for key in self.samples}


def scrape(server):
    port = server.log.wait(r"event=metrics_listening .*port=(\d+)")[1]
    got = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE)
    assert got.status_code == 200 and got.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Scrape(got.text)


class Counted(Case):
    CONFIG = {"metrics_listen": "127.0.0.1:0", "claims_per_device_min": 0}

    def setUp(self):
        self.before = scrape(self.server)

    def more(self, **wanted):
        """The changes since the beginning; what a test did not do must not have been counted."""
        now = scrape(self.server)
        for times in TIMES:
            name = f"teddy_{times}_seconds"
            self.assertEqual(now[name + "_count"], now[name + '_bucket{le="+Inf"}'])
            n = wanted.pop(times, 0)
            if times == "store_commit":  # the server writes by itself, too: behind its start, and when a minute is over
                self.assertEqual(now[name + "_count"], now["teddy_store_commits_total"])
                self.assertGreaterEqual(now[name + "_count"] - self.before[name + "_count"], n)
            else:
                self.assertEqual(now[name + "_count"] - self.before[name + "_count"], n, times)
        for key, n in wanted.items():
            self.assertEqual(now[key] - self.before[key], n, key)
        return now

    def until(self, key, value):
        """Of what the server does whenever a loop comes to it."""
        deadline = time.monotonic() + PATIENCE
        while scrape(self.server)[key] != value:
            self.assertLess(time.monotonic(), deadline, key)

    def refusals(self, *rows):
        """These, and no other."""
        now = scrape(self.server)
        keys = [k for k in now.samples if k.startswith("teddy_refused_total")]
        changed = {k: now[k] - self.before[k] for k in keys if now[k] != self.before[k]}
        self.assertEqual(changed, {f'teddy_refused_total{{what="{w}",reason="{r}"}}': n for w, r, n in rows})

    def test_claims_handshakes_commits(self):
        toy = self.server.add()
        self.more(store_commit=1)
        with self.server.session() as s:
            for _ in range(3):
                self.assertEqual(s.post(self.server.url + CLAIM, json=toy.body(), timeout=PATIENCE).status_code, 200)
        now = self.more(claim=3, tls_handshake=1, store_commit=4)
        self.assertGreater(now["teddy_store_commit_seconds_sum"], self.before["teddy_store_commit_seconds_sum"])
        self.assertEqual(now['teddy_claims_total{result="accepted"}'] - self.before['teddy_claims_total{result="accepted"}'], 3)
        self.assertGreater(now["teddy_loop_lag_seconds_count"], self.before["teddy_loop_lag_seconds_count"])

    def test_a_handshake_that_fails(self):
        stranger = ssl.create_default_context()  # knows nothing of our authority
        with self.assertRaises(ssl.SSLError), self.server.raw(context=stranger):
            pass
        self.until("teddy_tls_handshake_failures_total", self.before["teddy_tls_handshake_failures_total"] + 1)
        self.more(tls_handshake=0)

    async def test_utterances_and_sessions(self):
        toy = self.server.add()
        access = toy.claim()["access"]
        self.before = scrape(self.server)
        ws = await toy.connect(access)
        for n in range(1, 6):
            await ws.send(json.dumps({"type": "text", "text": "Hello", "id": f"i-{n}"}))
            await answer(ws, n)
        live = 'teddy_sessions{state="live"}'
        now = self.more(reply_first_word=5, reply_done=5, tls_handshake=1, teddy_utterances_total=5, teddy_replies_total=5,
                        **{live: 1, 'teddy_sessions{state="opening"}': 0, 'teddy_sessions{state="closing"}': 0})
        self.until("teddy_connections", 2)  # the one that it claimed on may be noticed later
        await ws.send(json.dumps({"type": "text", "text": "Hello", "id": "i-5"}))  # said again: ended, not answered anew
        await answer(ws, 6)
        self.assertEqual(scrape(self.server)["teddy_reply_done_seconds_count"] - self.before["teddy_reply_done_seconds_count"], 5)
        await ws.close()
        self.server.log.wait(rf"event=session_closed device={toy.device_id}")
        for state in "opening", "live", "closing":
            self.until(f'teddy_sessions{{state="{state}"}}', 0)

    def test_refused_claims(self):
        toy, gone, off = self.server.add(), Toy(self.server, "nobody-" + secrets.token_hex(4), "0" * 64), self.server.add()
        self.server.ctl("device", "disable", off.device_id)
        accepted = toy.body()
        self.before = scrape(self.server)
        asked = [(toy.body(hmac_hex="0" * 64), 401), (toy.body(hmac_hex="1" * 64), 401), (gone.body(), 404), (off.body(), 403),
                 (accepted, 200), (accepted, 409), (b"{", 400), (b'{"a":1,"a":2}', 400), ({}, 422)]
        for body, status in asked:
            self.assertEqual(self.server.post(CLAIM, body).status_code, status, body)
        other = Toy(self.server, toy.device_id, toy.secret, child_id="another")
        self.assertEqual(other.post_claim().status_code, 403)
        self.refusals(("claim", "invalid_signature", 2), ("claim", "device_not_found", 1), ("claim", "device_disabled", 1),
                      ("claim", "nonce_replayed", 1), ("claim", "invalid_json", 1), ("claim", "duplicate_member", 1),
                      ("claim", "invalid_members", 1), ("claim", "release_required", 1))
        self.more(claim=1, tls_handshake=10)

    async def test_refused_tokens_sessions_messages(self):
        toy = self.server.add()
        pair = toy.claim()
        self.before = scrape(self.server)
        self.assertEqual(toy.post_refresh("no.such.token").status_code, 401)
        for token, word in ((None, "no_token"), ("no.such.token", "bad_token")):
            await self.refused(toy.connect(token), 1008, word)
        ws = await toy.connect(pair["access"])
        for text, code in (("{", "bad_message"), ('{"type":"dance"}', "unknown_type"), ('{"type":"cancel","seq":9}', "not_found"),
                           ("x" * 4097, "too_big")):
            await ws.send(text)
            self.assertEqual((await receive_type(ws, "error"))["code"], code)
        await ws.close()
        self.refusals(("token", "bad_token", 1), ("session", "no_token", 1), ("session", "bad_token", 1), ("message", "bad_message", 1),
                      ("message", "unknown_type", 1), ("message", "not_found", 1), ("message", "too_big", 1))

    def test_when_the_certificate_expires(self):
        with open(os.path.join(self.server.data, "server.crt"), "rb") as f:
            expires = x509.load_pem_x509_certificate(f.read()).not_valid_after
        told = self.before["teddy_tls_certificate_expires_timestamp_seconds"]
        self.assertEqual(told, (expires - type(expires)(1970, 1, 1)).total_seconds())

    def test_what_is_shown_of_the_process(self):
        with open(f"/proc/{self.server.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        started = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
        self.assertAlmostEqual(self.before["process_start_time_seconds"], started, delta=0.5) # a clock may be set meanwhile
        self.assertEqual(scrape(self.server)["process_start_time_seconds"], self.before["process_start_time_seconds"])
        self.assertGreaterEqual(self.before["process_max_fds"], self.before["process_open_fds"])

    # -- the page itself --

    def test_promtool_has_nothing_to_say(self):
        done = subprocess.run(["promtool", "check", "metrics"], input=self.before.text, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_no_label_can_name_anybody(self):
        """Their values do not change, whatever toys do; and there are few."""
        toy = self.server.add()
        toy.claim()
        toy.post_claim(toy.body(hmac_hex="0" * 64))
        now = scrape(self.server)
        self.assertEqual(set(now.samples), set(self.before.samples))
        self.assertNotIn(toy.device_id, now.text)
        self.assertNotIn("127.0.0.1", now.text)
        allowed = {"version", "class", "result", "limit", "what", "reason", "state", "kind", "side", "event", "backend"}
        self.assertLessEqual({label for f in now.families.values() for label in f["labels"]}, allowed)
        self.assertLess(len(now.samples), 600)

    def test_the_page_of_the_docs_is_of_this_server(self):
        lines = ["| name | type | labels | meaning |", "| --- | --- | --- | --- |"]
        for name, family in self.before.families.items():
            labels = "; ".join(f"`{label}`" + ("" if label == "version" else ": " + ", ".join(f"`{v}`" for v in dict.fromkeys(values)))
                               for label, values in family["labels"].items())
            lines.append(f"| `{name}` | {family['type']} | {labels} | {family['help']} |")
        table = "\n".join(lines) + "\n"
        with open(PAGE) as f:
            page = f.read()
        start = page.index("| name |")
        end = page.index("\n\n", start) + 1
        if os.environ.get("METRICS_DOC") == "write":
            with open(PAGE, "w") as f:
                f.write(page[:start] + table + page[end:])
        else:
            self.assertEqual(page[start:end], table, "METRICS_DOC=write tests/integration/test_metrics.py writes it anew")

    def asks(self, expression):
        """For what there is: names, labels and their values. Returns the names."""
        names = set(NAME.findall(expression))
        self.assertLessEqual(names, self.before.names(), expression)
        for name, selectors in re.findall(r"(\w+)\{([^}]*)\}", expression):
            family = self.before.families.get(name) or self.before.families[re.sub("_(bucket|count|sum)$", "", name)]
            for label, value in re.findall(r'(\w+)="([^"]*)"', selectors):
                self.assertIn(value, ["teddy"] if label == "job" else family["labels"][label], expression)
        of_names = {label for f in self.before.families.values() if f["name"] in expression for label in f["labels"]}
        for by in re.findall(r"\b(?:by|without) \(([^)]*)\)", expression):
            self.assertLessEqual(set(by.split(", ")), of_names | {"instance", "le"}, expression)
        return names

    def test_what_the_alerts_ask_for_is_there(self):
        for rule in alerts():
            if rule["alert"] != "TeddyDown":  # `up` is Prometheus' own
                self.assertTrue(self.asks(rule["expr"]), rule["alert"])

    def test_the_dashboard(self):
        with open(DASHBOARD) as f:
            board = json.load(f)
        for field in "title", "uid", "schemaVersion", "panels", "templating", "time", "__inputs", "__requires":
            self.assertIn(field, board)
        self.assertIsNone(board["id"], "an id would overwrite another dashboard's")
        panels = board["panels"]
        self.assertEqual(len({p["id"] for p in panels}), len(panels))
        self.assertEqual({p["type"] for p in panels} - {"row"}, {r["id"] for r in board["__requires"] if r["type"] == "panel"})
        asked, expressions = set(), []
        for panel in panels:
            self.assertTrue(panel["title"])
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            if panel["type"] == "row":
                continue
            self.assertEqual(panel["datasource"], {"type": "prometheus", "uid": "${datasource}"})
            self.assertTrue(panel["targets"])
            for target in panel["targets"]:
                names = self.asks(target["expr"])
                self.assertTrue(names, panel["title"])
                asked |= names
                expressions.append(target["expr"].replace("$__rate_interval", "5m"))
        self.assertEqual(check_expressions(expressions), "")
        for timed in TIMES + ("loop_lag",):
            self.assertIn(f"teddy_{timed}_seconds_bucket", asked)
        left_out = {re.sub("_(bucket|count|sum)$", "", n) for n in self.before.names() - asked}
        self.assertLessEqual(left_out - {re.sub("_(bucket|count|sum)$", "", n) for n in asked}, set(), "a metric without a panel")


class UnderTheUnit(Server):
    """With the unit's ProcSubset=pid: of /proc there are the processes alone."""

    def arguments(self):
        return ["unshare", "--mount", "sh", "-c", 'mount -t proc -o subset=pid proc /proc && exec "$@"', "sh", *super().arguments()]


@unittest.skipUnless(own_mounts(), "needs root, for mounts of its own")
class Confined(unittest.TestCase):
    def test_nothing_is_missing_of_what_is_told_of_the_process(self):
        server = UnderTheUnit(metrics_listen="127.0.0.1:0")
        self.addCleanup(server.close)
        with open(PAGE) as f:
            documented = set(re.findall(r"(?m)^\| `(process_[a-z_]+)`", f.read()))
        self.assertIn("process_start_time_seconds", documented)
        self.assertEqual(documented - set(scrape(server).samples), set())


class EchoAlone(Case):
    """The processor whose answer is the echo itself is on a path of its own."""

    CONFIG = {"metrics_listen": "127.0.0.1:0", "processor": "echo"}

    async def test_it_is_counted(self):
        toy = self.server.add()
        ws = await toy.connect(toy.claim()["access"])
        for n in range(1, 8):
            await ws.send("Hello")
            self.assertEqual((await receive(ws))["seq"], n)
        now = scrape(self.server)
        for name in "teddy_reply_first_word_seconds_count", "teddy_reply_done_seconds_count", "teddy_utterances_total":
            self.assertEqual(now[name], 7, name)
        await ws.close()


if __name__ == "__main__":
    main()
