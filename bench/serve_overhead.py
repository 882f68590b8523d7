"""The time of the smallest request: one token of a tiny model, whose prompt is known. All of it counts as overhead.

usage: serve_overhead.py SERVER_URL MODEL [REQUESTS]
"""
import http.client
import json
import statistics
import sys
import time
import urllib.parse


def main(url, model, count=2000):
    connection = http.client.HTTPConnection(urllib.parse.urlparse(url).netloc)
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1})
    times = []
    for _ in range(int(count)):
        start = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"status {answer.status}")
        times.append((time.perf_counter() - start) * 1e3)
    times = sorted(times[len(times) // 10:])
    print(f"{len(times)} requests: p50 {statistics.median(times):.3f} ms, p90 {times[len(times) * 9 // 10]:.3f} ms, p99 {times[len(times) * 99 // 100]:.3f} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
