"""The API over a real socket: what it takes, what it answers, what it refuses."""

from __future__ import annotations

import asyncio
import base64
import html
import io
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hosting
import model_files as models
import numpy as np
import pytest
from PIL import Image
from web_server import ROOT, WebServer, environment, serving

from edgeclf import Classifier
from edgeclf.embedder import Embedder
from edgeclf.inputs import fetch

httpx = pytest.importorskip("httpx", reason="httpx is not installed: edgeclf[web]")

from starlette.templating import Jinja2Templates  # noqa: E402

from edgeclf.web import intake, loaded_model  # noqa: E402
from edgeclf.web.engine import Engine  # noqa: E402
from edgeclf.web.schemas import GivenPicture  # noqa: E402
from edgeclf.web.service import Service  # noqa: E402
from edgeclf.web.settings import WebSettings  # noqa: E402

TEXT = b"This is no picture."


def png(color: str = "red", size: tuple[int, int] = (20, 10)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, models.PIXELS[color]).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("api") / "colors.tflite"
    path.write_bytes(models.own())
    return path


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[WebServer]:
    with serving("--model", model, "--max_mb", 1, "--max_images", 4) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: WebServer) -> Iterator[Any]:
    with httpx.Client(base_url=server.url, timeout=30) as connected:
        yield connected


def field(name: str, content: bytes) -> tuple[str, tuple[str, bytes]]:
    return "image", (name, content)


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def problem(response: Any, status: int) -> dict[str, Any]:
    """Return the problem that an answer is."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["status"] == status
    assert found["type"] == f"/api#status-{status}"
    assert found["title"]
    return found


def expected(path: Path, *contents: bytes) -> list[list[dict[str, Any]]]:
    with Classifier(path) as classifier:
        return [[*map(vars, classifier.classify(content))] for content in contents]


def test_classify_takes_several_fields_of_multipart(client: Any, model: Path) -> None:
    red, blue = png("red"), png("blue")
    files = [field("a.png", red), field("b.png", blue), field("c.txt", TEXT)]
    answer = client.post("/v1/classify", files=files)
    assert answer.status_code == 200
    of_red, of_blue = expected(model, red, blue)
    first, second, third = answer.json()["results"]
    assert first == {"image": "a.png", "categories": of_red}
    assert second == {"image": "b.png", "categories": of_blue}
    assert third["image"] == "c.txt"
    assert third["error"].startswith("c.txt is not a picture")
    assert answer.json()["model"]["name"] == "colors.tflite"
    assert len(answer.json()["model"]["sha256"]) == 64
    assert answer.headers["server-timing"].startswith("read;dur=")


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", None])
def test_classify_takes_the_picture_itself(
    client: Any, model: Path, kind: str | None
) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = client.post("/v1/classify", content=png("green"), headers=headers)
    assert answer.json()["results"] == [
        {"image": "picture 1", "categories": expected(model, png("green"))[0]}
    ]


def test_classify_takes_json(client: Any, model: Path) -> None:
    red = png("red")
    images = [
        {"base64": in_base64(red), "name": "folder/plate.png"},
        {"base64": f"data:image/png;base64,{in_base64(red)}"},
        {"base64": "no base64!"},
        {"base64": "data:image/png,raw"},
    ]
    answer = client.post("/v1/classify", json={"images": images, "top_k": 1})
    first, second, third, fourth = answer.json()["results"]
    assert first == {"image": "plate.png", "categories": expected(model, red)[0][:1]}
    assert second == {"image": "picture 2", "categories": first["categories"]}
    assert third["error"].startswith("picture 3: expected base64, received: ")
    assert fourth["error"] == "picture 4: expected a data: URL with ;base64."


def test_classify_fetches_addresses_from_where_it_may(client: Any, model: Path) -> None:
    with (
        hosting.running() as host,
        serving("--model", model, "--allow_private", "--max_mb", 1) as free,
    ):
        host.files["/red.png"] = png("red")
        host.files["/large.png"] = bytes(1_100_000)
        images = [
            {"url": f"{host.address}/red.png"},
            {"url": f"{host.address}/none.png", "name": "none"},
            {"base64": in_base64(png("blue"))},
            {"url": f"{host.address}/large.png"},
            {"url": "file:///etc/passwd"},
        ]
        answer = httpx.post(f"{free.url}/v1/classify", json={"images": images})
        red, none, blue, large, file = answer.json()["results"]
        assert red == {
            "image": f"{host.address}/red.png",
            "categories": expected(model, png("red"))[0],
        }
        assert "the server answered 404" in none["error"]
        assert blue["categories"][0]["label"] == "blue"
        assert "it is larger than" in large["error"]
        assert "Expected" in file["error"] or "Cannot fetch" in file["error"]
        before = len(host.requests)
        refused = client.post("/v1/classify", json={"images": images[:1]})
        error = problem(refused, 422)["results"][0]["error"]
        assert "127.0.0.1" in error
        assert len(host.requests) == before


def test_a_text_of_blanks_takes_no_more_memory_than_it_is_long() -> None:
    text = in_base64(png("red"))
    blanks = "a " * 10**6
    tracemalloc.start()
    try:
        found = intake._decoded(GivenPicture(base64=blanks), 1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found is not None
    assert found.content is not None
    assert peak < 3 * len(blanks)
    found = intake._decoded(GivenPicture(base64=f" {text[:9]}\r\n{text[9:]}\t"), 1)
    assert found == intake.Picture("picture 1", png("red"))


def test_fetches_wait_for_each_other_without_threads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    may_end = threading.Event()
    held: list[int] = []

    def slow(url: str, **_: object) -> bytes:
        may_end.wait(10)
        return url.encode()

    def fetching() -> int:
        return sum(thread.name == "fetch" for thread in threading.enumerate())

    async def asked() -> list[list[intake.Picture]]:
        fetchers = [intake._Fetcher(service, held.append) for _ in range(10)]
        given = [GivenPicture(url=f"http://a/{number}") for number in range(4)]
        waiting = [
            asyncio.create_task(each.fetch_all(given, [None] * 4)) for each in fetchers
        ]
        await asyncio.sleep(0.2)
        assert fetching() == 2 * intake.FETCHES
        may_end.set()
        return await asyncio.gather(*waiting)

    monkeypatch.setattr(fetch, "fetch_image", slow)
    engine = Engine(1, 1)
    service = Service(WebSettings(), engine, None, Jinja2Templates(tmp_path))
    try:
        found = asyncio.run(asked())
    finally:
        may_end.set()
        engine.close()
    assert sum(held) == 40 * len("http://a/0")
    assert all(
        [each.content for each in one]
        == [f"http://a/{number}".encode() for number in range(4)]
        for one in found
    )


def test_names_are_echoed_without_folders_and_control_characters(client: Any) -> None:
    names = ["../../etc/passwd", "C:\\temp\\żaba 🐸.png", "a\tb\x07.png", "n" * 999]
    images = [{"base64": in_base64(png()), "name": name} for name in names]
    answer = client.post("/v1/classify", json={"images": images})
    assert [each["image"] for each in answer.json()["results"]] == [
        "passwd",
        "żaba 🐸.png",
        "ab.png",
        "n" * 255,
    ]
    sent = client.post("/v1/classify", files=[field("../żaba 🐸.png", png())])
    assert sent.json()["results"][0]["image"] == "żaba 🐸.png"


def test_options_stand_in_the_address_and_in_json(client: Any, model: Path) -> None:
    [categories] = expected(model, png("red"))
    url = "/v1/classify?top_k=2&reject=true"
    answer = client.post(url, files=[field("a.png", png("red"))])
    assert answer.json()["results"][0]["categories"] == categories[:2]
    # What stands in the body is nearer to the pictures.
    asked = {"images": [{"base64": in_base64(png("red"))}], "top_k": 3}
    answer = client.post(url, json=asked)
    assert answer.json()["results"][0]["categories"] == categories
    answer = client.post("/v1/classify?score_threshold=0.9", content=png("red"))
    assert answer.json()["results"][0]["categories"] == [
        each for each in categories if each["score"] >= 0.9
    ]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("top_k=0", "top_k"),
        ("top_k=many", "top_k"),
        ("score_threshold=2", "score_threshold"),
        ("score_threshold=nan", "score_threshold"),
        ("reject=perhaps", "reject"),
        ("topk=3", "Known here: top_k, score_threshold, reject."),
        ("top_k=2&top_k=3", "top_k several times"),
        ("%FF%00=%ED%A0%80", "Extra inputs"),
    ],
)
def test_options_outside_their_range_are_named(
    client: Any, query: str, named: str
) -> None:
    answer = client.post(f"/v1/classify?{query}", content=png())
    assert named in problem(answer, 422)["detail"]


@pytest.mark.parametrize(
    ("status", "kind", "body", "says"),
    [
        (400, "application/json", b"{", "Expected JSON in UTF-8"),
        (400, "application/json", b"\xff\xfe{", "Expected JSON in UTF-8"),
        (400, "application/json", b"[" * 500, "Expected JSON in UTF-8"),
        (400, "multipart/form-data", b"", "there is no boundary"),
        (400, "multipart/form-data; boundary=x", b"", "it was cut short"),
        (400, "multipart/form-data; boundary=x", b"nothing", "a body that is not"),
        (400, f"multipart/form-data; boundary={'x' * 999}", b"", "Boundary length"),
        (415, "text/plain", b"a", "Received: text/plain"),
        (415, "application/x-www-form-urlencoded", b"image=1", "multipart/form-data"),
        (422, "application/json", b"[]", "Expected what /api describes"),
        (422, "application/json", b'{"images": []}', "images"),
        (422, "application/json", b'{"images": [], "reject": 1}', "reject"),
        (422, "application/json", b'{"topk": 1}', "Known here: images, top_k"),
        (422, "application/json", b'{"images": [{}]}', "base64 or url"),
        (400, "application/json", b'{"\\ud800": 1}', "Expected JSON in UTF-8"),
        (422, "application/json", b'{"images": [{"url": 1}]}', "images.0.url"),
        (422, "image/png", b"", "an empty body"),
    ],
)
def test_bodies_that_cannot_be_used_are_problems(
    client: Any, status: int, kind: str, body: bytes, says: str
) -> None:
    headers = {"Content-Type": kind}
    answer = client.post("/v1/classify", content=body, headers=headers)
    assert says in problem(answer, status)["detail"]


def test_another_field_of_multipart_is_refused_by_name(client: Any) -> None:
    files = [field("a.png", png()), ("file", ("b.png", png()))]
    answer = client.post("/v1/classify", files=files)
    found = problem(answer, 422)
    assert "'image'" in found["detail"]
    assert found["detail"].endswith("Received: a field 'file'.")


def test_without_a_readable_picture_the_problem_tells_of_each(client: Any) -> None:
    files = [field("a.txt", TEXT), field("b.txt", b"")]
    found = problem(client.post("/v1/classify", files=files), 422)
    assert found["title"] == "No readable picture"
    assert [each["image"] for each in found["results"]] == ["a.txt", "b.txt"]
    assert found["results"][1]["error"] == "b.txt is empty (0 bytes)."
    assert found["detail"] == f"{found['results'][0]['error']} And 1 more."


def test_too_much_is_refused(client: Any) -> None:
    pictures = [field("a.png", png())] * 5
    found = problem(client.post("/v1/classify", files=pictures), 422)
    assert "at most 4 pictures" in found["detail"]
    images = [{"base64": in_base64(png())}] * 5
    found = problem(client.post("/v1/classify", json={"images": images}), 422)
    assert "at most 4 pictures" in found["detail"]
    crowd = b'{"images": [' + b'{"url": "a"},' * 70_000 + b"{}]}"
    headers = {"Content-Type": "application/json"}
    answer = client.post("/v1/classify", content=crowd, headers=headers)
    assert "at most 4 pictures" in problem(answer, 422)["detail"]
    # Announced, and in pieces of which nobody knows how many come.
    large = bytes(1_000_001)
    problem(client.post("/v1/classify", content=large), 413)
    problem(client.post("/v1/classify", content=iter([large[:600_000]] * 2)), 413)
    # A larger --max_mb would be of no use there.
    told = problem(client.post("/v1/nothing", content=large), 413)["detail"]
    assert "takes no pictures" in told
    assert "--max_mb" not in told


def test_who_hangs_up_in_between_leaves_no_trace(
    client: Any, server: WebServer
) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = (
            f"POST /v1/classify HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99\r\n\r\n"
        )
        connection.sendall(head.encode() + b"half")
    time.sleep(0.2)
    assert client.get("/healthz").status_code == 200
    assert "Traceback" not in server.log()


def test_a_model_that_is_written_over_stays_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(models.own())
    size_bytes = path.stat().st_size
    with serving("--model", path) as running:
        path.write_bytes(b"another model")
        facts = httpx.get(f"{running.url}/v1/model").json()
        assert facts["size_bytes"] == size_bytes
        for operation in ("classify", "embed", "heatmap"):
            answer = httpx.post(f"{running.url}/v1/{operation}", content=png())
            assert answer.is_success, answer.text


def test_a_model_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content := models.own())

    def after_a_copy(*arguments: Any, **named: Any) -> Classifier:
        path.write_bytes(b"another model")
        return Classifier(*arguments, **named)

    monkeypatch.setattr(loaded_model, "Classifier", after_a_copy)
    model = loaded_model.LoadedModel(path)
    assert model.content == content
    assert model.classifier.labels == tuple(models.COLORS)
    model.close()


def test_other_addresses_and_methods_are_problems(client: Any) -> None:
    assert "/api" in problem(client.get("/v1/nothing"), 404)["detail"]
    answer = client.get("/v1/classify")
    assert problem(answer, 405)["detail"].startswith("Expected POST")
    assert answer.headers["allow"] == "POST"
    page = client.get("/nothing", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "There is nothing at this address" in page.text


@pytest.mark.parametrize("operation", ["embed", "heatmap"])
def test_options_that_an_operation_has_not_are_refused_in_json_too(
    client: Any, operation: str
) -> None:
    asked = {"images": [{"base64": in_base64(png())}], "top_k": 3}
    answer = client.post(f"/v1/{operation}", json=asked)
    assert "top_k: Extra inputs" in problem(answer, 422)["detail"]
    del asked["top_k"]
    assert client.post(f"/v1/{operation}", json=asked).is_success


def test_head_is_answered_as_get_without_the_body(client: Any) -> None:
    for path in ("/", "/healthz", "/metrics", "/v1/model", "/static/style.css"):
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path
        assert (
            answer.headers["content-type"] == client.get(path).headers["content-type"]
        )
    assert client.head("/v1/classify").headers["allow"] == "POST"
    assert client.head("/none").status_code == 404
    told = client.get("/metrics").text
    assert 'method="HEAD",route="/v1/model",status="200"' in told
    client.get("/openapi.json")
    assert (
        'method="GET",route="/openapi.json",status="200"' in client.get("/metrics").text
    )


def test_embed_gives_the_vectors_of_the_embedder(client: Any, model: Path) -> None:
    files = [field("a.png", png("red")), field("b.txt", TEXT)]
    answer = client.post("/v1/embed", files=files).json()
    with Embedder(model) as embedder:
        vector = embedder.embed(png("red"))
    assert answer["depth"] == len(vector)
    np.testing.assert_array_equal(np.float32(answer["results"][0]["vector"]), vector)
    assert answer["results"][1]["error"].startswith("b.txt is not a picture")
    told = problem(client.post("/v1/embed?top_k=3", content=png()), 422)["detail"]
    assert "top_k" in told
    assert told.endswith("Known here: none.")


def test_heat_map_of_an_unknown_class_or_two_pictures_is_refused(client: Any) -> None:
    answer = client.post("/v1/heatmap?label=violet", content=png())
    assert "Received: violet" in problem(answer, 422)["detail"]
    for label, said in (("00000000012", "00000000012"), ("%00", "?")):
        answer = client.post(f"/v1/heatmap?label={label}", content=png())
        assert f"Received: {said}." in problem(answer, 422)["detail"]
    pictures = [field("a.png", png())] * 2
    answer = client.post("/v1/heatmap", files=pictures)
    assert problem(answer, 422)["detail"] == "Expected one picture. Received: 2."


def test_heat_map_is_a_picture(client: Any) -> None:
    for query in ("", "?label=blue", "?label=2"):
        answer = client.post(f"/v1/heatmap{query}", content=png("blue", (60, 40)))
        assert answer.headers["content-type"] == "image/png", answer.text
        with Image.open(io.BytesIO(answer.content)) as image:
            assert image.format == "PNG"


def test_model_health_and_metrics(client: Any, model: Path) -> None:
    told = client.get("/v1/model").json()
    assert told["labels"] == list(models.COLORS)
    assert told["size_bytes"] == model.stat().st_size
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.head("/healthz").status_code == 200
    assert client.post("/healthz").headers["allow"] == "GET"
    before = counted(client, 'edgeclf_pictures_total{outcome="labelled"}')
    failed = counted(client, 'edgeclf_pictures_total{outcome="failed"}')
    client.post("/v1/classify", files=[field("a", png()), field("b", TEXT)])
    assert counted(client, 'edgeclf_pictures_total{outcome="labelled"}') == before + 1
    assert counted(client, 'edgeclf_pictures_total{outcome="failed"}') == failed + 1
    client.get("/v1/secret-name-of-somebody")
    text = client.get("/metrics").text
    assert 'method="POST",route="/v1/classify",status="200"' in text
    assert 'method="GET",route="other",status="404"' in text
    assert "secret-name" not in text
    assert counted(client, "edgeclf_queue_length") == 0
    assert 'model="colors.tflite"' in text
    assert "process_start_time_seconds" in text


def counted(client: Any, name: str) -> float:
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"no {name}")


def test_each_of_many_at_once_gets_its_own_answer_or_is_told_to_wait(
    model: Path,
) -> None:
    pictures = {color: png(color, (1200, 900)) for color in models.COLORS}
    colors = [*models.COLORS] * 22

    def ask(color: str) -> tuple[str, Any]:
        name = f"{color}.png"
        files = [field(name, pictures[color])]
        return name, many.post("/v1/classify?top_k=1", files=files)

    with (
        serving("--model", model, "--queue", 3, "--workers", 1) as running,
        httpx.Client(base_url=running.url, timeout=60) as many,
        ThreadPoolExecutor(64) as threads,
    ):
        answers = [*threads.map(ask, colors[:64])]
    busy = 0
    for name, answer in answers:
        if answer.status_code == 503:
            busy += 1
            assert int(answer.headers["retry-after"]) >= 1
            problem(answer, 503)
            continue
        assert answer.status_code == 200, answer.text
        [result] = answer.json()["results"]
        assert result["image"] == name
        assert result["categories"][0]["label"] == name.removesuffix(".png")
    assert 0 < busy < 64


def test_answers_are_those_of_label_image(shared: Path) -> None:
    """For every awkward file, and some ordinary ones; errors word by word."""
    model = shared / "models" / "mobilenet_v1_0.5_160_quant.tflite"
    messy = [each for each in (shared / "data" / "messy").iterdir() if each.is_file()]
    flowers = sorted((shared / "data" / "flowers").rglob("*.jpg"))
    with serving("--model", model, "--max_images", 200) as running:
        files = [*sorted(messy), *flowers[:: max(1, len(flowers) // 40)]]
        compare(running.url, model, files)


def compare(url: str, model: Path, files: list[Path]) -> None:
    command = [sys.executable, "-m", "edgeclf", "label_image", "--model", str(model)]
    command += ["--json", *(f"--image={each}" for each in files)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60
    )
    lines = [*map(json.loads, done.stdout.splitlines())]
    assert len(lines) == len(files), done.stderr
    sent = [field(each.name, each.read_bytes()) for each in files]
    answer = httpx.post(f"{url}/v1/classify", files=sent, timeout=60)
    for file, line, result in zip(files, lines, answer.json()["results"], strict=True):
        wanted = {**line, "image": file.name}
        if "error" in line:
            wanted["error"] = line["error"].replace(str(file), file.name)
        assert result == wanted


def test_description_is_valid_and_its_examples_are_too(client: Any) -> None:
    jsonschema = pytest.importorskip(
        "jsonschema_rs", reason="schemathesis is not installed: edgeclf[dev]"
    )
    document = client.get("/openapi.json").json()
    assert document["servers"] == [{"url": "/"}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert {path for path in document["paths"] if path.startswith("/v1")} == {
        "/v1/classify",
        "/v1/embed",
        "/v1/heatmap",
        "/v1/model",
    }
    seen = 0
    for operations in document["paths"].values():
        for operation in operations.values():
            bodies = [operation.get("requestBody", {})]
            for part in (*bodies, *operation["responses"].values()):
                for content in part.get("content", {}).values():
                    examples = [
                        e["value"] for e in content.get("examples", {}).values()
                    ]
                    examples += [content["example"]] if "example" in content else []
                    for example in examples:
                        schema = {
                            **content["schema"],
                            "components": document["components"],
                        }
                        jsonschema.validate(schema, example)
                        seen += 1
    assert seen > 30


def test_token_is_part_of_the_description(model: Path) -> None:
    with serving(
        "--model", model, env={"EDGECLF_TOKEN": "long-enough-and-secret"}
    ) as running:
        assert httpx.get(f"{running.url}/healthz").status_code == 200
        problem(httpx.post(f"{running.url}/v1/classify", content=png()), 401)
        bearer = {"Authorization": "Bearer long-enough-and-secret"}
        document = httpx.get(f"{running.url}/openapi.json", headers=bearer).json()
        assert document["security"] == [{"bearer": []}]
        answer = httpx.post(f"{running.url}/v1/classify", content=png(), headers=bearer)
        assert answer.status_code == 200


def test_without_a_model_the_problem_says_so(tmp_path: Path) -> None:
    with serving("--teach", tmp_path / "projects") as running:
        assert httpx.get(f"{running.url}/healthz").json() == {"status": "ok"}
        answer = httpx.post(f"{running.url}/v1/classify", content=png())
        assert "without --model" in problem(answer, 404)["detail"]


def test_clients_send_the_token_and_say_what_is_wrong(
    model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "plate.png"
    path.write_bytes(png("green"))
    static = Path(intake.__file__).parent / "static"
    good, bad = {"EDGECLF_TOKEN": "long-enough-and-secret"}, {"EDGECLF_TOKEN": "x"}
    commands = [[sys.executable, str(static / "client.py")]]
    if shutil.which("curl") is not None:
        commands.append(["sh", str(static / "client.sh")])
    if shutil.which("node") is not None:
        code = (
            f"import {{ classify }} from {json.dumps((static / 'client.mjs').as_uri())}"
            ";import fs from 'node:fs';const [url, file] = process.argv.slice(-2);"
            "classify(url, fs.readFileSync(file)).then((found) => "
            "console.log(found[0].label)).catch((error) => { "
            "console.error(error.message); process.exitCode = 1; })"
        )
        script = tmp_path / "call.mjs"
        script.write_text(code)
        commands.append(["node", str(script)])
    with serving("--model", model, env=good) as running:
        for command in commands:
            for variables, said in ((good, "green"), (bad, "Expected the header")):
                done = subprocess.run(
                    [*command, running.url, str(path)],
                    env=environment(variables),
                    capture_output=True,
                    text=True,
                )
                assert (done.returncode == 0) == (variables is good)
                assert said in done.stdout + done.stderr
                assert "Traceback" not in done.stderr


def test_clients_label_a_picture(server: WebServer, tmp_path: Path) -> None:
    path = tmp_path / "plate.png"
    path.write_bytes(png("green"))
    static = Path(intake.__file__).parent / "static"
    command = [sys.executable, str(static / "client.py"), server.url, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("green 0.")
    for url, file, words in (
        (server.url, static / "client.sh", "is not a picture"),
        (server.url, tmp_path / "none.png", "No such file"),
        ("http://127.0.0.1:9", path, "refused"),
    ):
        command = [sys.executable, str(static / "client.py"), url, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    awkward = tmp_path / 'a;b, "c" \\d.png'
    awkward.write_bytes(png("blue"))
    command = ["sh", str(static / "client.sh"), server.url, str(path), str(awkward)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)["results"]) == 2
    page = httpx.get(f"{server.url}/api").text
    for name in ("client.py", "client.sh", "client.mjs"):
        first_line = (static / name).read_text(encoding="utf-8").splitlines()[0]
        assert (
            html.escape(first_line, quote=True)
            .replace("&#x27;", "&#39;")
            .replace("&quot;", "&#34;")
            in page
        )
    assert 'id="status-503"' in page
    assert "but 400 for what is no HTTP, is" in page


def test_a_page_is_told_of_private_addresses_without_options(client: Any) -> None:
    images = {"images": [{"url": "http://127.0.0.1:9/red.png"}]}
    detail = problem(client.post("/predict/picture", json=images), 422)["detail"]
    assert detail.endswith(": this server fetches only from public addresses.")
    assert "allow_private" not in detail
