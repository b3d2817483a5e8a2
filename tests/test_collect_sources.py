"""Searches against a local server that answers as the services document."""

from __future__ import annotations

import html
import json
import sys
import time
import urllib.parse
from collections.abc import Iterator
from itertools import islice

import hosting
import pytest

from edgeclf.collecting import engines, licenses, openverse, wikimedia
from edgeclf.collecting.answers import (
    MAX_ADDRESS,
    address_of,
    plain_text,
    text_of,
)
from edgeclf.collecting.searches import LICENSED, SOURCES, search
from edgeclf.collecting.web import Manners, Web
from edgeclf.errors import DownloadError, MissingExtraError

BY = "https://creativecommons.org/licenses/by/4.0/"
NC = "https://creativecommons.org/licenses/by-nc/2.0/"
ZERO = "https://creativecommons.org/publicdomain/zero/1.0/"


class Service:
    """Pages of a service's answers, by the number of the request."""

    def __init__(self, server: hosting.Server) -> None:
        self.server = server
        self.asked: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []

    def answers(self, *answers: object) -> None:
        """Give these, one a request: JSON, or a behaviour of the server."""
        waiting = list(answers)

        def behave(handler: hosting.Handler, content: bytes) -> None:
            query = urllib.parse.urlsplit(handler.path).query
            self.asked.append(dict(urllib.parse.parse_qsl(query)))
            self.headers.append(dict(handler.headers))
            answer = waiting.pop(0)
            if callable(answer):
                answer(handler, content)
                return
            body = json.dumps(answer).encode()
            hosting.saying(body=body, Content_Type="application/json")(handler, b"")

        self.server.normally = behave


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with hosting.running() as server:
        for name in ("OPENVERSE", "WIKIMEDIA", "FLICKR"):
            monkeypatch.setenv(f"EDGECLF_{name}_URL", f"{server.address}/api")
        monkeypatch.setenv("EDGECLF_FLICKR_KEY", "secret42")
        monkeypatch.delenv("EDGECLF_OPENVERSE_TOKEN", raising=False)
        yield Service(server)


@pytest.fixture
def web() -> Web:
    return Web(
        allow_private=True,
        manners=Manners(attempts=2, backoff_s=0.01),
        contact="me@example.org",
    )


def of_openverse(number: int, license_url: str = BY, **fields: object) -> dict:
    code = licenses.code_of(license_url)
    version = licenses.version_of(license_url)
    return {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "indexed_on": "2020-05-06T17:44:34.170137Z",
        "title": f"Cat {number}",
        "foreign_landing_url": f"https://example.org/pages/{number}",
        "url": f"https://example.org/{number}.jpg",
        "creator": "Ann Łoś",
        "creator_url": "https://example.org/ann",
        "license": code,
        "license_version": version,
        "license_url": license_url,
        "provider": "flickr",
        "source": "flickr",
        "category": None,
        "tags": [{"name": "cat", "accuracy": None}],
        "mature": False,
        "height": 768,
        "width": 1024,
        **fields,
    }


def page_of_openverse(entries: list, page_count: int = 2, page: int = 1) -> dict:
    return {
        "result_count": 22,
        "page_count": page_count,
        "page_size": 20,
        "page": page,
        "results": entries,
    }


def of_wikimedia(number: int, license_url: str | None = BY, **fields: object) -> dict:
    metadata = {
        "Artist": {
            "value": '<a href="//commons.wikimedia.org/wiki/User:A">Ann &amp; B</a>',
            "source": "commons-desc-page",
        },
        "ObjectName": {"value": f"Cat {number}", "source": "mediawiki-metadata"},
        "LicenseShortName": {"value": "CC BY 4.0", "source": "commons-desc-page"},
    }
    if license_url:
        metadata["LicenseUrl"] = {"value": license_url, "source": "x"}
    info = {
        "size": 3_000_000,
        "width": 4000,
        "height": 3000,
        "thumburl": f"https://upload.wikimedia.org/960px-{number}.jpg",
        "thumbwidth": 960,
        "thumbheight": 720,
        "url": f"https://upload.wikimedia.org/{number}.jpg",
        "descriptionurl": f"https://commons.wikimedia.org/wiki/File:{number}.jpg",
        "mime": "image/jpeg",
        "extmetadata": metadata,
        **fields,
    }
    return {
        "pageid": number,
        "ns": 6,
        "title": f"File:{number}.jpg",
        "index": number,
        "imagerepository": "local",
        "imageinfo": [info],
    }


def page_of_wikimedia(pages: list, offset: int | None = None) -> dict:
    answer: dict = {"batchcomplete": True, "query": {"pages": pages}}
    if offset is not None:
        answer["continue"] = {"gsroffset": offset, "continue": "gsroffset||"}
    return answer


FLICKR_LICENSES = {
    "licenses": {
        "license": [
            {"id": 0, "name": "All Rights Reserved", "url": ""},
            {"id": 4, "name": "Attribution License", "url": BY.replace("4.0", "2.0")},
            {"id": 2, "name": "Attribution-NonCommercial License", "url": NC},
            {
                "id": 7,
                "name": "No known copyright restrictions",
                "url": "https://www.flickr.com/commons/usage/",
            },
            {"id": 9, "name": "Public Domain Dedication (CC0)", "url": ZERO},
        ]
    },
    "stat": "ok",
}


def of_flickr(number: int, license_id: str = "4", **fields: object) -> dict:
    return {
        "id": str(number),
        "owner": "12345678@N00",
        "secret": "abc",
        "server": "65535",
        "farm": 66,
        "title": f"Cat {number}",
        "ispublic": 1,
        "isfriend": 0,
        "isfamily": 0,
        "license": license_id,
        "ownername": "Ann",
        "url_l": f"https://live.staticflickr.com/65535/{number}_abc_b.jpg",
        "height_l": 768,
        "width_l": 1024,
        **fields,
    }


def page_of_flickr(entries: list, pages: int = 2, page: int = 1) -> dict:
    return {
        "photos": {
            "page": page,
            "pages": pages,
            "perpage": 100,
            "total": 150,
            "photo": entries,
        },
        "stat": "ok",
    }


# What makes an entry and a page, what is answered before, and what says that a page
# is the last one.
SERVICES = {
    "openverse": (of_openverse, page_of_openverse, [], 1),
    "wikimedia": (of_wikimedia, page_of_wikimedia, [], None),
    "flickr": (of_flickr, page_of_flickr, [FLICKR_LICENSES], 1),
}


def test_openverse_pages_and_says_whose_a_picture_is(service, web):
    service.answers(
        page_of_openverse([of_openverse(n) for n in range(20)]),
        page_of_openverse([of_openverse(n) for n in (20, 21)], page=2),
    )
    found = list(search("openverse", "red cat", ("cat",), web))
    assert [each.url for each in found][-1] == "https://example.org/21.jpg"
    assert len(found) == 22
    first = found[0]
    assert (first.labels, first.source) == (("cat",), "openverse")
    assert first.identifier == "00000000-0000-4000-8000-000000000000"
    assert first.page == "https://example.org/pages/0"
    assert (first.title, first.author) == ("Cat 0", "Ann Łoś")
    assert (first.license, first.license_url) == ("CC BY 4.0", BY)
    assert [asked["page"] for asked in service.asked] == ["1", "2"]
    assert service.asked[0]["q"] == "red cat"
    assert service.asked[0]["page_size"] == "20"
    assert "by-nc-nd" in service.asked[0]["license"].split(",")
    assert "Authorization" not in service.headers[0]
    assert "me@example.org" in service.headers[0]["User-Agent"]


@pytest.mark.parametrize("source", LICENSED)
def test_no_page_is_asked_for_before_it_is_needed(service, web, source):
    first = {
        "openverse": [page_of_openverse([of_openverse(n) for n in range(20)])],
        "wikimedia": [page_of_wikimedia([of_wikimedia(n) for n in range(20)], 50)],
        "flickr": [FLICKR_LICENSES, page_of_flickr([of_flickr(n) for n in range(20)])],
    }[source]
    service.answers(*first)
    found = search(source, "cat", ("cat",), web)
    assert service.asked == []
    assert len(list(islice(found, 20))) == 20
    assert len(service.asked) == len(first)


@pytest.mark.parametrize("source", LICENSED)
def test_repeated_and_empty_pages_end_a_search(service, web, source):
    entries, page, before, _ = SERVICES[source]
    same = [entries(n) for n in range(3)]
    service.answers(*before, page(same, 99), page(same, 100))
    assert len(list(search(source, "cat", ("cat",), web))) == 3
    service.answers(*before, page([], 99))
    assert list(search(source, "cat", ("cat",), web)) == []


@pytest.mark.parametrize("source", LICENSED)
def test_broken_entries_are_passed_over(service, web, source):
    entries, page, before, last = SERVICES[source]
    broken = [None, 7, "text", [], {}, {"id": {}, "pageid": [], "url": 3}]
    if source == "wikimedia":
        broken += [
            of_wikimedia(1, mime="application/pdf"),
            of_wikimedia(2, thumburl="ftp://x/y.jpg", url=None),
            {**of_wikimedia(3), "imageinfo": []},
            {**of_wikimedia(4), "imageinfo": "none", "index": "first"},
        ]
    if source == "flickr":
        broken += [of_flickr(1, url_l=None), of_flickr(2, "0"), of_flickr(3, "77")]
    if source == "openverse":
        broken += [of_openverse(1, url="javascript:alert(1)")]
    service.answers(*before, page([*broken, entries(9)], last))
    (found,) = search(source, "cat", ("cat",), web)
    assert found.title == "Cat 9"


@pytest.mark.parametrize("source", LICENSED)
@pytest.mark.parametrize(
    "answer", [[], {}, None, "text", {"results": {}, "query": [], "photos": {}}]
)
def test_nonsense_becomes_a_sentence(service, web, source, answer):
    service.answers(answer)
    with pytest.raises(DownloadError, match=r"Expected .* in the answer of"):
        list(search(source, "cat", ("cat",), web))


@pytest.mark.parametrize("source", LICENSED)
def test_answers_that_are_no_json_become_a_sentence(service, web, source):
    service.answers(hosting.saying(body=b"<html>", Content_Type="text/html"))
    with pytest.raises(DownloadError, match="Expected JSON from"):
        list(search(source, "cat", ("cat",), web))


@pytest.mark.parametrize("source", LICENSED)
def test_one_429_is_waited_for(service, web, source):
    entries, page, before, last = SERVICES[source]
    busy = hosting.saying(429, b'{"detail": "throttled"}', Retry_After="0")
    service.answers(*before, busy, page([entries(1)], last))
    assert len(list(search(source, "cat", ("cat",), web))) == 1


@pytest.mark.parametrize("status", [401, 429])
def test_openverse_without_a_token_says_how_to_get_one(service, web, status):
    refused = hosting.saying(status, b"{}")
    service.answers(refused, refused)
    with pytest.raises(DownloadError, match=r"api\.openverse\.org.*OPENVERSE_TOKEN"):
        list(search("openverse", "cat", ("cat",), web))


def test_openverse_gets_the_token_and_nobody_else_does(service, web, monkeypatch):
    monkeypatch.setenv("EDGECLF_OPENVERSE_TOKEN", "token7")
    with hosting.running() as elsewhere:
        other = Service(elsewhere)
        other.answers(page_of_openverse([of_openverse(2)], 1))
        service.answers(
            page_of_openverse([of_openverse(1)], 2),
            hosting.redirect_to(f"{elsewhere.address}/api"),
        )
        assert len(list(search("openverse", "cat", ("cat",), web))) == 2
        assert service.headers[0]["Authorization"] == "Bearer token7"
        assert "Authorization" not in other.headers[0]
    service.answers(hosting.saying(401, b"{}"))
    with pytest.raises(DownloadError, match="Check EDGECLF_OPENVERSE_TOKEN") as caught:
        list(search("openverse", "cat", ("cat",), web))
    assert "token7" not in str(caught.value)
    monkeypatch.setenv("EDGECLF_OPENVERSE_TOKEN", "a\r\nHost: b")
    with pytest.raises(DownloadError, match="one word of ASCII"):
        list(search("openverse", "cat", ("cat",), web))


def test_openverse_ends_where_the_service_does(service, web):
    service.answers(
        *(page_of_openverse([of_openverse(n)], 10_000, n) for n in range(1, 22))
    )
    assert len(list(search("openverse", "cat", ("cat",), web))) == openverse.MAX_PAGES


@pytest.mark.parametrize(
    ("choice", "kept"),
    [
        ("any", [BY, NC, ZERO]),
        ("commercial", [BY, ZERO]),
        ("by-sa", [BY, ZERO]),
        ("cc0", [ZERO]),
    ],
)
@pytest.mark.parametrize("source", LICENSED)
def test_licenses_can_be_chosen(service, web, source, choice, kept):
    urls = [BY, NC, ZERO]
    if source == "openverse":
        # Even if the service should not heed what it is asked for.
        service.answers(
            page_of_openverse([of_openverse(n, url) for n, url in enumerate(urls)], 1)
        )
    elif source == "wikimedia":
        pages = [of_wikimedia(n, url) for n, url in enumerate(urls)]
        service.answers(page_of_wikimedia(pages))
    else:
        entries = [of_flickr(n, number) for n, number in enumerate(("4", "2", "9"))]
        service.answers(FLICKR_LICENSES, page_of_flickr(entries, 1))
    found = list(search(source, "cat", ("cat",), web, choice))
    codes = [licenses.code_of(each.license_url) for each in found]
    assert codes == [licenses.code_of(url) for url in kept]
    if source == "openverse":
        asked = set(service.asked[0]["license"].split(","))
        assert asked == licenses.CHOICES[choice] - {"other"}
    if source == "flickr":
        numbers = {"any": "4,2,7,9", "commercial": "4,7,9", "by-sa": "4,7,9"}
        assert service.asked[1]["license"] == numbers.get(choice, "9")


def test_wikimedia_asks_for_scaled_pictures_in_the_searchs_order(service, web):
    pages = [of_wikimedia(n) for n in (3, 1, 2)]
    service.answers(page_of_wikimedia(pages, 50), page_of_wikimedia([of_wikimedia(9)]))
    found = list(search("wikimedia", "red cat", ("cat",), web))
    assert [each.identifier for each in found] == ["1", "2", "3", "9"]
    assert found[0].url == "https://upload.wikimedia.org/960px-1.jpg"
    assert found[0].page == "https://commons.wikimedia.org/wiki/File:1.jpg"
    assert (found[0].title, found[0].author) == ("Cat 1", "Ann & B")
    assert (found[0].license, found[0].license_url) == ("CC BY 4.0", BY)
    asked = service.asked[0]
    assert asked["gsrsearch"] == "filetype:bitmap red cat"
    assert (asked["gsrnamespace"], asked["iiurlwidth"]) == ("6", str(wikimedia.WIDTH))
    assert "gsroffset" not in asked
    assert service.asked[1]["gsroffset"] == "50"
    assert service.asked[1]["continue"] == "gsroffset||"


def test_wikimedia_goes_on_within_a_page_that_comes_in_parts(service, web):
    bare = {key: of_wikimedia(2)[key] for key in ("pageid", "ns", "title", "index")}
    first = page_of_wikimedia([of_wikimedia(1), bare])
    first["continue"] = {"iicontinue": "2.jpg|2020", "continue": "||"}
    del first["batchcomplete"]
    bare = {key: of_wikimedia(1)[key] for key in ("pageid", "ns", "title", "index")}
    service.answers(first, page_of_wikimedia([bare, of_wikimedia(2)]))
    found = search("wikimedia", "cat", ("cat",), web)
    assert [each.identifier for each in found] == ["1", "2"]


def test_wikimedia_goes_on_after_a_page_of_other_files(service, web):
    films = [of_wikimedia(n, mime="image/gif") for n in (1, 2)]
    last = page_of_wikimedia([of_wikimedia(3)])
    service.answers(page_of_wikimedia(films, 50), last)
    found = search("wikimedia", "cat", ("cat",), web)
    assert [each.identifier for each in found] == ["3"]


def test_wikimedia_says_nothing_found_and_errors_with_status_200(service, web):
    service.answers({"batchcomplete": True})
    assert list(search("wikimedia", "zzzz", ("cat",), web)) == []
    service.answers({"error": {"code": "ratelimited", "info": "Too many requests."}})
    with pytest.raises(DownloadError, match=r"refuses: Too many .* \(ratelimited\)"):
        list(search("wikimedia", "cat", ("cat",), web))


def test_wikimedia_without_a_contact_says_what_it_asks_for(service, web):
    service.answers(hosting.saying(403, b"Please set a user-agent"))
    with pytest.raises(DownloadError, match=r"403.*whom to contact.*\(--contact\)"):
        list(search("wikimedia", "cat", ("cat",), web))


def test_wikimedias_other_free_licences_pass_where_any_does(service, web):
    service.answers(page_of_wikimedia([of_wikimedia(1, BY.removeprefix("https:"))]))
    (found,) = search("wikimedia", "cat", ("cat",), web, "commercial")
    assert found.license_url == BY
    page = of_wikimedia(1, None)
    metadata = page["imageinfo"][0]["extmetadata"]
    metadata["LicenseShortName"]["value"] = "FAL"
    service.answers(page_of_wikimedia([page]))
    (found,) = search("wikimedia", "cat", ("cat",), web)
    assert (found.license, found.license_url) == ("FAL", None)
    service.answers(page_of_wikimedia([page]))
    assert list(search("wikimedia", "cat", ("cat",), web, "commercial")) == []


def test_flickr_asks_for_licences_that_allow_something(service, web):
    service.answers(
        FLICKR_LICENSES,
        page_of_flickr([of_flickr(1), of_flickr(2, "7", url_l=None, url_z="http://z")]),
        page_of_flickr([of_flickr(3, "9", ownername="")], page=2),
    )
    found = list(search("flickr", "red cat", ("cat",), web))
    assert [each.license for each in found] == [
        "CC BY 2.0",
        "No known copyright restrictions",
        "CC0 1.0",
    ]
    assert found[0].page == "https://www.flickr.com/photos/12345678@N00/1/"
    assert [each.author for each in found] == ["Ann", "Ann", "12345678@N00"]
    assert found[1].url == "http://z"
    assert service.asked[0]["method"] == "flickr.photos.licenses.getInfo"
    asked = service.asked[1]
    assert asked["method"] == "flickr.photos.search"
    assert (asked["text"], asked["license"]) == ("red cat", "4,2,7,9")
    assert (asked["api_key"], asked["nojsoncallback"]) == ("secret42", "1")


def test_flickr_needs_a_key_and_never_shows_it(service, web, monkeypatch):
    service.answers({"stat": "fail", "code": 100, "message": "Invalid API Key"})
    with pytest.raises(DownloadError, match=r"Invalid API Key \(code 100\).*Check"):
        list(search("flickr", "cat", ("cat",), web))
    service.answers(hosting.saying(404))
    with pytest.raises(DownloadError, match="404") as caught:
        list(search("flickr", "cat", ("cat",), web))
    assert "secret42" not in str(caught.value)
    monkeypatch.delenv("EDGECLF_FLICKR_KEY")
    with pytest.raises(DownloadError, match="Expected a key for Flickr"):
        search("flickr", "cat", ("cat",), web)


def test_unknown_names_are_refused(web):
    with pytest.raises(ValueError, match=r"source to be one of openverse.*'altavista'"):
        search("altavista", "cat", ("cat",), web)
    with pytest.raises(ValueError, match="license_choice to be one of any"):
        search("openverse", "cat", ("cat",), web, "mine")


@pytest.mark.parametrize(
    ("url", "name", "code"),
    [
        ("https://creativecommons.org/licenses/by-nc-sa/3.0/de/", None, "by-nc-sa"),
        ("http://www.creativecommons.org/licenses/BY/2.0", None, "by"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", None, "pdm"),
        (ZERO, "CC BY 4.0", "cc0"),
        (None, "cc-by-sa-4.0", "by-sa"),
        (None, "CC BY-NC-ND 2.0", "by-nc-nd"),
        (None, "CC0", "cc0"),
        (None, "Public domain", "pdm"),
        (None, "pd", "pdm"),
        (None, "GFDL", None),
        (None, "Bystander licence", None),
        (None, "BY-SA 2.0", "by-sa"),
        (None, "CC BY-SA IGO 3.0", "by-sa"),
        (None, "CC BY NC 2.0", "by-nc"),
        (None, "CC BY-NonCommercial", None),
        (None, "cc-by-nd-nc-2.0", None),
        (None, "By permission only", None),
        (None, "Mark Smith", None),
        (None, "Zero-Clause BSD", None),
        ("https://example.org/licenses/by/4.0/", None, None),
        ("https://creativecommons.org/licenses/sampling+/1.0/", None, None),
        (None, None, None),
    ],
)
def test_codes_of_licences(url, name, code):
    assert licenses.code_of(url, name) == code


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('<a href="x" title="y">Ann</a>', "Ann"),
        ("A &amp; B<br>C\n\t D", "A & B C D"),
        ("a < b", "a < b"),
        ("<script>", ""),
        ("", ""),
        ("a\x1b[2Jb\0c", "a [2Jb c"),
        ("<![x[", ""),
    ],
)
def test_html_becomes_one_line_of_text(source, text):
    assert plain_text(source) == text


@pytest.mark.parametrize("source", ["<", "<a ", "<!--", "&", "<![x["])
def test_hostile_html_takes_no_time(source):
    began = time.process_time()
    plain_text(source * 200_000)
    assert time.process_time() - began < 5  # without a limit some take minutes


def test_texts_and_addresses_of_services_are_plain():
    assert text_of({"m": "a\x1b[2J\nb"}, "m") == "a [2J b"
    long = "http://x/" + "1" * MAX_ADDRESS
    assert address_of({"a": long, "b": "http://x/"}, "a", "b") == "http://x/"


def results_of_bing(names: list[str]) -> bytes:
    """A page as Bing gives it: details of each picture as JSON in an attribute."""
    items = "".join(
        "<li><div class='iuscp'><div class='imgpt'><a class='iusc' m=\""
        + html.escape(
            json.dumps(
                {
                    "t": f"A {name}",
                    "murl": f"https://example.org/{name}.jpg",
                    "turl": f"https://example.org/{name}_small.jpg",
                    "purl": f"https://example.org/{name}.html",
                }
            )
        )
        + "\"></a></div><div class='infopt'></div></div></li>"
        for name in names
    )
    return f"<html><body><ul>{items}</ul></body></html>".encode()


def test_bing_is_asked_page_by_page_after_a_warning(web, monkeypatch, caplog):
    bing_images = pytest.importorskip("ddgs.engines.bing_images")
    with hosting.running() as server:
        place = f"{server.address}/images/async"
        monkeypatch.setattr(bing_images.BingImages, "search_url", place)
        server.script = [
            hosting.saying(body=results_of_bing(names), Content_Type="text/html")
            for names in (["a", "b"], ["c"], [])
        ]
        found = search("bing", "red cat", ("cat",), web)
        assert "says nothing of licences" in caplog.text
        assert "https://www.microsoft.com/servicesagreement" in caplog.text
        assert server.requests == []
        pictures = list(found)
        first = [urllib.parse.urlsplit(path).query for path, _ in server.requests]
    assert [each.url[-5:] for each in pictures] == ["a.jpg", "b.jpg", "c.jpg"]
    assert pictures[0].page == "https://example.org/a.html"
    assert (pictures[0].title, pictures[0].source) == ("A a", "bing")
    assert pictures[0].license is None
    assert "q=red+cat" in first[0]


def test_an_engine_that_finds_nothing_says_so(web, monkeypatch):
    bing_images = pytest.importorskip("ddgs.engines.bing_images")
    with hosting.running() as server:
        place = f"{server.address}/images/async"
        monkeypatch.setattr(bing_images.BingImages, "search_url", place)
        server.normally = hosting.saying(429)
        with pytest.raises(DownloadError, match="Bing gives no pictures of 'cat'"):
            list(search("bing", "cat", ("cat",), web))


def test_an_engine_that_ddgs_lacks_is_not_replaced_by_another(web):
    offered = pytest.importorskip("ddgs.engines").ENGINES["images"]
    if "google" in offered:
        pytest.skip("this ddgs can ask Google for pictures")
    with pytest.raises(DownloadError, match=r"can ask .*: bing.* Received: google"):
        search("google", "cat", ("cat",), web)


def test_engines_promise_no_licence(web):
    with pytest.raises(DownloadError, match="Expected the license any with bing"):
        search("bing", "cat", ("cat",), web, "cc0")


def test_a_missing_package_is_named(web, monkeypatch):
    monkeypatch.setitem(sys.modules, "ddgs", None)
    monkeypatch.setitem(sys.modules, "ddgs.engines", None)
    with pytest.raises(MissingExtraError, match=r"pip install \"edgeclf\[search\]\""):
        search("bing", "cat", ("cat",), web)


def test_every_engine_has_terms():
    assert set(SOURCES) == {*LICENSED, *engines.TERMS}
    assert all(url.startswith("https://") for url in engines.TERMS.values())
