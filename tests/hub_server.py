"""A small Hub for the tests: what huggingface_hub, hf_xet and datasets ask of one, over HTTP, and ways to make it fail.

`with Hub(folder) as hub:` serves the API on one port and the large files on another, another origin as on the real Hub:
a redirect within one origin is followed, and then lacks the commit's header. Repositories live in memory; what comes
through Xet stays in `folder`, where the client puts it itself (`casUrl=local://…`).
"""

import base64
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".png", ".jpg", ".bin")
RECORD = 48  # bytes; a Xet shard is a table of such
API = r"/api/(?P<kind>models|datasets|spaces)/(?P<id>[^/]+/[^/]+)"
REPO = r"/(?:(?P<kind>datasets|spaces)/)?(?P<id>[^/]+/[^/]+)"


@dataclass(frozen=True)
class File:
    """One file of a commit; of a large one that came through Xet the server has no content, only its Xet hash."""

    content: bytes | None
    size: int
    sha256: str | None = None
    xet: str | None = None

    @property
    def oid(self) -> str:
        """Git's blob id, or a large file's sha256."""
        return self.sha256 or hashlib.sha1(b"blob %d\0%s" % (self.size, self.content)).hexdigest()


@dataclass(frozen=True)
class Commit:
    oid: str
    title: str
    files: dict[str, File]
    changed: set[str]


@dataclass
class Repository:
    kind: str
    id: str
    private: bool
    commits: list[Commit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    hardware: str = "cpu-basic"

    def at(self, revision: str) -> Commit | None:
        oid = self.tags.get(revision, revision)
        return self.commits[-1] if oid == "main" else next((c for c in self.commits if c.oid == oid), None)

    def commit(self, title: str, files: dict[str, File]) -> Commit:
        before = self.commits[-1].files if self.commits else {}
        changed = {path for path in before.keys() | files.keys() if before.get(path) != files.get(path)}
        oid = hashlib.sha1(f"{self.id} {len(self.commits)} {time.time_ns()}".encode()).hexdigest()
        self.commits.append(Commit(oid, title, files, changed))
        return self.commits[-1]


@dataclass
class Fault:
    """How a request is to fail.

    Attributes:
        request: a regular expression that its method and path (`PUT /lfs/…`) begins with.
        status: what is answered in its place; None to do as asked.
        cut: whether the answer's body ends in the middle.
        times: how often.
        message: told in X-Error-Message.
        meanwhile: called when it happens.
    """

    request: str
    status: int | None = 503
    cut: bool = False
    times: int = 1
    message: str = "made to fail"
    meanwhile: Callable[[], object] = lambda: None


class Refused(Exception):
    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **headers}


class Hub:
    """The server.

    Args:
        folder: for what comes through Xet.
        tokens: tokens and the users that they belong to; a user may write below the own name.
    """

    def __init__(self, folder: Path, tokens: dict[str, str] | None = None) -> None:
        self.xet_folder = folder / "xet"
        self.tokens = tokens or {"hf_of_me": "me", "hf_of_you": "you"}
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.collections: dict[str, dict[str, Any]] = {}
        self.large: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.lock = threading.Lock()
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), make_handler(self, serve)) for serve in (api, storage)]
        self.url, self.storage_url = (f"http://127.0.0.1:{server.server_address[1]}" for server in self.servers)

    def __enter__(self) -> "Hub":
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def __getitem__(self, repo_id: str) -> Repository:
        """A model's repository; `datasets/…` and `spaces/…` for others."""
        kind, _, name = repo_id.partition("/") if repo_id.count("/") == 2 else ("models", "", repo_id)
        return self.repositories[kind, name]

    def add(self, repo_id: str, files: dict[str, bytes], kind: str = "models", private: bool = False) -> Commit:
        """Put a commit into a repository, made if it is not there."""
        repository = self.repositories.setdefault((kind, repo_id), Repository(kind, repo_id, private))
        return repository.commit("added", {path: self.keep(path, content) for path, content in files.items()})

    def keep(self, path: str, content: bytes) -> File:
        if not path.endswith(LFS_SUFFIXES):
            return File(content, len(content))
        sha256 = hashlib.sha256(content).hexdigest()
        self.large[sha256] = content
        return File(content, len(content), sha256)

    def environment(self, home: Path, token: str | None = "hf_of_me", *, xet: bool = False) -> dict[str, str]:
        """For a process whose clients are to ask this Hub, with a cache of its own."""
        mine = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0", "HF_UPDATE_DOWNLOAD_COUNTS": "0"}
        mine |= {"HF_HUB_DISABLE_XET": "" if xet else "1", "HF_TOKEN": token or ""}
        return {**os.environ, **mine}

    def fault(self, request: str) -> Fault | None:
        """The fault that this request is to suffer, if any."""
        with self.lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.times and re.match(fault.request, request):
                    fault.times -= 1
                    return fault
        return None

    def xet_hash(self, sha256: str) -> str | None:
        """What Xet calls a large file, from the shards that the client left."""
        for shard in sorted(self.xet_folder.rglob("*.mdb")):
            content = shard.read_bytes()
            records = [content[at : at + RECORD] for at in range(RECORD, len(content), RECORD)]
            index = 0
            while index < len(records) and records[index][:32] != b"\xff" * 32:
                flags, count = (int.from_bytes(records[index][at : at + 4], "little") for at in (32, 36))
                last = index + count * (2 if flags >> 31 else 1) + (flags >> 30 & 1)
                if flags >> 30 & 1 and as_hex(records[last][:32]) == sha256:
                    return as_hex(records[index][:32])
                index = last + 1
        return None


def as_hex(digest: bytes) -> str:
    """Four little-endian numbers, as Xet spells a hash."""
    return "".join(f"{int.from_bytes(digest[at : at + 8], 'little'):016x}" for at in range(0, 32, 8))


@dataclass
class Request:
    """What a route is given, and what it may use to answer."""

    hub: Hub
    method: str
    path: str
    query: dict[str, str]
    headers: Any
    body: bytes
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body or b"{}")

    @property
    def user(self) -> str | None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.hub.tokens:
            raise Refused(401, "Invalid credentials in Authorization header")
        return self.hub.tokens.get(token)

    def repository(self, *, to_write: bool = False) -> Repository:
        found = self.hub.repositories.get((self.parts["kind"] or "models", self.parts["id"]))
        owner = self.parts["id"].split("/")[0]
        if not found or (found.private and self.user != owner):
            raise Refused(404 if self.user else 401, "Repository not found", "RepoNotFound")
        if to_write and self.user != owner:
            raise Refused(403, f"You don't have the rights to write to {found.id}")
        return found

    def commit(self) -> Commit:
        found = self.repository().at(unquote(self.parts.get("revision") or "main"))
        if not found:
            raise Refused(404, "Invalid rev id", "RevisionNotFound")
        return found


Reply = tuple[int, dict[str, str], bytes]
ROUTES: list[tuple[str, str, Callable[[Request], Any]]] = []


def route(method: str, path: str) -> Callable[[Callable[[Request], Any]], Callable[[Request], Any]]:
    def register(function: Callable[[Request], Any]) -> Callable[[Request], Any]:
        ROUTES.append((method, path, function))
        return function

    return register


def make_handler(hub: Hub, serve: Callable[[Request], Reply]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            query = {key: values[-1] for key, values in parse_qs(url.query).items()}
            fault = hub.fault(f"{self.command} {url.path}")
            if fault:
                fault.meanwhile()
            try:
                if fault and fault.status:
                    raise Refused(fault.status, fault.message)
                status, headers, content = serve(Request(hub, self.command, url.path, query, self.headers, body))
            except Refused as refused:
                status, headers = refused.status, refused.headers
                content = json.dumps({"error": str(refused), "url": headers.pop("url", "")}).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content[: len(content) // 2] if fault and fault.cut else content)
            self.close_connection |= bool(fault and fault.cut)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def api(request: Request) -> Reply:
    """The Hub's own port."""
    for method, path, function in ROUTES:
        if request.method in method.split("|") and (match := re.fullmatch(path, request.path)):
            request.parts = match.groupdict()
            answer = function(request)
            if isinstance(answer, tuple):
                return answer
            return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()
    raise Refused(404, f"no such route: {request.method} {request.path}")


def storage(request: Request) -> Reply:
    """The large files' port."""
    oid = request.path.rpartition("/")[2]
    if request.method == "PUT":
        if hashlib.sha256(request.body).hexdigest() != oid:
            raise Refused(400, "the content has another sha256")
        request.hub.large[oid] = request.body
        return 200, {}, b""
    if oid not in request.hub.large:
        raise Refused(404, "no such content")
    return ranged(request, request.hub.large[oid], {"ETag": f'"{oid}"'})


def ranged(request: Request, content: bytes, headers: dict[str, str]) -> Reply:
    """The content, or the range of it that is asked for."""
    if not (match := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))):
        return 200, headers, content
    start, stop = int(match[1]), int(match[2] or len(content) - 1) + 1
    return 206, {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"}, content[start:stop]


@route("GET", "/api/whoami-v2")
def whoami(request: Request) -> Any:
    if not request.user:
        raise Refused(401, "Invalid username or password.")
    return {"type": "user", "name": request.user, "orgs": [], "auth": {"type": "access_token"}}


@route("POST", "/api/repos/create")
def create(request: Request) -> Any:
    if not request.user:
        raise Refused(401, "Invalid username or password.")
    asked = request.json
    kind, repo_id = f"{asked.get('type', 'model')}s", f"{asked.get('organization') or request.user}/{asked['name']}"
    url = f"{request.hub.url}/{'' if kind == 'models' else kind + '/'}{repo_id}"
    if (kind, repo_id) in request.hub.repositories:
        raise Refused(409, "You already created this repo", url=url)
    if repo_id.split("/")[0] != request.user:
        raise Refused(403, f"You don't have the rights to create a repo under {asked['organization']}")
    repository = Repository(kind, repo_id, asked.get("visibility") == "private")
    repository.commit("initial commit", {".gitattributes": File(b"", 0)})
    request.hub.repositories[kind, repo_id] = repository
    return {"url": url}


@route("POST", "/api/validate-yaml")
def validate_yaml(request: Request) -> Any:
    return {"errors": [], "warnings": []}


@route("POST", f"{API}/preupload/(?P<revision>[^/]+)")
def preupload(request: Request) -> Any:
    request.repository(to_write=True)
    present = request.commit().files
    return {
        "files": [
            {
                "path": path,
                "uploadMode": "lfs" if path.endswith(LFS_SUFFIXES) else "regular",
                "shouldIgnore": False,
                "oid": present[path].oid if path in present else None,
            }
            for path in (file["path"] for file in request.json["files"])
        ]
    }


@route("POST", rf"{REPO}\.git/info/lfs/objects/batch")
def lfs_batch(request: Request) -> Any:
    request.repository(to_write=True)
    objects = request.json["objects"]
    for entry in objects:
        if entry["oid"] not in request.hub.large:
            entry["actions"] = {
                "upload": {"href": f"{request.hub.storage_url}/{entry['oid']}"},
                "verify": {"href": f"{request.hub.url}/lfs/verify"},
            }
    return {"transfer": "basic", "objects": objects}


@route("POST", "/lfs/verify")
def lfs_verify(request: Request) -> Any:
    asked = request.json
    if len(request.hub.large.get(asked["oid"], b"")) != asked["size"]:
        raise Refused(404, "no such content of that size")
    return {}


@route("POST", f"{API}/commit/(?P<revision>[^/]+)")
def commit(request: Request) -> Any:
    repository, hub = request.repository(to_write=True), request.hub
    lines = [json.loads(line) for line in request.body.splitlines()]
    header = lines[0]["value"]
    with hub.lock:
        if header.get("parentCommit") not in (None, repository.commits[-1].oid):
            raise Refused(412, "The expected parent commit is not the latest one")
        files = dict(repository.commits[-1].files)
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                content = base64.b64decode(value["content"])
                files[value["path"]] = File(content, len(content))
            elif line["key"] == "lfsFile":
                content, xet = hub.large.get(value["oid"]), hub.xet_hash(value["oid"])
                if content is None and xet is None:
                    raise Refused(400, f"{value['path']}: its content was not uploaded")
                files[value["path"]] = File(content, value["size"], value["oid"], xet)
            else:
                folder = line["key"] == "deletedFolder"
                path = value["path"]
                files = {p: f for p, f in files.items() if p != path and not (folder and p.startswith(f"{path}/"))}
        made = repository.commit(header["summary"], files)
    return {"commitOid": made.oid, "commitUrl": f"{hub.url}/{repository.id}/commit/{made.oid}"}


@route("POST", f"{API}/tag/(?P<revision>[^/]+)")
def tag(request: Request) -> Any:
    request.repository(to_write=True).tags[request.json["tag"]] = request.commit().oid
    return {}


@route("GET", f"{API}/refs")
def refs(request: Request) -> Any:
    repository = request.repository()
    tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": oid} for n, oid in repository.tags.items()]
    main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repository.commits[-1].oid}
    return {"branches": [main], "tags": tags, "converts": []}


def row(path: str, file: File) -> dict[str, Any]:
    large = {"lfs": {"oid": file.sha256, "size": file.size, "pointerSize": 130}} if file.sha256 else {}
    return {"type": "file", "oid": file.oid, "size": file.size, "path": path, **large}


@route("GET", f"{API}(?:/revision/(?P<revision>[^/]+))?")
def info(request: Request) -> Any:
    repository, at = request.repository(), request.commit()
    siblings = [
        {"rfilename": path, "size": file.size, "blobId": file.oid}
        | ({"lfs": {"sha256": file.sha256, "size": file.size, "pointerSize": 130}} if file.sha256 else {})
        for path, file in at.files.items()
    ]
    private = repository.private
    return {"id": repository.id, "sha": at.oid, "private": private, "tags": [], "siblings": siblings}


def parents(paths: Iterator[str]) -> set[str]:
    return {path[:at] for path in paths for at, letter in enumerate(path) if letter == "/"}


@route("GET", f"{API}/tree/(?P<revision>[^/]+)(?:/(?P<path>.*))?")
def tree(request: Request) -> Any:
    files, path = request.commit().files, unquote(request.parts["path"] or "")
    rows = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": folder} for folder in parents(iter(files))]
    rows += [row(name, file) for name, file in files.items()]
    rows = [entry for entry in rows if not path or entry["path"].startswith(f"{path}/")]
    if path and not rows:
        raise Refused(404, f"{path} does not exist", "EntryNotFound")
    if request.query.get("recursive", "").lower() != "true":
        rows = [entry for entry in rows if "/" not in entry["path"].removeprefix(f"{path}/" if path else "")]
    return sorted(rows, key=lambda entry: entry["path"])


@route("POST", f"{API}/paths-info/(?P<revision>[^/]+)")
def paths_info(request: Request) -> Any:
    files, asked = request.commit().files, parse_qs(request.body.decode())["paths"]
    folders = parents(iter(files))
    rows = [row(path, files[path]) for path in asked if path in files]
    return rows + [{"type": "directory", "oid": "0" * 40, "path": path} for path in asked if path in folders]


@route("GET|HEAD", f"{REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(request: Request) -> Reply:
    hub, at, path = request.hub, request.commit(), unquote(request.parts["path"])
    headers = {"X-Repo-Commit": at.oid}
    if path not in at.files:
        raise Refused(404, "Entry not found", "EntryNotFound", **headers)
    file = at.files[path]
    headers["ETag"] = f'"{file.oid}"'
    if not file.sha256:
        return ranged(request, file.content or b"", headers)
    headers |= {
        "X-Linked-Size": str(file.size),
        "X-Linked-ETag": headers["ETag"],
        "Location": f"{hub.storage_url}/{file.sha256}",
    }
    if file.xet:
        token = f"{hub.url}/api/{request.parts['kind'] or 'models'}/{request.parts['id']}/xet-read-token/{at.oid}"
        headers |= {"X-Xet-Hash": file.xet, "Link": f'<{token}>; rel="xet-auth"'}
    return 302, headers, b""


@route("GET", f"{API}/xet-(?P<what>write|read)-token/(?P<revision>[^/]+)")
def xet_token(request: Request) -> Reply:
    request.repository(to_write=request.parts["what"] == "write")
    place, expires = f"local://{request.hub.xet_folder}", int(time.time()) + 3600
    headers = {"X-Xet-Access-Token": "x", "X-Xet-Token-Expiration": str(expires), "X-Xet-Cas-Url": place}
    return 200, headers, json.dumps({"accessToken": "x", "exp": expires, "casUrl": place}).encode()


@route("POST", "/api/collections")
def create_collection(request: Request) -> Any:
    asked = request.json
    slug = f"{asked['namespace']}/{quote(asked['title'].lower().replace(' ', '-'))}-{len(asked['title']):024x}"
    if slug in request.hub.collections:
        found = json.dumps(request.hub.collections[slug]).encode()
        return 409, {"Content-Type": "application/json"}, found
    request.hub.collections[slug] = {
        "slug": slug,
        "title": asked["title"],
        "owner": {"name": asked["namespace"]},
        "items": [],
        "lastUpdated": "2026-01-01T00:00:00.000Z",
        "position": 0,
        "private": asked.get("private", False),
        "theme": "green",
        "upvotes": 0,
    }
    return request.hub.collections[slug]


@route("GET", "/api/collections/(?P<slug>.+)")
def get_collection(request: Request) -> Any:
    return request.hub.collections[unquote(request.parts["slug"])]


@route("POST", "/api/collections/(?P<slug>.+)/items")
def add_to_collection(request: Request) -> Any:
    collection, item = request.hub.collections[unquote(request.parts["slug"])], request.json["item"]
    if any(entry["id"] == item["id"] for entry in collection["items"]):
        raise Refused(409, "The item is already there")
    collection["items"].append({**item, "_id": f"{len(collection['items']):024x}", "position": 0})
    return collection


@route("POST", f"{API}/variables")
def set_variable(request: Request) -> Any:
    repository, asked = request.repository(to_write=True), request.json
    repository.variables[asked["key"]] = asked["value"]
    return {key: {"key": key, "value": value} for key, value in repository.variables.items()}


@route("GET|POST", f"{API}/(?:runtime|hardware)")
def runtime(request: Request) -> Any:
    repository = request.repository(to_write=request.method == "POST")
    repository.hardware = request.json.get("flavor", repository.hardware)
    return {"stage": "RUNNING", "hardware": {"current": None, "requested": repository.hardware}}
