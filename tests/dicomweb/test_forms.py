"""Forms of answers: ranges, validators, pictures, compression, WADO-URI, capabilities."""

from __future__ import annotations

import gzip
import io
import json
from xml.etree import ElementTree

import numpy as np
import pytest
import zstandard
from PIL import Image as Pictures
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID

from mripacs.core.errors import TranscodeError
from mripacs.dicomweb.capabilities import WADL, WADL_NAMESPACE
from mripacs.dicomweb.multipart_reading import MultipartParser, PartBegins, PartBytes
from mripacs.dicomweb.negotiation import parse_accept
from mripacs.dicomweb.operations import operations
from mripacs.dicomweb.problems import RequestError
from tests.dicomweb.conftest import LOSSLESS, ROOT, in_process, settings_of
from tests.dicomweb.multipart import parts_of

LS, J2K, HTJ2K, EXPLICIT = (f"1.2.840.10008.1.2{suffix}" for suffix in (".4.80", ".4.90", ".4.201", ".1"))


@pytest.fixture(scope="module")
def lossy(filled):
    return filled.lossy()


@pytest.fixture(scope="module")
def path(filled, lossy):
    return filled.path(lossy)


@pytest.fixture(scope="module")
def pixels(client, lossy):
    return client.archive.fetch(lossy.sop_instance_uid).pixel_array


# --- transfer syntaxes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [EXPLICIT, "1.2.840.10008.1.2", LS, J2K, HTJ2K])
def test_an_instance_in_each_syntax_has_the_same_pixels(client, path, pixels, syntax):
    answer = client.get(path, headers={"Accept": f"application/dicom; transfer-syntax={syntax}"})
    dataset = dcmread(io.BytesIO(answer.content))
    assert dataset.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(dataset.pixel_array, pixels)
    assert dataset.LossyImageCompression == "01"


@pytest.mark.parametrize(("media_type", "syntax"), [("image/jls", LS), ("image/jp2", J2K), ("image/jphc", HTJ2K)])
def test_frames_as_codestreams(client, path, pixels, lossy, media_type, syntax):
    answer = client.get(f"{path}/frames/1", headers={"Accept": media_type})
    assert answer.headers["content-type"] == f"{media_type}; transfer-syntax={syntax}"
    dataset = client.archive.fetch(lossy.sop_instance_uid)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.PixelData = encapsulate([answer.content])
    dataset["PixelData"].VR = "OB"
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    assert np.array_equal(dcmread(io.BytesIO(written.getvalue())).pixel_array, pixels)


def test_what_was_kept_leaves_as_it_came(tmp_path, filled):
    """A compressed object under a lossless policy: its fragments as they are, or native, or coded anew."""
    syntaxes = {
        path: dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID for path in filled.files.values()
    }
    compressed = [path for path, syntax in syntaxes.items() if syntax.is_compressed]
    assert len(compressed) >= 3
    with in_process(settings_of(tmp_path / "archive", LOSSLESS)) as client:
        for path in compressed:
            sent = dcmread(path)
            client.archive.store(path)
            (row,) = client.get(f"{ROOT}/instances?SOPInstanceUID={sent.SOPInstanceUID}").json()
            url = row["00081190"]["Value"][0]
            got = dcmread(
                io.BytesIO(client.get(url, headers={"Accept": "application/dicom; transfer-syntax=*"}).content)
            )
            assert got.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
            assert got.PixelData == sent.PixelData
            native = dcmread(io.BytesIO(client.get(url, headers={"Accept": "application/dicom"}).content))
            assert native.file_meta.TransferSyntaxUID == EXPLICIT
            assert np.array_equal(native.pixel_array, sent.pixel_array)
            frame = client.get(f"{url}/frames/1", headers={"Accept": "image/*; transfer-syntax=*"})
            assert frame.headers["content-type"].endswith(str(sent.file_meta.TransferSyntaxUID))
            assert frame.content.rstrip(b"\0") == next(generate_frames(sent.PixelData, number_of_frames=1)).rstrip(
                b"\0"
            )


@pytest.mark.parametrize(
    ("suffix", "accept"),
    [
        ("", "image/png"),
        ("", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50"),
        ("/frames/1", "image/jpeg"),
        ("/frames/1", "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.2"),
        ("/rendered", "application/dicom"),
        ("/metadata", "text/plain"),
        ("/bulkdata/7FE00010", "image/png"),
    ],
)
def test_not_acceptable(client, path, suffix, accept):
    answer = client.get(path + suffix, headers={"Accept": accept})
    assert answer.status_code == 406
    assert "there are" in answer.json()["detail"] or "given out as" in answer.json()["detail"]


def test_qualities_choose(client, path):
    wish = "image/jls;q=0.2, image/jphc;q=0.9, application/octet-stream;q=0.5, image/jp2;q=0"
    assert client.get(f"{path}/frames/1", headers={"Accept": wish}).headers["content-type"].startswith("image/jphc")
    query = client.get(f"{path}/frames/1", params={"accept": "image/jls"})
    assert query.headers["content-type"].startswith("image/jls")


def test_accept_is_read():
    (one,) = parse_accept('multipart/related; type="application/dicom"; transfer-syntax=*; q=0.5')
    assert (one.type, one.multipart, one.transfer_syntax, one.quality) == ("application/dicom", True, "*", 0.5)
    for broken in ("application", "a/b c/d", "a/b; q=1 x", ";"):
        with pytest.raises(RequestError):
            parse_accept(broken)


# --- ranges and validators ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "status", "bounds"),
    [
        ("bytes=0-9", 206, (0, 10)),
        ("bytes=10-", 206, (10, None)),
        ("bytes=-7", 206, (-7, None)),
        ("bytes=5-1", 200, (0, None)),
        ("bytes=0-1,5-6", 200, (0, None)),
        ("lines=1-2", 200, (0, None)),
        ("bytes=99999999-", 416, None),
        ("bytes=-0", 416, None),
    ],
)
def test_ranges_of_bulk_data(client, path, pixels, header, status, bounds):
    answer = client.get(f"{path}/bulkdata/7FE00010", headers={"Range": header})
    assert answer.status_code == status
    if bounds is not None:
        assert answer.content == pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()[slice(*bounds)]


@pytest.mark.parametrize("suffix", ["", "/metadata", "/frames/1", "/bulkdata/7FE00010", "/rendered", "/thumbnail"])
def test_answers_are_validated_by_their_tags(client, path, suffix):
    answer = client.get(path + suffix)
    assert "immutable" in answer.headers["cache-control"]
    again = client.get(path + suffix, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(path + suffix, headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


def test_a_study_may_grow(client, lossy):
    answer = client.get(f"{ROOT}/studies/{lossy.study_instance_uid}/metadata")
    assert "no-cache" in answer.headers["cache-control"]
    assert answer.headers["etag"]


def test_compressed_json(client, lossy):
    url = f"{ROOT}/studies/{lossy.study_instance_uid}/metadata"
    plain = client.get(url, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    for coding in ("gzip", "zstd"):
        with client.stream("GET", url, headers={"Accept-Encoding": coding}) as answer:
            assert answer.headers["content-encoding"] == coding
            raw = b"".join(answer.iter_raw())
        unpack = {"gzip": gzip.decompress, "zstd": zstandard.ZstdDecompressor().decompressobj().decompress}[coding]
        assert unpack(raw) == plain.content


def test_bulk_data_by_path(client, filled):
    """Every URI in the metadata of every instance leads to a value."""
    seen = 0
    for identity in filled.identities[::2]:
        (model,) = client.get(filled.path(identity) + "/metadata").json()
        for uri in uris(model):
            answer = client.get(uri)
            assert answer.status_code == 200, (uri, answer.text)
            assert answer.content
            seen += 1
    assert seen > len(filled.identities) // 2


def uris(model):
    for element in model.values():
        if "BulkDataURI" in element:
            yield element["BulkDataURI"]
        for item in element.get("Value", ()) if element["vr"] == "SQ" else ():
            yield from uris(item)


@pytest.mark.parametrize("wrong", ["00100010/1/00100010", "zzz", "7FE00010/1", "../../../etc/passwd", "00999999"])
def test_bulk_data_that_is_not_there(client, path, wrong):
    assert client.get(f"{path}/bulkdata/{wrong}").status_code == 404


# --- pictures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png", "image/webp", "image/gif"])
def test_pictures(client, path, pixels, media_type):
    answer = client.get(f"{path}/rendered", headers={"Accept": media_type})
    assert answer.headers["content-type"] == media_type
    picture = Pictures.open(io.BytesIO(answer.content))
    assert picture.size == pixels.shape[::-1]
    shades = np.asarray(picture.convert("L"), float).ravel()
    assert np.corrcoef(shades, np.clip(pixels, *np.percentile(pixels, (1, 99))).ravel())[0, 1] > 0.9


def test_windows(client, path, pixels):
    low, high = int(pixels.min()), int(pixels.max())
    center, width = (low + high) / 2, high - low
    url = f"{path}/rendered?window={center},{width},linear-exact"
    shades = np.asarray(Pictures.open(io.BytesIO(client.get(url, headers={"Accept": "image/png"}).content)))
    slope = (pixels.astype(float) - center) / width + 0.5
    assert np.abs(shades - np.clip(slope * 255, 0, 255)).max() <= 1.0


def test_viewports(client, path, pixels):
    url = f"{path}/rendered?viewport=64,32"
    small = Pictures.open(io.BytesIO(client.get(url).content))
    assert small.size == (32, 32)  # square, inside 64 x 32
    cut = f"{path}/rendered?viewport=10,10,5,5,10,10"
    assert Pictures.open(io.BytesIO(client.get(cut).content)).size == (10, 10)
    thumbnail = Pictures.open(io.BytesIO(client.get(f"{path}/thumbnail").content))
    assert max(thumbnail.size) <= 128


@pytest.mark.parametrize(
    "query",
    [
        *("window=1", "window=a,b", "window=1,0", "window=1,2,cubic", "window=nan,1"),
        *("viewport=0,10", "viewport=1", "viewport=9999,1", "viewport=a,b", "viewport=10,10,900,0,5,5"),
        *("viewport=10,10,0,0,9999,1", "quality=0", "quality=101", "quality=x"),
    ],
)
def test_malformed_drawings(client, path, query):
    answer = client.get(f"{path}/rendered?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"]


def test_an_animation(client, filled):
    several = next(each for each in filled.identities if len(each.certificate.frames) > 5)
    answer = client.get(filled.path(several) + "/rendered", headers={"Accept": "image/gif"})
    assert Pictures.open(io.BytesIO(answer.content)).n_frames == len(several.certificate.frames)
    pictures = parts_of(client.get(filled.path(several) + "/frames/1,3/rendered"))
    assert [part.headers["content-type"] for part in pictures] == ["image/jpeg"] * 2


def test_a_series_rendered(client, filled, lossy):
    series = filled.path(lossy).rpartition("/instances")[0]
    count = sum(each.series_instance_uid == lossy.series_instance_uid for each in filled.identities)
    response = client.get(series + "/rendered")
    if count == 1:  # one picture needs no multipart around it
        assert response.headers["content-type"] == "image/jpeg"
    else:
        assert len(parts_of(response)) == count


# --- WADO-URI, capabilities ---------------------------------------------------------------------------------------


def test_wado_uri(client, lossy):
    query = {
        "requestType": "WADO",
        "studyUID": lossy.study_instance_uid,
        "seriesUID": lossy.series_instance_uid,
        "objectUID": lossy.original_sop_instance_uid,
    }
    picture = client.get(f"{ROOT}/wado", params=query | {"rows": 50, "windowCenter": 300, "windowWidth": 400})
    assert picture.headers["content-type"] == "image/jpeg"
    assert Pictures.open(io.BytesIO(picture.content)).height == 50
    file = client.get(f"{ROOT}/wado", params=query | {"contentType": "application/dicom"})
    assert dcmread(io.BytesIO(file.content)).SOPInstanceUID == lossy.sop_instance_uid
    assert client.get(f"{ROOT}/wado", params=query | {"seriesUID": "1.2.3"}).status_code == 404
    assert client.get(f"{ROOT}/wado", params=query | {"requestType": "X"}).status_code == 400
    assert client.get(f"{ROOT}/wado", params=query | {"frameNumber": "9"}).status_code == 404
    assert client.get(f"{ROOT}/wado", params={"requestType": "WADO"}).status_code == 400


def test_capabilities_name_every_route(client):
    answer = client.options(ROOT)
    assert answer.headers["content-type"] == WADL
    root = ElementTree.fromstring(answer.content)  # noqa: S314 - ours
    methods = {
        (method.get("name"), resource.get("path"))
        for resource in root.iter(f"{{{WADL_NAMESPACE}}}resource")
        for method in resource.iter(f"{{{WADL_NAMESPACE}}}method")
    }
    described = {
        (method.upper(), path.lstrip("/"))
        for path, item in client.get(f"{ROOT}/openapi.json").json()["paths"].items()
        for method in item
    }
    assert methods == described
    served = {
        (method, route.path.removeprefix(ROOT).lstrip("/").replace(":path", ""))
        for route in client.app.routes
        if getattr(route, "path", "").startswith(ROOT + "/")
        for method in route.methods - {"HEAD", "OPTIONS"}
    }
    assert served - {("GET", "openapi.json"), ("GET", "")} == methods


def test_names_of_operations_are_unique(tmp_path):
    names = [each.name for each in operations(settings_of(tmp_path, allow_delete=True))]
    assert len(names) == len(set(names))


# --- odd paths, and the parser ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/studies/../../etc/passwd", 404),
        ("/studies/..%2f..%2fetc/metadata", 404),
        ("/studies/1.2.3%00/metadata", 400),
        (f"/studies/{'1' * 65}/metadata", 400),
        ("/studies/1.2.3/series/x/metadata", 400),
        ("/studies/ /metadata", 400),
        ("/nothing", 404),
    ],
)
def test_odd_paths(client, url, status):
    answer = client.get(ROOT + url)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize("frames", ["0", "a", "1,", "1,,2", "-1", "1.5", "1 2"])
def test_odd_frames(client, path, frames):
    assert client.get(f"{path}/frames/{frames}").status_code == 400


def test_methods_that_there_are_not(client):
    assert client.put(f"{ROOT}/studies").status_code == 405


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_the_parser_gives_the_same_for_every_cut(step):
    body = (
        b"preamble\r\n--b\r\nA: 1\r\n\r\n\r\n--b \t\r\nContent-Type: x/y\r\n\r\none\r\n--xad\r\n-\r\n--b\r\n\r\n"
        b"\r\n\r\n--b--\r\nepilogue --b"
    )
    parser, found = MultipartParser("b"), []
    for start in range(0, len(body), step):
        for event in parser.feed(body[start : start + step]):
            if isinstance(event, PartBegins):
                found.append([event.headers, b""])
            elif isinstance(event, PartBytes):
                found[-1][1] += event.content
    parser.close()
    assert found == [[{"a": "1"}, b""], [{"content-type": "x/y"}, b"one\r\n--xad\r\n-"], [{}, b"\r\n"]]


def test_what_cannot_be_decoded_is_not_drawn(tmp_path, shared_data):
    truncated = shared_data / "dev" / "pydicom__pydicom"
    (file,) = truncated.rglob("MR_truncated.dcm")
    with in_process(settings_of(tmp_path / "archive")) as client:
        receipt = client.archive.store(file)
        (row,) = client.get(f"{ROOT}/instances").json()
        url = row["00081190"]["Value"][0]
        assert client.get(f"{url}/rendered").status_code == 406
        assert client.get(f"{url}/metadata").status_code == 200
        as_it_is = client.get(url, headers={"Accept": "application/dicom; transfer-syntax=*"})
        assert dcmread(io.BytesIO(as_it_is.content)).SOPInstanceUID == receipt.sop_instance_uid
        with pytest.raises(TranscodeError):
            client.archive.image(receipt.sop_instance_uid)
        assert json.loads(client.get(f"{url}/frames/1").content)["status"] == 406
