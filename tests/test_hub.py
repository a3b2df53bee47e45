"""Publishing and pulling, by the real clients over HTTP, against a Hub that also fails."""

import json
import os
import pickle
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from conftest import EXAMPLES, ROOT, Train, as_saved
from hub_server import Fault, Hub
from huggingface_hub import HfApi, ModelCard, constants
from kill_and_resume import arguments, make_photos
from PIL import Image
from safetensors.torch import save

from esrgan import Generator, Upscaler, WeightsError
from esrgan.__main__ import main
from esrgan.errors import HubError, HubUnreachable, NoSuchStage
from esrgan.hub.publish import gather, publish
from esrgan.hub.uploads import Uploads
from esrgan.training.checkpoints import Checkpoints, Progress
from esrgan.training.model_card import NOTES, Facts, model_card
from esrgan.training.recipes import Esrgan

PSNR = ("--psnr_steps=4", "--gan_steps=0", "--checkpointing_steps=2")


def make_run(folder: Path, seed: int = 0) -> Path:
    """What a training of both stages leaves, without the training."""
    torch.manual_seed(seed)
    psnr, gan = Generator(1, 8, 4), Generator(1, 8, 4)
    gan.save_pretrained(folder / "gan", psnr=psnr)
    model_card(Facts(Esrgan(), "gan", 10, "animals/dogs", "100")).save(folder / "gan" / "README.md")
    (folder / "gan" / "recipe.json").write_text(json.dumps({"recipe": "esrgan"}))
    (folder / "history.csv").write_text(f"stage,step,pixel\ngan,{seed},0.1\n")
    for name in ("curves.png", "plate.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


def same(one: Generator, other: Generator) -> bool:
    states = one.state_dict(), other.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][key], states[1][key]) for key in states[0]
    )


def complete(hub: Hub, repo_id: str, run: Path) -> bool:
    """Whether the newest commit there is all of the run, as it is."""
    files = hub[repo_id].commits[-1].files
    mine = gather(run)
    return {name for name in files if name[0] != "." and "/" not in name} == mine.keys() and all(
        files[name].size == len(mine[name]) for name in mine if name != "README.md"
    )


def test_trained_on_a_hub_data_set_pushed_and_pulled_by_a_new_process(online: Hub, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos")
    api = HfApi()
    api.create_repo("me/animals", repo_type="dataset")
    api.upload_folder(repo_id="me/animals", folder_path=photos, path_in_repo="train", repo_type="dataset")
    run = tmp_path / "run"
    options = [option for option in arguments(photos, run, *PSNR) if "train_data_dir" not in option]
    more = ["--dataset_name=me/animals", "--push_to_hub", "--hub_model_id=me/dogs", "--hub_strategy=checkpoint"]
    done = subprocess.run(
        [sys.executable, "train.py", *options, *more],
        cwd=ROOT,
        env=online.environment(tmp_path / "trainer"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert complete(online, "me/dogs", run)
    assert len(online["me/dogs"].commits) > 2  # one by a checkpoint
    assert "last-checkpoint/checkpoints/psnr-000004/optimizer.bin" in online["me/dogs"].commits[-1].files
    published = online["me/dogs"].commits[-1]
    readme = published.files["README.md"].content
    assert readme is not None
    assert ModelCard(readme.decode()).data.datasets == ["me/animals"]
    assert f"published: {online.url}/me/dogs/commit/{published.oid}" in done.stderr
    written = b"".join(path.read_bytes() for path in run.rglob("*") if path.is_file())
    assert b"hf_of_me" not in written + (done.stdout + done.stderr).encode()
    assert str(tmp_path).encode() not in b"".join(gather(run).values())

    first = online["me/dogs"].commits[1].oid
    api.create_tag("me/dogs", tag="v1", revision=published.oid)
    snippet = re.search("```python\n(.+?)```", readme.decode(), re.DOTALL)
    assert snippet
    (tmp_path / "elsewhere").mkdir()
    Image.open(EXAMPLES / "cat_chelsea.png").crop((150, 80, 190, 104)).save(tmp_path / "elsewhere" / "photo.jpg")
    code = f"""{snippet[1]}
import torch
states = [Generator.from_pretrained("me/dogs", revision=revision).state_dict()
          for revision in ("main", "v1", "{published.oid}", "{first}")]
torch.save([generator.state_dict(), Generator.from_pretrained("me/dogs@v1").state_dict(), *states], "states.pt")
"""
    pulling = online.environment(tmp_path / "puller") | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "elsewhere", env=pulling, check=True)
    mine = Generator.from_pretrained(run / "psnr")
    *theirs, earlier = torch.load(tmp_path / "elsewhere" / "states.pt", weights_only=True)
    for state in theirs:
        assert all(torch.equal(state[key], tensor) for key, tensor in mine.state_dict().items())
    assert any(not torch.equal(earlier[key], tensor) for key, tensor in mine.state_dict().items())
    photo, result = (Image.open(tmp_path / "elsewhere" / name) for name in ("photo.jpg", "photo_x4.png"))
    assert np.array_equal(np.asarray(result), np.asarray(Upscaler(mine)(photo.convert("RGB"))))


@pytest.mark.parametrize("xet", [False, True])
def test_a_run_goes_up_in_one_commit_and_comes_down_the_same(
    online: Hub, run: Path, xet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", not xet)
    if xet:
        pytest.importorskip("hf_xet")
    address = publish(gather(run), "me/dogs")
    assert [commit.title for commit in online["me/dogs"].commits] == ["initial commit", "Publish a model"]
    assert address.endswith(online["me/dogs"].commits[-1].oid)
    assert complete(online, "me/dogs", run)
    assert any("xet-write-token" in request for request in online.requests) == xet
    assert any(request.startswith("PUT") for request in online.requests) != xet
    for stage in (None, "psnr", 0.5):
        pulled = Generator.from_pretrained("me/dogs", stage=stage)
        assert same(pulled, Generator.from_pretrained(run / "gan", stage=stage)), stage
    assert any("xet-read-token" in request for request in online.requests) == xet


def test_a_private_repository_is_its_owners(online: Hub, run: Path) -> None:
    publish(gather(run), "me/dogs", private=True)
    assert online["me/dogs"].private
    for token in ("hf_of_you", False):
        with pytest.raises(
            WeightsError, match=r"^me/dogs: not to be had .*no such repository, or none that your token"
        ):
            Generator.from_pretrained("me/dogs", token=token)
    assert same(Generator.from_pretrained("me/dogs"), Generator.from_pretrained(run / "gan"))


def test_a_public_repository_is_not_taken_for_a_private_one(
    online: Hub, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(gather(run), "me/dogs")
    (run / "history.csv").write_text("secret")
    with pytest.raises(HubError, match="is public already"):
        publish(gather(run), "me/dogs", private=True)
    assert len(online["me/dogs"].commits) == 2
    Uploads(run, "me/dogs", private=True).pending.result()
    assert "is public already" in caplog.messages[-1]
    assert "The training goes on; its end will try again." in caplog.messages[-1]


def test_a_second_push_changes_only_what_changed(online: Hub, run: Path) -> None:
    publish(gather(run), "me/dogs")
    publish(gather(run), "me/dogs")
    assert len(online["me/dogs"].commits) == 2
    (run / "history.csv").write_text("stage,step,pixel\n")
    publish(gather(run), "me/dogs")
    assert online["me/dogs"].commits[-1].changed == {"history.csv"}
    begin, end = NOTES
    card = online["me/dogs"].commits[-1].files["README.md"].content
    assert card is not None
    online["me/dogs"].commit(
        "by hand",
        online["me/dogs"].commits[-1].files
        | {
            name: online.keep(name, content)
            for name, content in {
                "README.md": card.replace(f"{begin}\n{end}".encode(), f"{begin}\nGood dog.\n{end}".encode()),
                "demo.ipynb": b"{}",
            }.items()
        },
    )
    Generator.from_pretrained(run / "gan").save_pretrained(run / "gan")  # without the first stage
    publish(gather(run), "me/dogs")
    last = online["me/dogs"].commits[-1]
    assert last.changed == {"model.psnr.safetensors"}
    assert b"Good dog." in (last.files["README.md"].content or b"")
    assert "demo.ipynb" in last.files


def test_a_licence_goes_along_and_one_chosen_on_the_hub_is_kept(online: Hub, run: Path) -> None:
    def said() -> str:
        return ModelCard((online["me/dogs"].commits[-1].files["README.md"].content or b"").decode()).data.license

    command = ["publish", str(run), "--repo", "me/dogs"]
    assert main(command) == 0
    assert said() == "apache-2.0"
    files = online["me/dogs"].commits[-1].files
    card = (files["README.md"].content or b"").replace(b"license: apache-2.0", b"license: cc-by-nc-4.0")
    online["me/dogs"].commit("by hand", files | {"README.md": online.keep("README.md", "\ufeff".encode() + card)})
    for _ in range(2):
        (run / "history.csv").write_text((run / "history.csv").read_text() + "gan,9,0.1\n")
        assert main(command) == 0
        assert said() == "cc-by-nc-4.0"
    assert main([*command, "--license", "mit"]) == 0
    assert said() == "mit"
    uploads = Uploads(run, "me/dogs", licence="cc0-1.0")
    assert uploads.command.endswith("--repo me/dogs --license cc0-1.0")
    uploads.finish()
    assert said() == "cc0-1.0"


@pytest.mark.parametrize("place", ["hub", "folder"])
def test_a_card_in_another_encoding_is_not_a_hub_that_cannot_be_reached(
    online: Hub, run: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    publish(gather(run), "me/dogs")
    files = online["me/dogs"].commits[-1].files
    latin = (files["README.md"].content or b"") + "Für Hunde".encode("latin-1")
    if place == "hub":
        online["me/dogs"].commit("by hand", files | {"README.md": online.keep("README.md", latin)})
    else:
        (run / "gan" / "README.md").write_bytes(latin)
    before = len(online["me/dogs"].commits)
    assert main(["publish", str(run), "--repo", "me/dogs"]) == 1
    assert caplog.messages[-1].endswith("README.md is no text in UTF-8; save it anew as such.")
    assert len(online["me/dogs"].commits) == before


def test_a_collection_holds_both_once(online: Hub, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for repo_id in ("me/mixed", "me/dogs", "me/dogs"):
        assert main(["publish", str(run), "--repo", repo_id, "--collection", "ESRGAN animals"]) == 0
        assert capsys.readouterr().out.strip() == f"{online.url}/{repo_id}/commit/{online[repo_id].commits[-1].oid}"
    (collection,) = online.collections.values()
    assert (collection["title"], [item["id"] for item in collection["items"]]) == (
        "ESRGAN animals",
        ["me/mixed", "me/dogs"],
    )


@pytest.mark.parametrize(
    ("repo_id", "token", "faults", "told"),
    [
        ("me/dogs", "hf_wrong", [], "the token is not accepted: run `hf auth login`, or set HF_TOKEN"),
        ("me/dogs", None, [], "you are not logged in: run `hf auth login`, or set HF_TOKEN"),
        ("you/dogs", "hf_of_me", [], 'the token may not do that, "You don\'t have .+": take one with write access'),
        ("me/dogs", "hf_of_me", [Fault("GET /api/models/me/dogs", 404)], r"an error \(404\)"),
        ("me/dogs", "hf_of_me", [Fault("POST .*/commit/", 409)], r"an error \(409\)"),
        ("me/dogs", "hf_of_me", [Fault("POST .*/commit/", 503)], r"an error \(503\); try again later"),
        ("me/dogs", "hf_of_me", [Fault("POST .*/preupload/", 400)], r"an error \(400\), .made to fail.; its"),
        (
            "me/dogs",
            "hf_of_me",
            [Fault("POST .*/preupload/", 402, message="Subscribe on https://a.example/?token=1 first")],
            r"an error \(402\), .Subscribe on … first.; its",
        ),
        ("me/dogs", "hf_of_me", [Fault("PUT /", 403)], "the token may not do that"),
        ("me/dogs", "hf_of_me", [Fault("POST /api/repos/create", 200, message="<html>")], "cannot be reached"),
        ("dogs/of/me", "hf_of_me", [], "a Hub id is spelt owner/name"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence_and_loses_nothing(
    online: Hub,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    repo_id: str,
    token: str | None,
    faults: list[Fault],
    told: str,
) -> None:
    online.add("you/dogs", {"README.md": b"# Yours"})
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    else:
        monkeypatch.delenv("HF_TOKEN")
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(run / "no token"))
    before = gather(run)
    online.faults += faults
    assert main(["publish", str(run), "--repo", repo_id]) == 1
    sentence = caplog.records[-1].getMessage()
    assert re.search(told, sentence)
    assert sentence.startswith(f"{repo_id}: ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "hf_" not in sentence
    assert gather(run) == before
    assert all(len(repository.commits) == 1 for repository in online.repositories.values())
    monkeypatch.setenv("HF_TOKEN", "hf_of_me")
    publish(gather(run), "me/dogs")
    assert complete(online, "me/dogs", run)


def test_a_hub_that_stumbles_twice_is_asked_again(online: Hub, run: Path) -> None:
    online.faults = [Fault("POST .*/preupload/", 503, times=2)]
    publish(gather(run), "me/dogs")
    assert complete(online, "me/dogs", run)
    assert sum("preupload" in request for request in online.requests) == 3


def test_who_publishes_at_the_same_time_is_not_overwritten(online: Hub, run: Path) -> None:
    publish(gather(run), "me/dogs")

    def other() -> None:
        online["me/dogs"].commit(
            "other", online["me/dogs"].commits[-1].files | {"LICENSE": online.keep("LICENSE", b"")}
        )

    (run / "history.csv").write_text("stage,step,pixel\n")
    online.faults = [Fault("POST .*/commit/", None, meanwhile=other)]
    with pytest.raises(HubError, match="somebody else changed the repository at the same time; do it again"):
        publish(gather(run), "me/dogs")
    assert online["me/dogs"].commits[-1].title == "other"
    publish(gather(run), "me/dogs")
    assert online["me/dogs"].commits[-1].files.keys() > {"LICENSE", "history.csv"}
    assert online["me/dogs"].commits[-1].changed == {"history.csv"}


def test_killed_in_the_middle_and_run_again(online: Hub, run: Path, tmp_path: Path) -> None:
    ready = threading.Event()
    command = [sys.executable, "-m", "esrgan", "publish", str(run), "--repo", "me/dogs"]

    def kill() -> None:
        assert ready.wait(60)
        client.kill()
        client.wait()

    online.faults = [Fault("PUT /", None, meanwhile=kill)]
    client = subprocess.Popen(command, cwd=ROOT, env=online.environment(tmp_path / "home"), stderr=subprocess.DEVNULL)
    ready.set()
    assert client.wait(120) < 0
    assert len(online["me/dogs"].commits) == 1
    publish(gather(run), "me/dogs")
    assert complete(online, "me/dogs", run)
    assert same(Generator.from_pretrained("me/dogs"), Generator.from_pretrained(run / "gan"))


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET /[0-9a-f]{64}", None, cut=True),
        Fault("GET /me/dogs/resolve/main/config.json", None, cut=True),
    ],
    ids=["weights", "config"],
)
def test_a_download_that_broke_off_is_taken_up_again(online: Hub, run: Path, fault: Fault) -> None:
    publish(gather(run), "me/dogs")
    online.faults = [fault]
    assert same(Generator.from_pretrained("me/dogs"), Generator.from_pretrained(run / "gan"))
    assert not fault.times, "nothing broke off"


def test_a_hub_that_is_down_is_told_apart_from_one_that_refuses(
    online: Hub, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(gather(run), "me/dogs")
    online.faults = [Fault("HEAD .*", 520)]  # 503 would be asked for again for half a minute
    with pytest.raises(HubUnreachable, match=r"^me/dogs: not to be had from the Hub; .* \(520\); try again later\.$"):
        Generator.from_pretrained("me/dogs")
    with monkeypatch.context() as patched:
        patched.setattr(constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(HubUnreachable, match=r"HF_HUB_OFFLINE keeps from asking\.$"):
            Generator.from_pretrained("me/dogs")
    online.faults = [Fault("HEAD .*", 403)]
    with pytest.raises(WeightsError, match="the token may not do that") as refused:
        Generator.from_pretrained("me/dogs")
    assert not isinstance(refused.value, HubUnreachable)
    online.faults = [Fault("GET /[0-9a-f]{64}", 503)]
    with pytest.raises(HubUnreachable, match=r"an error \(503\); try again later\.$"):
        Generator.from_pretrained("me/dogs")
    with pytest.raises(WeightsError, match="there is no such revision"):
        Generator.from_pretrained("me/dogs", revision="v9")
    with pytest.raises(WeightsError, match="there is no such repository"):
        Generator.from_pretrained("me/cats")
    with pytest.raises(HubUnreachable, match="not in the cache, and the Hub was not to be asked"):
        Generator.from_pretrained("me/dogs", local_files_only=True)
    Generator.from_pretrained("me/dogs")  # a failed one leaves nothing that is in the way
    online.faults = [Fault(".*", 520, times=100)]
    for options in ({}, {"local_files_only": True}):
        assert same(Generator.from_pretrained("me/dogs", **options), Generator.from_pretrained(run / "gan"))


def spoil(kind: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {
        "pickle": {"config.json": files["config.json"], "pytorch_model.bin": pickle.dumps(files)},
        "keys": files | {"model.safetensors": save({"conv_first.weight": torch.zeros(8, 3, 3, 3)})},
        "truncated": files | {"model.safetensors": files["model.safetensors"][:-7]},
        "config": files | {"config.json": b'{"num_blocks": 9}'},
    }[kind]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("pickle", "me/bad: no model.safetensors there; .* a pickle can run code"),
        ("keys", "missing: conv_first.bias, "),
        ("truncated", "not a readable safetensors file"),
        ("config", "missing: body.1.rdb1"),
    ],
)
def test_a_repository_with_the_wrong_files_is_refused_with_the_reason(
    online: Hub, run: Path, kind: str, told: str
) -> None:
    online.add("me/bad", spoil(kind, gather(run)))
    with pytest.raises(WeightsError, match=told):
        Generator.from_pretrained("me/bad")


def test_what_does_not_load_is_not_published(online: Hub, run: Path, caplog: pytest.LogCaptureFixture) -> None:
    weights = run / "gan" / "model.psnr.safetensors"
    for spoilt, told in (
        (lambda: weights.write_bytes(weights.read_bytes()[:-1]), "not a readable safetensors file"),
        (
            lambda: (weights.unlink(), (run / "gan" / "model.safetensors").unlink()),
            "no model.safetensors in this folder",
        ),
        ((run / "gan" / "README.md").unlink, "no README.md in this folder"),
        ((run / "gan" / "config.json").unlink, "no model in this folder"),
    ):
        spoilt()
        assert main(["publish", str(run), "--repo", "me/dogs"]) == 1
        assert told in caplog.records[-1].getMessage()
    assert not online.repositories


def test_a_name_without_an_owner_makes_no_repository(online: Hub, run: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main(["publish", str(run), "--repo", "dogs"]) == 1
    assert caplog.records[-1].getMessage() == "dogs: a Hub id is spelt owner/name."
    assert not online.repositories


def test_a_run_for_photos_with_noise_is_published_as_a_stage(online: Hub, run: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    camera = Generator(**Generator.from_pretrained(run).config)
    camera.save_pretrained(tmp_path / "camera" / "gan")
    assert main(["publish", str(run), "--repo", "me/dogs", "--camera", str(tmp_path / "camera")]) == 0
    assert main(["publish", str(run), "--repo", "me/dogs", "--license", "mit"]) == 0, "which leaves it there"
    pulled = Generator.from_pretrained("me/dogs:camera")
    assert torch.equal(pulled.conv_first.weight, camera.conv_first.weight.half().float())
    Generator(1, 4, 4).save_pretrained(tmp_path / "other")
    with pytest.raises(WeightsError, match="of another architecture"):
        gather(run, tmp_path / "other")


def test_a_generator_pushes_itself_with_its_other_stages(online: Hub) -> None:
    stages = {"gan": Generator(1, 8, 4), "psnr": Generator(1, 8, 4), "camera": Generator(1, 8, 4)}
    address = stages["gan"].push_to_hub("me/cats", psnr=stages["psnr"], camera=stages["camera"])
    assert online["me/cats"].commits[-1].oid in address
    for stage, generator in stages.items():
        found = Generator.from_pretrained("me/cats", stage=stage)
        assert all(torch.equal(found.state_dict()[key], value) for key, value in as_saved(generator).items())
    stages["psnr"].push_to_hub("me/cats", psnr=stages["gan"])
    assert {"model.psnr.safetensors"} == {
        name for name in online["me/cats"].commits[-1].files if name.startswith("model.") and name.count(".") == 2
    }


def test_one_stage_alone_says_so(online: Hub, run: Path) -> None:
    (run / "gan" / "model.psnr.safetensors").unlink()
    publish(gather(run), "me/dogs")
    with pytest.raises(NoSuchStage, match="without the weights of its L1 stage"):
        Generator.from_pretrained("me/dogs", stage="psnr")


def test_uploads_run_beside_what_goes_on(online: Hub, run: Path) -> None:
    go_on, arrived = threading.Event(), threading.Event()

    def hang() -> None:
        arrived.set()
        assert go_on.wait(60)

    uploads = Uploads(run, "me/dogs")
    uploads.pending.result()
    online.faults = [Fault("POST .*/commit/", None, meanwhile=hang)]
    uploads.start(run / "gan")
    assert arrived.wait(60)
    uploads.start(run / "gan")  # one is under way
    (run / "history.csv").write_text("stage,step,pixel\n")
    go_on.set()
    assert uploads.finish().endswith(online["me/dogs"].commits[-1].oid)
    assert [commit.changed == {"history.csv"} for commit in online["me/dogs"].commits[1:]] == [False, True]


def test_the_checkpoint_of_a_stop_is_published_although_another_is_under_way(
    online: Hub, run: Path, tmp_path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()
    online.faults = [Fault("POST .*/commit/", None, meanwhile=lambda: stopped.wait(60))]

    def save(self: Checkpoints, accelerator: Accelerator, progress: Progress, *rest: Any) -> None:
        write(self, accelerator, progress, *rest)
        if progress.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        elif progress.step == 3:
            threading.Timer(0.2, stopped.set).start()

    write = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", save)
    more = ("--push_to_hub", "--hub_model_id=me/dogs", "--hub_strategy=checkpoint")
    assert train_here(tmp_path / "stopped", *PSNR, *more)[0] == 130
    files = online["me/dogs"].commits[-1].files
    assert {name.split("/")[2] for name in files if "/checkpoints/" in name} == {"psnr-000003"}


def test_an_upload_beside_that_fails_stops_nothing(online: Hub, run: Path, caplog: pytest.LogCaptureFixture) -> None:
    online.faults = [Fault("POST /api/repos/create", times=2)]
    uploads = Uploads(run, "me/dogs", private=True)
    uploads.pending.result()
    uploads.start(run / "gan")
    uploads.pending.result()
    uploads.start(run / "gone")
    assert [record.getMessage().rpartition("; ")[2] for record in caplog.records] == [
        "its end will try again.",
        "the next checkpoint will try again.",
        "the next checkpoint will try again.",
    ]
    uploads.finish()
    assert complete(online, "me/dogs", run)
    assert online["me/dogs"].private


def test_training_ends_although_the_token_is_bad_and_the_command_it_gives_publishes(hub: Hub, tmp_path: Path) -> None:
    run, photos = tmp_path / "a run", make_photos(tmp_path / "photos")
    more = ("--push_to_hub", "--hub_model_id=me/dogs", "--hub_private_repo", "--hub_strategy=checkpoint")
    done = subprocess.run(
        [sys.executable, "train.py", *arguments(photos, run, *PSNR, *more)],
        cwd=ROOT,
        env=hub.environment(tmp_path / "home", "hf_wrong"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert (
        "me/dogs: the token is not accepted: run `hf auth login`, or set HF_TOKEN. The training goes on" in done.stderr
    )
    assert "hf_wrong" not in done.stdout + done.stderr
    Generator.from_pretrained(run / "psnr")
    assert (run / "curves.png").is_file()
    assert not hub.repositories
    told = done.stderr.splitlines()[-1]
    assert told.startswith("train.py: me/dogs: the token is not accepted")
    _, *command = shlex.split(told.partition("publish it by: ")[2])
    again = hub.environment(tmp_path / "home")
    subprocess.run([sys.executable, *command], cwd=ROOT, env=again, check=True, stdout=subprocess.DEVNULL)
    assert complete(hub, "me/dogs", run)
    assert hub["me/dogs"].private


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--push_to_hub"], "--push_to_hub: needs --hub_model_id owner/name"),
        (["--push_to_hub", "--hub_model_id=dogs"], "--push_to_hub: needs --hub_model_id owner/name"),
        (["--hub_model_id=me/dogs"], "--hub_model_id: needs --push_to_hub"),
        (["--hub_private_repo"], "--hub_private_repo: needs --push_to_hub"),
        (["--hub_strategy=checkpoint"], "--hub_strategy: needs --push_to_hub"),
    ],
)
def test_half_of_what_pushing_takes_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: str
) -> None:
    import train

    with pytest.raises(SystemExit):
        train.parse([f"--output_dir={tmp_path}", "--train_data_dir=photos", *more])
    assert told in capsys.readouterr().err


def test_an_upload_that_is_interrupted_tells_how_to_publish_the_training(
    online: Hub, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    uploads = Uploads(run, "me/dogs")
    monkeypatch.setattr("esrgan.hub.uploads.publish", interrupt)
    with pytest.raises(HubError, match=r"stopped before all was published\. The training is complete in .* by: python"):
        uploads.finish()
