"""M/metrics and who scrapes it: the text, the exporter, a real Prometheus, the alert rules and the dashboard."""
import json
import os
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest

from conftest import BUILD, ROOT, USERS, WAIT, needs_root, wait_for

CTL = os.path.join(BUILD, "ubpfctl")
MONITORING = os.path.join(ROOT, "examples/monitoring")
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def parse(text):
    """{name: [(labels, value)]} of OpenMetrics text, by its rules: families are whole, counters end in _total."""
    lines, families, samples, current = text.split("\n"), {}, {}, None
    assert lines[-2:] == ["# EOF", ""]
    for line in lines[:-2]:
        if line.startswith("# "):
            what, name, rest = line[2:].split(" ", 2)
            assert what in ("TYPE", "UNIT", "HELP")
            if what == "TYPE":
                assert name not in families, name
                families[name] = current = rest
                family = name
            assert name == family and (what != "UNIT" or name.endswith("_" + rest))
            continue
        m = SAMPLE.match(line)
        assert m, line
        suffix = m.group(1)[len(family):]
        assert m.group(1).startswith(family) and suffix in {"counter": ["_total"], "gauge": [""],
                                                           "histogram": ["_bucket", "_count", "_sum"]}[current], line
        samples.setdefault(m.group(1), []).append((dict(LABEL.findall(m.group(2) or "")), float(m.group(3))))
    return samples


def value(samples, family, **labels):
    (found,) = [v for have, v in samples[family] if all(have.get(k) == w for k, w in labels.items())]
    return found


def load(m):
    m.sh("cat $P/count_ports.bpf.o > $M/progs/new; head -c 64 /dev/zero > $M/progs/count_ports/run\n"
         "mkdir $M/maps/h; cd $M/maps/h; echo hash > type; echo 4 > key_size; echo 8 > value_size; echo 2 > max_entries\n"
         "for i in 1 2 3; do echo 5 > entries/$i; done; mkdir $M/cgroup/a; mkdir $M/events/t; cd $M/events/t\n"
         "echo timer > type; true", check=False)


def test_the_text(m):
    load(m)
    samples = parse(m.read("metrics"))
    wait_for(lambda: value(parse(m.read("metrics")), "ubpffs_program_runs_total", name="count_ports") == 1, "the run")
    assert value(samples, "ubpffs_map_entries", name="h") == value(samples, "ubpffs_map_max_entries", name="h") == 2
    assert value(samples, "ubpffs_map_failed_updates_total", name="h") >= 1
    assert value(samples, "ubpffs_cgroup_packets_total", cgroup="a", direction="egress", verdict="drop") == 0
    assert value(samples, "ubpffs_user_used", uid=str(os.geteuid()), what="objects") >= 2
    assert value(samples, "ubpffs_loads_total") == 1
    buckets = [v for labels, v in samples["ubpffs_request_seconds_bucket"] if labels["kind"] == "write"]
    assert buckets == sorted(buckets) and buckets[-1] == value(samples, "ubpffs_request_seconds_count", kind="write") > 0
    assert {"pid", "requests", "open_files", "loads"} <= set(m.info("status"))


def test_names_are_quoted(m):
    m.sh("mkdir \"$M/events/a\\\"b\\\\c$(printf '\\303\\244')\"; cd $M/events/a*; cat $P/event_packets.bpf.o > $M/progs/new\n"
         "echo timer > type; echo 50000 > interval_ms; echo tick > attach")
    (labels, running), = parse(m.read("metrics"))["ubpffs_source_running"]
    assert labels["source"] == 'a\\"b\\\\c??' and running == 1


def test_others_see_their_own(m):
    needs_root("has users")
    load(m)
    text = m.sh("cat $M/metrics", user=USERS[0]).stdout
    samples = parse(text)
    assert "count_ports" not in text and "ubpffs_cgroup_packets_total" not in samples
    assert {labels["uid"] for labels, _ in samples.get("ubpffs_user_used", [])} <= {str(USERS[0])}


class Exporter:
    def __init__(self, m):
        self.p = subprocess.Popen([CTL, "-m", m.path, "metrics", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE,
                                  text=True)
        self.url = self.p.stdout.readline().strip()

    def get(self, path="", method="GET"):
        url = self.url if not path else self.url.replace("/metrics", path)
        return urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=WAIT)

    def end(self):
        self.p.terminate()
        assert self.p.wait(WAIT) == 0


@pytest.fixture
def exporter(m):
    load(m)
    e = Exporter(m)
    yield e
    e.end()


def test_the_exporter(m, exporter):
    with exporter.get() as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        assert "ubpffs_loads_total" in parse(answer.read().decode())
    for path, method, status in ("/", "GET", 404), ("/metrics", "POST", 405), ("/../state", "GET", 404):
        with pytest.raises(urllib.error.HTTPError) as e:
            exporter.get(path, method)
        assert e.value.code == status
    port = exporter.url.split(":")[2].split("/")[0]
    r = subprocess.run([CTL, "-m", m.path, "metrics", "--listen", port], capture_output=True, text=True, timeout=WAIT)
    assert r.returncode == 1 and "port 0" in r.stderr
    r = subprocess.run([CTL, "-m", m.path, "metrics", "--listen", "nosuch host:x"], capture_output=True, text=True, timeout=WAIT)
    assert r.returncode == 1 and "ADDRESS:PORT" in r.stderr


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def prometheus(exporter, tmp_path):
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is missing")
    port = free_port()
    target = exporter.url.split("/")[2]
    for name in "prometheus.yml", "ubpffs.rules.yml":
        with open(os.path.join(MONITORING, name)) as f:
            text = f.read().replace("127.0.0.1:9435", target).replace("15s", "1s").replace("for: 5m", "for: 0s")
        (tmp_path / name).write_text(text.replace("for: 1m", "for: 0s"))
    p = subprocess.Popen(["prometheus", "--config.file=%s" % (tmp_path / "prometheus.yml"),
                          "--storage.tsdb.path=%s" % (tmp_path / "data"), "--web.listen-address=127.0.0.1:%d" % port],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(path, **query):
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/api/v1/%s?%s" % (port, path, urllib.parse.urlencode(query)),
                                        timeout=WAIT) as f:
                return json.load(f)["data"]
        except (OSError, urllib.error.HTTPError):
            return None
    yield ask
    p.kill()
    p.wait()


def test_a_real_prometheus(prometheus):
    def target():
        targets = prometheus("targets")
        return targets and targets["activeTargets"] and targets["activeTargets"][0]["health"] != "unknown" and targets
    found = wait_for(target, "the first scrape")["activeTargets"][0]
    assert found["health"] == "up", found["lastError"]

    def scraped():
        answer = prometheus("query", query='ubpffs_map_entries{name="h"}')
        return answer and answer["result"]
    assert wait_for(scraped, "a sample")[0]["value"][1] == "2"
    types = prometheus("metadata")
    assert types["ubpffs_request_seconds"][0]["type"] == "histogram"
    assert types["ubpffs_program_runs"][0]["type"] == "counter"

    def alerts():
        answer = prometheus("alerts")
        return answer and [a for a in answer["alerts"] if a["labels"]["alertname"] == "UbpffsMapNearlyFull"
                           and a["labels"]["name"] == "h"]
    assert "100%" in wait_for(alerts, "the alert of a full map")[0]["annotations"]["summary"]
    with open(os.path.join(MONITORING, "dashboard.json")) as f:
        panels = json.load(f)["panels"]
    for panel in panels:
        for t in panel["targets"]:
            expr = t["expr"].replace("$instance", ".*").replace("$__rate_interval", "1m")
            assert prometheus("query", query=expr) is not None, expr


def test_the_rules(m):
    if not shutil.which("promtool"):
        pytest.skip("promtool is missing")
    subprocess.run(["promtool", "check", "rules", os.path.join(MONITORING, "ubpffs.rules.yml")], check=True, timeout=WAIT)
    with open(os.path.join(MONITORING, "dashboard.json")) as f:
        text = f.read()
    with open(os.path.join(MONITORING, "ubpffs.rules.yml")) as f:
        text += f.read()
    load(m)
    have = set(re.findall(r"# TYPE (\w+)", m.read("metrics")))
    for name in set(re.findall(r"\bubpffs_\w+", text)) - {"ubpffs_metrics"}:
        assert re.sub(r"_(total|bucket|count|sum)$", "", name) in have or name in have, name
