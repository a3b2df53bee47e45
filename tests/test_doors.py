"""What the page lets in and what it keeps its hands off: asked by HTTP, as any program can."""

import asyncio
import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import gradio as gr
import httpx
import pytest
from app_server import Server, tiny_models
from conftest import BUNDLED, EXAMPLES
from PIL import Image

import app
from esrgan import ImageError
from esrgan.errors import FileError
from esrgan.page import fetching
from esrgan.page.jobs import Step, Studio
from esrgan.page.models import Model
from esrgan.page.preview import DESCRIPTION
from esrgan.page.uploads import MARK, claim_folder, delete_old, is_own, keep_clean, let_in

META = {"_type": "gradio.FileData"}
JSON = {"Content-Type": "application/json"}
EXAMPLE = {"path": str(BUNDLED / "cat.jpg"), "meta": META}


def join(url: str, endpoint: str, data: list) -> str:
    """The address of the stream in which a call by plain HTTP will be answered; of no part unless it says so."""
    if endpoint == "upscale" and len(data) == 2:
        data = [*data, ""]
    call = f"{url}/gradio_api/call/{endpoint}"
    asked = httpx.post(call, content=json.dumps({"data": data}), headers=JSON, timeout=60)
    return f"{call}/{asked.json()['event_id']}"


def listen(stream: str) -> tuple[str, Any]:
    """The last event's name and data."""
    deadline = time.monotonic() + 120  # heartbeats would go on for ever
    with httpx.stream("GET", stream, timeout=60) as answer:
        for line in answer.iter_lines():
            assert time.monotonic() < deadline
            name, _, told = line.partition(": ")
            if name == "event":
                event = told
            elif event in ("complete", "error"):
                return event, json.loads(told)
    raise AssertionError(f"{stream}: ended without an answer")


def ask(server: Server, endpoint: str, data: Any) -> tuple[str, Any]:
    return listen(join(server.url, endpoint, data))


def refused(server: Server, endpoint: str, data: Any) -> str:
    event, told = ask(server, endpoint, data)
    assert event == "error", told
    sentence = told["error"]
    assert sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "Traceback" not in server.log.read_text()
    return sentence


def upload(server: Server, name: str, content: bytes) -> str:
    return httpx.post(f"{server.url}/gradio_api/upload", files={"files": (name, content)}).json()[0]


@pytest.fixture
def outside(tmp_path: Path) -> dict[str, Path]:
    """Files of all kinds that nobody gave to the page."""
    photo = tmp_path / "photo.png"
    Image.new("RGB", (40, 40)).save(photo)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(photo)
    names = ("photo.png", "pipe.png", "link.png", "missing.png", "")
    return {name or "folder": tmp_path / name for name in names} | {"zero": Path("/dev/zero")}


@pytest.mark.parametrize("kind", ["photo.png", "pipe.png", "link.png", "missing.png", "folder", "zero"])
@pytest.mark.parametrize("meta", [{}, {"meta": META}])
def test_no_file_of_the_servers_user_is_given_to_a_visitor(
    server: Server, outside: dict[str, Path], kind: str, meta: dict
) -> None:
    path = outside[kind]
    sentence = f"{path.name}: not among the photos here, which are deleted after an hour; choose the photo again."
    photo = {"path": str(path), **meta}
    for endpoint, value in (("compare", photo), ("upscale", photo), ("batch", [photo])):
        assert refused(server, endpoint, [value, 0]) == sentence


def test_no_way_in_beside_the_endpoints(server: Server, outside: dict[str, Path]) -> None:
    """Each function of the page that takes a file, with and without the queue."""
    config = httpx.get(f"{server.url}/config").json()
    kinds = {component["id"]: component["type"] for component in config["components"]}
    photo = {"path": str(outside["photo.png"]), "meta": META}
    asked = 0
    for function in config["dependencies"]:
        inputs = [kinds[key] for key in function["inputs"]]
        if not {"image", "file"} & set(inputs):
            continue
        data = [{"image": photo, "file": [photo]}.get(kind, 0) for kind in inputs]
        answer = httpx.post(
            f"{server.url}/gradio_api/run/predict",
            json={"data": data, "fn_index": function["id"], "session_hash": "visitor"},
        )
        assert answer.status_code == 500
        assert "not among the photos here" in answer.json()["error"]
        asked += 1
    assert asked > 10
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("junk", [0, "x", None, [None], {"path": 5}], ids=repr)
def test_no_function_of_the_page_answers_with_a_traceback(server: Server, junk: Any) -> None:
    config = httpx.get(f"{server.url}/config").json()
    for function in config["dependencies"]:
        asked = {"data": [junk] * len(function["inputs"]), "fn_index": function["id"], "session_hash": "x"}
        answer = httpx.post(f"{server.url}/gradio_api/run/predict", json={**asked, "event_data": junk})
        assert answer.status_code == 200 or answer.json()["error"] is not None, function
    assert "Traceback" not in server.log.read_text()


WRONG = ["x", 5, [None], [{}], {}, {"path": None}, {"path": 5}, {"path": ""}, {"path": "a\0b"}, {"path": "x" * 10_000}]


@pytest.mark.parametrize("value", [*WRONG, {"path": "x", "meta": 5}, {"path": "\ud800"}], ids=repr)
def test_a_value_of_a_wrong_shape_gets_a_sentence(server: Server, value: Any) -> None:
    refused(server, "compare", [value, 0])
    refused(server, "upscale", [value, 0])
    refused(server, "batch", [value, 0])
    refused(server, "batch", [[value], 0])


@pytest.mark.parametrize("detail", [None, "x", [], {}, 2, -1])
def test_a_detail_of_a_wrong_shape_gets_a_sentence(server: Server, detail: Any) -> None:
    photo = {"path": upload(server, "cat.png", (EXAMPLES / "cat_chelsea.png").read_bytes()), "meta": META}
    for endpoint, value in (("compare", photo), ("upscale", photo), ("batch", [photo])):
        assert "must be a number from 0 to 1" in refused(server, endpoint, [value, detail])


@pytest.mark.parametrize(
    "part", [None, 5, [], "x", "1, 2, 3", "0, 0, 0, 0", "0, 0, 2000, 10", "-1, 0, 50, 50", "9" * 5000]
)
def test_a_part_that_is_none_gets_a_sentence(server: Server, part: Any) -> None:
    assert refused(server, "upscale", [EXAMPLE, 0, part]).startswith("Part ")


class Web(BaseHTTPRequestHandler):
    """A photo, a way to it, a way into the server's own network, and one that never ends."""

    def do_GET(self) -> None:
        places = {"/moved": "/dog%20one.jpg", "/inside": f"http://127.0.0.1:{self.server.server_port}/dog%20one.jpg"}
        if place := places.get(self.path):
            self.send_response(302)
            self.send_header("Location", place)
        else:
            found = self.path in ("/dog%20one.jpg", "/endless") or self.path.startswith("/named/")
            self.send_response(200 if found else 404)
        self.end_headers()
        if self.path == "/dog%20one.jpg":
            self.wfile.write((BUNDLED / "dog.jpg").read_bytes())
        while self.path == "/endless":
            self.wfile.write(bytes(100_000))

    def log_message(self, *_: object) -> None:
        pass


def test_a_web_address_is_fetched_within_the_limits_of_an_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    checked = fetching.async_validate_url

    async def public(host: str) -> str:
        return "127.0.0.1" if host == "photos.example" else await checked(host)

    monkeypatch.setattr(fetching, "async_validate_url", public)
    monkeypatch.setattr(fetching, "is_public", lambda machine: machine == "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    Thread(target=server.serve_forever, daemon=True).start()
    web = f"http://photos.example:{server.server_port}"
    path = asyncio.run(fetching.fetch(f"{web}/moved"))
    assert path.name == "dog one.jpg"
    assert path.read_bytes() == (BUNDLED / "dog.jpg").read_bytes()
    assert let_in(str(path)) == path
    for sent, kept in ((f"{'%E7%8C%AB' * 100}.jpg", f"{'猫' * 65}.jpg"), ("a%00b.jpg", "ab.jpg"), ("...png", "png")):
        assert asyncio.run(fetching.fetch(f"{web}/named/{sent}")).name == kept
    for name, told in (("endless", "has more than 30 MB"), ("nothing", "cannot be"), ("inside", "cannot be")):
        with pytest.raises(gr.Error, match=f"{web}/{name}: {told}"):
            asyncio.run(fetching.fetch(f"{web}/{name}"))
    server.shutdown()


@pytest.mark.parametrize(
    ("machine", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("10.0.0.1", False),
        ("100.100.100.200", False),  # shared within a provider's network
        ("169.254.169.254", False),
        ("::1", False),
        ("fec0::1", False),
        ("::ffff:8.8.8.8", False),
        ("64:ff9b::7f00:1", False),  # this and the next two lead to 127.0.0.1
        ("2002:7f00:1::", False),
        ("2001:0:7f00:1::80ff:fffe", False),
    ],
)
def test_machines_of_the_public_are_told_from_all_others(machine: str, public: bool) -> None:
    assert fetching.is_public(machine) == public


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/a.png", "http://[::1", "https://", "http://no.such.host.invalid/"]
)
def test_an_address_that_leads_nowhere_public_gets_a_sentence(server: Server, address: str) -> None:
    assert "cannot be fetched" in refused(server, "compare", [{"path": address, "meta": META}, 0])


def test_more_addresses_than_a_batch_may_have_are_not_fetched(server: Server) -> None:
    photo = {"path": "http://no.such.host.invalid/a.png", "meta": META}
    assert refused(server, "batch", [[photo] * 51, 0]) == "51 web addresses: at most 50 are fetched at once."
    assert "cannot be fetched" in refused(server, "batch", [[photo] * 50, 0])


@pytest.mark.parametrize("data", [[], [None, 0, "", "clean", False, ["dogs"], "PNG", 2]])
def test_a_missing_photo_and_further_values_are_told_of(server: Server, data: list) -> None:
    assert refused(server, "batch", data).endswith("values were sent where 2 are expected (your photos, detail).")
    assert refused(server, "compare", data).endswith("3 are expected (your photo, detail, how it is shrunk).")
    assert refused(server, "upscale", data).endswith(
        "(your photo, detail, part, condition, halve it first, models, save as)."
    )
    assert ask(server, "compare", [EXAMPLE])[0] == "complete"  # the rest is as the page has it at first


@pytest.mark.parametrize(
    ("endpoint", "values", "told"),
    [
        ("upscale", ["", "fine", False], "Condition 'fine': must be one of measure, clean, damaged."),
        ("upscale", ["", None, False], "Condition None: must be one of"),
        ("upscale", ["", "clean", "no"], "Halve it first 'no': must be true or false."),
        ("upscale", ["", "clean", False, "dogs"], "Models 'dogs': must be a list of mixed, dogs."),
        ("upscale", ["", "clean", False, [{}]], "Models [{}]: must be a list of"),
        ("upscale", ["", "clean", False, []], "Choose a model: mixed, dogs."),
        ("upscale", ["", "clean", False, ["dogs"], "GIF"], "Save as 'GIF': must be one of PNG, JPEG, WebP."),
        ("compare", ["../web"], "How it is shrunk '../web': must be one of bicubic, camera, web."),
        ("compare", [["web"]], "How it is shrunk ['web']: must be one of"),
    ],
)
def test_settings_are_those_there_are(server: Server, endpoint: str, values: list, told: str) -> None:
    assert refused(server, endpoint, [EXAMPLE, 0, *values]).startswith(told)


def test_examples_are_let_in_and_dots_before_a_name_do_no_harm(server: Server) -> None:
    assert ask(server, "compare", [{"path": EXAMPLE["path"]}, 0])[0] == "complete"
    dotted = upload(server, ".cat.png", (EXAMPLES / "cat_chelsea.png").read_bytes())
    event, answer = ask(server, "compare", [{"path": dotted, "meta": META}, 0])
    assert event == "complete"
    assert Path(answer[1]["path"]).name == "cat-original.png"


def test_a_link_out_of_the_folder_leads_nowhere(
    tmp_path: Path, outside: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    folder = claim_folder()
    (folder / "photo.png").write_bytes(b"photo")
    (folder / "out.png").symlink_to(outside["photo.png"])
    assert let_in(str(folder / "photo.png")) == folder / "photo.png"
    for path in (folder / "out.png", folder / ".." / ".." / "photo.png", folder, folder / "missing.png"):
        with pytest.raises(ImageError, match="not among the photos here"):
            let_in(str(path))


def test_a_users_folder_is_found_again_and_is_his_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    first = claim_folder()
    assert first.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    assert claim_folder() == first
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert claim_folder() != first


@pytest.mark.parametrize("kind", ["link", "of somebody", "open to others", "file"])
def test_what_is_not_its_own_is_neither_used_nor_cleaned(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    name = claim_folder()
    precious = tmp_path / "precious"
    name.rename(precious)  # marked
    (precious / "photo.png").write_bytes(b"photo")
    if kind == "link":
        name.symlink_to(precious)
    elif kind == "file":
        name.write_bytes(b"photo")
    else:
        precious = precious.rename(name)
        if kind == "of somebody":
            (name / MARK).unlink()
        else:
            name.chmod(0o755)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    folder = claim_folder()
    assert folder != name
    assert is_own(folder)
    assert [record.getMessage() for record in caplog.records] == [
        f"{name}: was not made by this program for this user; {folder} is used."
    ]
    keep_clean(gr.Blocks(), name, 0, Event())  # returns
    assert (precious / "photo.png").read_bytes() == b"photo"


def test_cleaning_follows_no_links(tmp_path: Path) -> None:
    folder, other = tmp_path / "served", tmp_path / "other"
    for path in (folder, other):
        path.mkdir()
        (path / "photo.png").write_bytes(b"photo")
    (folder / "link.png").symlink_to(other / "photo.png")
    (folder / "link").symlink_to(other)
    time.sleep(0.2)
    delete_old(folder, [], 0.1)
    assert [path.name for path in folder.iterdir()] == ["link"]
    assert (other / "photo.png").read_bytes() == b"photo"


def test_a_place_where_no_folder_can_be_made_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file"))
    with pytest.raises(FileError, match="no folder for photos can be made there"):
        claim_folder()
    assert app.main([]) == 1
    assert caplog.records[-1].getMessage().endswith("set GRADIO_TEMP_DIR to another.")


class Endless(Studio):
    """Works on `upscale` until it is stopped."""

    def upscale(self, path: Path, detail: float, *_: Any) -> Iterator[Step]:
        for tile in itertools.count():
            time.sleep(0.01)
            yield Step(0.5, f"tile {tile}")


@pytest.fixture
def endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a page whose one worker is busy for as long as an upscaling is not stopped."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "served"))
    page = app.build(Endless({name: Model(path) for name, path in tiny_models(tmp_path).items()}))
    _, url, _ = page.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield url.rstrip("/")
    page.close(verbose=False)


def test_five_programs_that_ask_and_do_not_listen_hold_nobody_up(endless: str) -> None:
    streams = [join(endless, "upscale", [EXAMPLE, 0]) for _ in range(5)]
    assert listen(join(endless, "compare", [EXAMPLE, 0]))[0] == "complete"
    for stream in streams:
        event, told = listen(stream)
        assert event == "error"
        assert told["error"].startswith("Nobody listens")


def test_who_stops_listening_holds_nobody_up(endless: str) -> None:
    for _ in range(3):
        with httpx.stream("GET", join(endless, "upscale", [EXAMPLE, 0]), timeout=60) as answer:
            for line in answer.iter_lines():
                if "tile 3" in line:
                    break
    assert listen(join(endless, "compare", [EXAMPLE, 0]))[0] == "complete"


@pytest.mark.parametrize("stream", ["call/upscale/{event_id}", "queue/data?session_hash=visitor"])
def test_who_listens_is_answered_however_long_it_takes(
    endless: str, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esrgan.page.listeners.PATIENCE", 1)
    body = {"data": [EXAMPLE, 0, ""], "session_hash": "visitor"}
    asked = httpx.post(f"{endless}/gradio_api/call/upscale", json=body).json()
    with httpx.stream("GET", f"{endless}/gradio_api/{stream.format(**asked)}", timeout=60) as answer:
        assert any("tile 300" in line for line in answer.iter_lines())


def test_a_shared_link_shows_the_pages_own_words_and_picture(server: Server) -> None:
    page = httpx.get(server.url).text
    found = re.findall(r'<meta property="og:(\w+)" content="([^"]*)">', page)
    told = dict(found)
    assert len(found) == len(told) == 5
    assert (told["title"], told["description"]) == ("Sharper animals", DESCRIPTION)
    assert page.count('property="og:') == 5
    assert 'name="twitter:image"' not in page
    picture = httpx.get(told["image"])
    assert picture.headers["content-type"] == "image/jpeg"
    behind = httpx.get(server.url, headers={"x-forwarded-host": "a.org", "x-forwarded-proto": "https"}).text
    assert 'property="og:image" content="https://a.org/gradio_api/file=' in behind
