"""A hub and a registry of models on a port of this machine: the two protocols, as far as `lathe pull` speaks them, and what
goes wrong with them. Files are given as bytes; faults are set by their path's end.

The hub sends weights on to a second address, as the real one does to its store; credentials must not arrive there."""
import collections
import hashlib
import http.server
import json
import re
import threading
import time


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Fault:
    """What a store does instead of sending a file."""

    def __init__(self, status=None, headers=(), cut=None, times=None, pace=None, stall=None, said=None, extra=b"", ranges=True,
                 flip=None, length=True, first=b"", to=None):
        self.status, self.headers = status, dict(headers)  # an answer that is none
        self.cut = cut          # the connection ends after so many bytes of an answer
        self.times = times      # how often the fault happens; None: always
        self.pace = pace        # (bytes, seconds): a pause after every so many bytes
        self.stall = stall      # silent after so many bytes, until the hub ends
        self.said = said        # Content-Length that is said
        self.extra = extra      # sent behind the file
        self.ranges = ranges
        self.flip = flip        # the byte at this place is another one
        self.length = length    # whether a length is said at all
        self.to = to            # Location instead of the store's


class FakeHub:
    def __init__(self, token=None):
        self.files = {}      # "OWNER/REPO/PATH" -> bytes
        self.digests = {}    # of files, once they were asked for
        self.blobs = {}      # digest -> bytes
        self.manifests = {}  # "library/NAME:TAG" -> dict
        self.faults = {}     # end of a path -> Fault
        self.listed = {}     # "OWNER/REPO/PATH" -> changes to what the listing says of it
        self.token = token   # wanted by the hub; the store must never see it
        self.asked = []      # (port, method, path, headers), in order
        self.sent = collections.Counter()  # bytes of bodies, by path
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self.store = self.listen()
        self.hub = self.listen()
        self.url = f"http://127.0.0.1:{self.hub.server_port}"
        self.store_url = f"http://127.0.0.1:{self.store.server_port}"

    def listen(self):
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                owner.answer(self)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    def close(self):
        self.closing.set()
        for server in (self.hub, self.store):
            server.shutdown()
            server.server_close()

    def add(self, repo, path, data, **listed):
        self.files[f"{repo}/{path}"] = data
        self.listed[f"{repo}/{path}"] = listed

    def add_ollama(self, name, tag, data, **layer):
        digest = f"sha256:{sha256(data)}"
        self.blobs[digest] = data
        config = b"{}"
        self.manifests[f"{name}:{tag}"] = {
            "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": f"sha256:{sha256(config)}",
                       "size": len(config)},
            "layers": [{"mediaType": "application/vnd.ollama.image.license", "digest": f"sha256:{sha256(b'mine')}", "size": 4},
                       {"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": len(data)} | layer]}

    def digest(self, name):
        if name not in self.digests:
            self.digests[name] = sha256(self.files[name])
        return self.digests[name]

    def requests(self, end):
        return [each for each in self.asked if each[2].split("?")[0].endswith(end)]

    # What follows answers.

    def fault(self, path):
        with self.lock:
            for end, fault in self.faults.items():
                if path.endswith(end) and fault.times != 0:
                    if fault.times:
                        fault.times -= 1
                    return fault
        return Fault()

    def answer(self, request):
        path = request.path.split("?")[0]
        self.asked.append((request.server.server_port, request.command, request.path, dict(request.headers)))
        at_store = request.server is self.store
        if at_store and "Authorization" in request.headers:
            return self.say(request, 400, b"a store wants no credentials")
        if self.token and not at_store and request.headers.get("Authorization") != f"Bearer {self.token}":
            return self.say(request, 401, b"Access to model is restricted", {"X-Error-Code": "GatedRepo"})
        try:
            if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/main", path):
                return self.listing(request, match[1])
            if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]+)/(.+)", path):
                return self.file(request, f"{match[1]}/{match[3]}", path)
            if match := re.fullmatch(r"/v2/([^/]+/[^/]+)/manifests/(.+)", path):
                return self.manifest(request, f"{match[1]}:{match[2]}", path)
            if match := re.fullmatch(r"/v2/[^/]+/[^/]+/blobs/(sha256:.+)", path):
                return self.blob(request, match[1], path)
            if at_store:
                return self.stored(request, path)
        except (BrokenPipeError, ConnectionResetError):
            return None
        return self.say(request, 404, b"Entry not found")

    def say(self, request, status, body, headers=()):
        request.send_response(status)
        for name, value in dict(headers).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def refuse(self, request, fault):
        self.say(request, fault.status, b"no", fault.headers)

    def listing(self, request, repo):
        fault = self.fault(f"/{repo}/revision/main")
        if fault.status:
            return self.refuse(request, fault)
        files = {path[len(repo) + 1:]: data for path, data in self.files.items() if path.startswith(repo + "/")}
        if not files:
            return self.say(request, 404, b'{"error":"Repository not found"}', {"X-Error-Code": "RepoNotFound"})
        siblings = []
        for path, data in files.items():
            said = {"size": len(data), "sha256": self.digest(f"{repo}/{path}")} | self.listed[f"{repo}/{path}"]
            entry = {"rfilename": path, "size": said["size"]}
            if said["sha256"]:
                entry["lfs"] = {"sha256": said["sha256"], "size": said["size"], "pointerSize": 134}
            siblings.append(entry)
        return self.say(request, 200, json.dumps({"id": repo, "sha": "c0ffee" + "0" * 34, "siblings": siblings}).encode())

    def file(self, request, name, path):
        fault = self.fault(path)
        if fault.status:
            return self.refuse(request, fault)
        data = self.files.get(name)
        if data is None:
            return self.say(request, 404, b"Entry not found", {"X-Error-Code": "EntryNotFound"})
        return self.say(request, 302, b"", {"Location": fault.to or f"{self.store_url}/files/{name}?key=secret",
                                            "X-Linked-Etag": f'"{self.digest(name)}"', "X-Linked-Size": str(len(data))})

    def manifest(self, request, name, path):
        fault = self.fault(path)
        if fault.status:
            return self.refuse(request, fault)
        if name not in self.manifests:
            return self.say(request, 404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        return self.say(request, 200, json.dumps(self.manifests[name]).encode())

    def blob(self, request, digest, path):
        if digest not in self.blobs:
            return self.say(request, 404, b"")
        return self.say(request, 307, b"", {"Location": f"{self.store_url}/blobs/{digest}"})

    def stored(self, request, path):
        kind, _, name = path.lstrip("/").partition("/")
        data = (self.files if kind == "files" else self.blobs).get(name)
        if data is None:
            return self.say(request, 404, b"")
        fault = self.fault(path)
        if fault.status:
            return self.refuse(request, fault)
        if fault.flip is not None:
            data = data[:fault.flip] + bytes([data[fault.flip] ^ 1]) + data[fault.flip + 1:]
        start, end = 0, len(data)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if wanted and fault.ranges:
            start = int(wanted[1])
            end = min(int(wanted[2]) + 1, len(data)) if wanted[2] else len(data)
            if start >= len(data):
                return self.say(request, 416, b"")
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        else:
            request.send_response(200)
        if fault.length:
            request.send_header("Content-Length", str(fault.said if fault.said is not None else end - start + len(fault.extra)))
        else:
            request.send_header("Connection", "close")
            request.close_connection = True
        request.end_headers()
        return self.send(request, path, data[start:end] + fault.extra, fault)

    def send(self, request, path, body, fault):
        step = fault.pace[0] if fault.pace else 65536
        at = 0
        while at < len(body):
            if fault.cut is not None and at >= fault.cut:
                request.close_connection = True
                request.connection.close()
                return
            if fault.stall is not None and at >= fault.stall:
                self.closing.wait()
                return
            limits = [at + step, len(body), *(x for x in (fault.cut, fault.stall) if x is not None)]
            piece = body[at:min(limits)]
            request.wfile.write(piece)
            request.wfile.flush()
            self.sent[path] += len(piece)
            at += len(piece)
            if fault.pace:
                time.sleep(fault.pace[1])
