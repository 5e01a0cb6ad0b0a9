"""What is shipped for Prometheus and Grafana: each alert fires for what it is for, alone, and not for a healthy fleet; each has its runbook."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import yaml
from harness import PATIENCE, main

SOURCE = os.environ.get("TEST_SOURCE", os.path.join(os.path.dirname(__file__), "../.."))
RULES = os.path.join(SOURCE, "packaging/prometheus/alerts.yml")
MINUTES = 50  # of a test

# A healthy time, a sample a minute, in promtool's notation without the number of samples: what begins with 0+ grows.
HEALTHY = {
    'up': "1+0",
    'process_start_time_seconds': "1000+0",
    'process_open_fds': "1020+0",
    'process_max_fds': "20000+0",
    'teddy_sessions{state="live"}': "1000+0",
    'teddy_connections': "1001+0",
    'teddy_connections_max': "16000+0",
    'teddy_http_responses_total{class="2xx"}': "0+600",
    'teddy_http_responses_total{class="4xx"}': "0+60",
    'teddy_http_responses_total{class="5xx"}': "0+1",
    'teddy_store_waiting': "3+0",
    'teddy_claims_total{result="accepted"}': "0+600",
    'teddy_claims_total{result="refused"}': "0+60",
    'teddy_device_attacks_total': "0+0",
    'teddy_device_cloned_total': "0+0",
    'teddy_tls_handshake_failures_total': "0+10",
    'teddy_tls_handshake_seconds_count': "0+600",
    'teddy_tls_certificate_expires_timestamp_seconds': f"{60 * 86400}+0",
    'teddy_backend_breaker_open{backend="chat"}': "0+0",
    'teddy_moderation_total{result="passed"}': "0+600",
    'teddy_moderation_total{result="flagged"}': "0+6",
    'teddy_moderation_total{result="failed"}': "0+6",
    'teddy_alerts_total{event="raised"}': "0+1",
    'teddy_alerts_total{event="delivered"}': "0+1",
    'teddy_alerts_total{event="failed"}': "0+0",
}


def histogram(name, le, growth="0+600"):
    """All that is timed takes between `le` and the bound before it."""
    bounds = ["0.005", "0.1", "0.25", "0.5", "1", "2", "4", "8", "+Inf"]
    return {f'{name}_bucket{{le="{b}"}}': growth if bounds.index(b) >= bounds.index(le) else "0+0" for b in bounds}


for timed in "store_commit", "claim", "loop_lag", "reply_first_word":
    HEALTHY.update(histogram(f"teddy_{timed}_seconds", "0.005"))

# What differs when the alert is to fire.
ILL = {
    "TeddyDown": {"up": "1+0x30 0+0"},
    "TeddyRestarts": {"process_start_time_seconds": "1000+0x40 2000+300"},
    "TeddySessionsLost": {'teddy_sessions{state="live"}': "1000+0x40 300+0"},
    "TeddyNearlyFull": {"teddy_connections": "15000+0"},
    "TeddyDescriptorsShort": {"process_open_fds": "17000+0"},
    "TeddyServerErrors": {'teddy_http_responses_total{class="5xx"}': "0+20"},
    "TeddyStoreBehind": {"teddy_store_waiting": "1500+0"},
    "TeddyCommitsSlow": histogram("teddy_store_commit_seconds", "0.5"),
    "TeddyClaimsSlow": histogram("teddy_claim_seconds", "2"),
    "TeddyLoopsLag": histogram("teddy_loop_lag_seconds", "0.5"),
    "TeddyClaimsRefused": {'teddy_claims_total{result="refused"}': "0+700"},
    "TeddyDeviceAttacked": {"teddy_device_attacks_total": "0+0x40 1+0"},
    "TeddyDeviceCloned": {"teddy_device_cloned_total": "0+0x40 1+0"},
    "TeddyHandshakesFail": {"teddy_tls_handshake_failures_total": "0+700"},
    "TeddyCertificateExpires": {"teddy_tls_certificate_expires_timestamp_seconds": f"{14 * 86400}+0"},
    "TeddyBackendDown": {'teddy_backend_breaker_open{backend="chat"}': "1+0"},
    "TeddyAnswersSlow": histogram("teddy_reply_first_word_seconds", "8"),
    "TeddyModerationFails": {'teddy_moderation_total{result="failed"}': "0+100"},
    "TeddyAlertUndelivered": {'teddy_alerts_total{event="failed"}': "0+0x40 1+0"},
}


def alerts():
    with open(RULES) as f:
        return [rule for group in yaml.safe_load(f)["groups"] for rule in group["rules"]]


def of_instance(series, instance):
    name, _, labels = series.partition("{")
    return f'{name}{{job="teddy",instance="{instance}",{labels or "}"}'


def samples(values):
    """Its last part goes on to the end."""
    before = sum(int(n) + 1 for n in re.findall(r"x(\d+)", values))
    return f"{values}x{MINUTES - before}"


def case(fleet, firing):
    """fleet: {instance: series}; firing: [(alert, instance)], and no other."""
    return {
        "interval": "1m",
        "input_series": [{"series": of_instance(s, instance), "values": samples(v)} for instance, series in fleet.items()
                         for s, v in series.items()],
        "promql_expr_test": [{"expr": 'count by (alertname, instance) (ALERTS{alertstate="firing"})', "eval_time": f"{MINUTES}m",
                              "exp_samples": [{"labels": f'{{alertname="{a}", instance="{i}"}}' if i else f'{{alertname="{a}"}}', "value": 1}
                                              for a, i in firing]}],
    }


def promtool(*args, **kw):
    return subprocess.run(["promtool", *args], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=4 * PATIENCE, **kw)


def check_expressions(expressions):
    """What promtool has to say against them."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as f:
        json.dump({"groups": [{"name": "all", "rules": [{"record": f"a:number_{n}", "expr": e} for n, e in enumerate(expressions)]}]}, f)
        f.flush()
        done = promtool("check", "rules", f.name)
    return "" if done.returncode == 0 else done.stdout


class Rules(unittest.TestCase):
    def run_case(self, *args):
        with tempfile.TemporaryDirectory(prefix="teddy-rules-") as place:
            path = os.path.join(place, "test.yml")
            with open(path, "w") as f:
                json.dump({"rule_files": [os.path.abspath(RULES)], "evaluation_interval": "1m", "tests": [case(*args)]}, f)  # which is YAML, too
            return promtool("test", "rules", path)

    def test_they_are_rules(self):
        done = promtool("check", "rules", RULES)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_each_fires_alone_and_none_for_a_healthy_fleet(self):
        self.assertEqual({rule["alert"] for rule in alerts()}, set(ILL), "each alert has its case")
        for name, differs in ILL.items():
            self.assertLessEqual(set(differs), set(HEALTHY), name)
        fleet = {"healthy": HEALTHY, **{name: {**HEALTHY, **differs} for name, differs in ILL.items()}}
        done = self.run_case(fleet, [(name, name) for name in ILL])
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_a_case_can_fail(self):
        self.assertNotEqual(self.run_case({"a": HEALTHY}, [("TeddyDown", "a")]).returncode, 0)
        self.assertNotEqual(self.run_case({"a": {**HEALTHY, **ILL["TeddyDown"]}}, []).returncode, 0)

    def test_nobody_is_scraped(self):
        done = self.run_case({}, [("TeddyDown", "")])
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_each_says_whom_and_has_its_runbook(self):
        with open(os.path.join(SOURCE, "docs/operations.md")) as f:
            page = f.read()
        runbooks = dict(re.findall(r"(?ms)^### (Teddy\w+)\n(.*?)(?=^##|\Z)", page))
        for rule in alerts():
            with self.subTest(rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("critical", "warning"))
                self.assertIn("{{ $labels.instance }}", rule["annotations"]["summary"])
                self.assertEqual(rule["annotations"]["runbook_url"], f"docs/operations.md#{rule['alert'].lower()}")
                book = runbooks.pop(rule["alert"])
                for part in "**Means**", "**Look**", "**Mend**":
                    self.assertIn(part, book)
                self.assertRegex(book.split("**Look**")[1].split("**Mend**")[0], "`[a-z]", "commands to look with")
        self.assertEqual(runbooks, {}, "a runbook without an alert")

    def test_what_a_runbook_names_is_there(self):
        """Commands of teddyctl, and events of the log."""
        with open(os.path.join(SOURCE, "docs/operations.md")) as f:
            books = re.search(r"(?ms)^## Runbooks\n(.*?)^## ", f.read())[1]
        with open(os.path.join(SOURCE, "cli/table.c")) as f:
            commands = f.read()
        server = "".join(p.read_text() for p in pathlib.Path(SOURCE, "server").rglob("*.c"))
        named = re.findall(r"`teddyctl ([a-z-]+)(?: ([a-z-]+))?", books)
        self.assertGreater(len(named), 5)
        for group, verb in named:
            self.assertIn(f'.group = "{group}", ' + (f'.verb = "{verb}"' if verb else '.'), commands)
        events = [e for names in re.findall(r"--grep '?([a-z_|]+)", books) for e in names.split("|")]
        self.assertGreater(len(events), 10)
        for event in events:
            self.assertIn(f'"{event}', server)


if __name__ == "__main__":
    main()
