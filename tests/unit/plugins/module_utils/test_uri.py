# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json
import string
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gfapi.virt.plugins.module_utils._uri import (
    DEFAULT_PORT,
    GlusterURI,
    VolumeSpec,
    format_host,
    parse_host,
    parse_port,
    require_volume_name,
)

FIXTURES = Path(__file__).parents[2] / "fixtures"
QEMU: dict[str, dict[str, t.Any]] = json.loads((FIXTURES / "qemu" / "uri_7.2.22.json").read_text("utf-8"))["uris"]


# --- URIs: tables ---------------------------------------------------------------------------------------------------


def tcp(volume: str, path: str, host: str = "h", port: int = 24007) -> GlusterURI:
    return GlusterURI(volume, path, "tcp", host, port)


def unix(volume: str, path: str, socket: str) -> GlusterURI:
    return GlusterURI(volume, path, "unix", None, None, socket)


#: text, what it means, how it is written back (None: as it was)
READ: t.Final = {
    "plain": ("gluster://h/v/p", tcp("v", "p"), None),
    "tcp is the default": ("gluster+tcp://h/v/p", tcp("v", "p"), "gluster://h/v/p"),
    "rdma": ("gluster+rdma://h/v/p", GlusterURI("v", "p", "rdma", "h", 24007), None),
    "unix": ("gluster+unix:///v/p?socket=/run/g.sock", unix("v", "p", "/run/g.sock"), None),
    "no host is localhost": ("gluster:///v/p", tcp("v", "p", "localhost"), "gluster://localhost/v/p"),
    "no host, a port": ("gluster://:24008/v/p", tcp("v", "p", "localhost", 24008), "gluster://localhost:24008/v/p"),
    "port": ("gluster://h:24008/v/p", tcp("v", "p", port=24008), None),
    "port 0 is 24007": ("gluster://h:0/v/p", tcp("v", "p"), "gluster://h/v/p"),
    "port 24007 goes unsaid": ("gluster://h:24007/v/p", tcp("v", "p"), "gluster://h/v/p"),
    "highest port": ("gluster://h:65535/v/p", tcp("v", "p", port=65535), None),
    "IPv4": ("gluster://192.0.2.1/v/p", tcp("v", "p", "192.0.2.1"), None),
    "IPv6": ("gluster://[2001:db8::1]/v/p", tcp("v", "p", "2001:db8::1"), None),
    "IPv6 with port": ("gluster://[2001:db8::1]:1/v/p", tcp("v", "p", "2001:db8::1", 1), None),
    "IPv6 in normal form": (
        "gluster://[2001:DB8:0:0::1]/v/p",
        tcp("v", "p", "2001:db8::1"),
        "gluster://[2001:db8::1]/v/p",
    ),
    "escape in host": ("gluster://%68/v/p", tcp("v", "p"), "gluster://h/v/p"),
    "escape in volume": ("gluster://h/%76/p", tcp("v", "p"), "gluster://h/v/p"),
    "escape in path": ("gluster://h/v/a%20b%25%3F%23", tcp("v", "a b%?#"), None),
    "escaped UTF-8": ("gluster://h/v/%C3%A9", tcp("v", "é"), None),
    "escape in lower case": ("gluster://h/v/%c3%a9", tcp("v", "é"), "gluster://h/v/%C3%A9"),
    "escape that is not needed": ("gluster://h/v/%70%2d", tcp("v", "p-"), "gluster://h/v/p-"),
    "escape in socket": ("gluster+unix:///v/p?socket=/a%20b%26c", unix("v", "p", "/a b&c"), None),
    "plus in socket is a plus": (
        "gluster+unix:///v/p?socket=/a+b",
        unix("v", "p", "/a+b"),
        "gluster+unix:///v/p?socket=/a%2Bb",
    ),
    "%2F after the volume splits": ("gluster://h/v%2Fp", tcp("v", "p"), "gluster://h/v/p"),
    "%2F in the path": ("gluster://h/v/a%2Fb", tcp("v", "a/b"), "gluster://h/v/a/b"),
    "slashes before the volume": ("gluster://h///v/p", tcp("v", "p"), "gluster://h/v/p"),
    "slashes after the volume": ("gluster://h/v///p", tcp("v", "p"), "gluster://h/v/p"),
    "later slashes stay": ("gluster://h/v/a//b", tcp("v", "a//b"), None),
    "dots in the path stay": ("gluster://h/v/./../p", tcp("v", "./../p"), None),
    "reserved characters stand raw": ("gluster://h/v/!$&'()*+,;=:@~", tcp("v", "!$&'()*+,;=:@~"), None),
    "empty query": ("gluster://h/v/p?", tcp("v", "p"), "gluster://h/v/p"),
}

#: text, what the message says about it
REFUSED: t.Final = {
    "nothing": ("", "scheme ''"),
    "no scheme": ("h:/v/p", "scheme"),
    "scheme in capitals": ("Gluster://h/v/p", "scheme 'Gluster'"),
    "transport in capitals": ("gluster+TCP://h/v/p", "scheme 'gluster+TCP'"),
    "unknown transport": ("gluster+udp://h/v/p", "not one of gluster, gluster+tcp, gluster+unix, gluster+rdma"),
    "another scheme": ("nfs://h/v/p", "scheme 'nfs'"),
    "no slashes": ("gluster:v/p", "scheme"),
    "port too high": ("gluster://h:65536/v/p", "port '65536' is not a number from 0 to 65535"),
    "port far too high": ("gluster://h:99999999999/v/p", "port"),
    "empty port": ("gluster://h:/v/p", "port ''"),
    "port not a number": ("gluster://h:x/v/p", "port 'x'"),
    "two ports": ("gluster://h:1:2/v/p", "not host[:port]"),
    "IPv6 without brackets": ("gluster://2001:db8::1/v/p", "an IPv6 address stands in brackets"),
    "bracket left open": ("gluster://[::1/v/p", "not host[:port]"),
    "brackets round a name": ("gluster://[h]/v/p", "not an IPv6 address"),
    "empty brackets": ("gluster://[]/v/p", "not an IPv6 address"),
    "zone index": ("gluster://[fe80::1%25eth0]/v/p", "zone index, which libvirt refuses"),
    "user": ("gluster://u@h/v/p", "names a user"),
    "host with blank": ("gluster://h%20x/v/p", "neither a name nor an address"),
    "host with underscore": ("gluster://h_1/v/p", "take no underscore"),
    "host ends in a hyphen": ("gluster://h-/v/p", "neither a name nor an address"),
    "no volume": ("gluster://h", "image path after the volume is missing"),
    "no path": ("gluster://h/v", "image path after the volume is missing"),
    "empty path": ("gluster://h/v/", "image path after the volume is missing"),
    "path of slashes": ("gluster://h/v//", "image path after the volume is missing"),
    "path of a directory": ("gluster://h/v/p/", "and a file's"),
    "volume with dot": ("gluster://h/v.1/p", "volume 'v.1' may hold only"),
    "volume with plus": ("gluster://h/v+1/p", "volume 'v+1' may hold only"),
    "blank": ("gluster://h/v/a b", "must be percent-escaped"),
    "non-ASCII": ("gluster://h/v/é", "must be percent-escaped"),
    "half an escape": ("gluster://h/v/a%2", "must be percent-escaped"),
    "escape that is none": ("gluster://h/v/a%zz", "must be percent-escaped"),
    "bracket in path": ("gluster://h/v/a[1", "brackets stand only round an IPv6 address"),
    "bracket in socket": ("gluster+unix:///v/p?socket=/a]", "brackets stand only round an IPv6 address"),
    "fragment": ("gluster://h/v/p#f", "escape it as %23"),
    "NUL": ("gluster://h/v/a%00", "NUL"),
    "not UTF-8": ("gluster://h/v/a%FF", "not UTF-8"),
    "line feed at the end": ("gluster://h/v/p\n", "must be percent-escaped"),
    "query with tcp": ("gluster://h/v/p?socket=/s", "transport tcp takes no query"),
    "drive option as query": ("gluster://h/v/p?debug=4", "transport tcp takes no query"),
    "query with rdma": ("gluster+rdma://h/v/p?x=1", "transport rdma takes no query"),
    "unix without query": ("gluster+unix:///v/p", "exactly one parameter, socket=PATH"),
    "unix with empty query": ("gluster+unix:///v/p?", "exactly one parameter, socket=PATH"),
    "unix with another parameter": ("gluster+unix:///v/p?sock=/s", "exactly one parameter, socket=PATH"),
    "parameter in capitals": ("gluster+unix:///v/p?Socket=/s", "exactly one parameter, socket=PATH"),
    "parameter without value": ("gluster+unix:///v/p?socket", "exactly one parameter, socket=PATH"),
    "two parameters": ("gluster+unix:///v/p?socket=/s&debug=4", "exactly one parameter, socket=PATH"),
    "two parameters, semicolon": ("gluster+unix:///v/p?socket=/s;debug=4", "exactly one parameter, socket=PATH"),
    "socket twice": ("gluster+unix:///v/p?socket=/s&socket=/s", "exactly one parameter, socket=PATH"),
    "empty socket": ("gluster+unix:///v/p?socket=", "not an absolute path"),
    "relative socket": ("gluster+unix:///v/p?socket=s", "not an absolute path"),
    "unix with host": ("gluster+unix://h/v/p?socket=/s", "takes no host ('h')"),
    "unix with port": ("gluster+unix://:1/v/p?socket=/s", "takes no host (':1')"),
    "unix without path": ("gluster+unix:///v?socket=/s", "image path after the volume is missing"),
}

for _character in '"<>\\^`{|}\t\x7f':
    REFUSED[f"raw {_character!r}"] = (f"gluster://h/v/a{_character}b", "must be percent-escaped")


@pytest.mark.parametrize(("text", "uri", "written"), READ.values(), ids=READ)
def test_uri_is_read_and_written(text: str, uri: GlusterURI, written: str | None) -> None:
    assert GlusterURI.parse(text) == uri
    assert str(uri) == (written or text)


@pytest.mark.parametrize(("text", "says"), REFUSED.values(), ids=REFUSED)
def test_uri_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"^malformed gluster URI ") as caught:
        GlusterURI.parse(text)
    message = str(caught.value)
    assert says in message
    assert message.startswith(f"malformed gluster URI {text!r}: ")
    assert message.endswith("write gluster://server/volume/path or gluster+unix:///volume/path?socket=/path")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        pytest.param({"volume": ""}, "volume ''", id="no volume"),
        pytest.param({"volume": "a/b"}, "volume 'a/b'", id="volume with slash"),
        pytest.param({"path": ""}, "image path ''", id="no path"),
        pytest.param({"path": "/p"}, "image path '/p'", id="absolute path"),
        pytest.param({"path": "p/"}, "image path 'p/'", id="path of a directory"),
        pytest.param({"path": "a\0b"}, "NUL", id="NUL in path"),
        pytest.param({"path": "a\udcff"}, "not UTF-8", id="path that is no text"),
        pytest.param({"transport": "udp"}, "transport 'udp' is not one of tcp, unix, rdma", id="transport"),
        pytest.param({"host": ""}, "takes a host and a port", id="empty host"),
        pytest.param({"host": None}, "takes a host and a port", id="no host"),
        pytest.param({"host": "a b"}, "host 'a b'", id="bad host"),
        pytest.param({"port": None}, "takes a host and a port", id="no port"),
        pytest.param({"port": 65536}, "port 65536", id="port too high"),
        pytest.param({"port": -1}, "port -1", id="port below zero"),
        pytest.param({"port": True}, "port True", id="port is a boolean"),
        pytest.param({"socket": "/s"}, "and no socket", id="tcp with socket"),
        pytest.param({"socket": ""}, "and no socket", id="tcp with empty socket"),
        pytest.param({"transport": "unix", "socket": "/s"}, "neither host nor port", id="unix with the default host"),
        pytest.param({"transport": "unix", "host": "", "port": None, "socket": "/s"}, "neither", id="unix, empty host"),
        pytest.param({"transport": "unix", "host": None, "port": 0, "socket": "/s"}, "neither", id="unix, port 0"),
        pytest.param({"transport": "unix", "host": None, "port": None}, "absolute path", id="unix without socket"),
        pytest.param(
            {"transport": "unix", "host": None, "port": None, "socket": "s"}, "absolute", id="relative socket"
        ),
        pytest.param({"transport": "unix", "host": None, "port": None, "socket": "/\0"}, "NUL", id="NUL in socket"),
    ],
)
def test_uri_that_cannot_be_written_cannot_be_made(fields: dict[str, t.Any], says: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        GlusterURI(**{"volume": "v", "path": "p", **fields})
    assert says in str(caught.value)


def test_uri_defaults_to_the_local_glusterd() -> None:
    assert str(GlusterURI("v", "p")) == "gluster://localhost/v/p"


@pytest.mark.parametrize("host", ["[2001:DB8::0:1]", "2001:db8::1"])
def test_uri_keeps_its_host_without_brackets(host: str) -> None:
    assert GlusterURI("v", "p", host=host).host == "2001:db8::1"


# --- URIs: what QEMU itself says ------------------------------------------------------------------------------------

#: QEMU takes these and we do not
STRICTER: t.Final = {
    "gluster:/v/p": "one spelling of a URI without a server is enough: gluster:///v/p",
    "gluster:v/p": "the same",
    "gluster:h/v/p": "QEMU takes the server for the volume, which nobody means",
    "gluster://h:00024007/v/p": "a port has five digits at most",
    "gluster://h_1/v/p": "`gluster peer probe` and libvirt's schema refuse an underscore",
    "gluster://h%20x/v/p": "no host name, so libvirt's schema refuses it",
    "gluster://u@h/v/p": "QEMU drops the user without a word",
    "gluster://[fe80::1%25eth0]/v/p": "libvirt's schema refuses a zone index",
    "gluster://[]/v/p": "no address",
    "gluster://[zz]/v/p": "no address",
    "gluster://h/v/p/": "names a directory",
    "gluster://h/v/a%FF": "libvirt's XML holds text only",
    "gluster://h/v/a%00b": "QEMU opens the image 'a' then",
    "gluster://h/v/p#f": "QEMU drops the fragment without a word",
    "gluster://h/v/p?&": "no query means no query",
    "gluster+unix:///v/p?socket=": "libvirt's schema wants an absolute path",
    "gluster+unix:///v/p?socket=run/s": "libvirt's schema wants an absolute path",
    "gluster+unix:///v/p?socket=/run/s&": "exactly one parameter",
    "gluster+unix:///v/p?socket=/run/s#f": "QEMU drops the fragment without a word",
}


def is_read(text: str) -> bool:
    try:
        GlusterURI.parse(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("text", [text for text, answer in QEMU.items() if not answer["accepted"]])
def test_what_qemu_refuses_is_refused(text: str) -> None:
    assert not is_read(text)


def test_what_qemu_accepts_is_accepted_but_for_a_reason() -> None:
    assert {text for text, answer in QEMU.items() if answer["accepted"] and not is_read(text)} == set(STRICTER)


@pytest.mark.parametrize("text", [text for text in QEMU if is_read(text)])
def test_uri_is_read_as_qemu_reads_it(text: str) -> None:
    uri = GlusterURI.parse(text)
    answer = QEMU[text]
    server = {
        "host": answer["host"].strip("[]") if "host" in answer else None,
        "port": answer.get("port"),
        "socket": answer.get("socket"),
    }
    assert dataclasses.asdict(uri) == {
        "volume": answer["volume"],
        "path": answer["path"],
        "transport": uri.transport,
        **server,
    }


def test_characters_are_written_as_qemu_was_given_them() -> None:
    """The recording holds a path and a socket of all printable ASCII characters, written by us."""
    written = [text for text in QEMU if "%20!%22" in text or "%20%21%22" in text]
    assert [str(GlusterURI.parse(text)) for text in written] == written
    assert len(written) == 2


# --- URIs: properties -----------------------------------------------------------------------------------------------

# Characters by number and words from plain alphabets: hypothesis then needs no table of all of Unicode (2 s).
ALNUM: t.Final = string.ascii_letters + string.digits
letters = (st.integers(1, 0x7F) | st.integers(0x80, 0xD7FF) | st.integers(0xE000, 0x10FFFF)).map(chr)
odd = st.sampled_from(" %?#[]\"'<>\\^`{|}&;=+:@,/é\n\u202e\U0001f600")
names = st.text(odd | letters, min_size=1)
volumes = st.text(ALNUM + "-_", min_size=1, max_size=12)
paths = names.map(lambda name: name.strip("/")).filter(bool)
sockets = names.map(lambda name: "/" + name)
host_names = st.builds(
    "{}{}{}".format, st.sampled_from(ALNUM), st.text(ALNUM + ".-", max_size=9), st.sampled_from(ALNUM)
)
hosts = host_names | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
ports = st.integers(1, 65535) | st.just(DEFAULT_PORT)
uris = st.one_of(
    st.builds(GlusterURI, volumes, paths, st.sampled_from(["tcp", "rdma"]), hosts, ports),
    st.builds(unix, volumes, paths, sockets),
)
#: bits of URIs and specs, so that arbitrary text gets past the first check
BITS: t.Final = (
    *(
        "gluster://",
        "gluster+unix://",
        "gluster+rdma://",
        "h",
        "v",
        "p",
        "[::1]",
        "[::1]:",
        "0",
        "65535",
        "?",
        "socket=",
    ),
    *("/", "//", ":", "[", "]", ",", "%2F", "%00", "%25", "%FF", "%", "#", "&", "é", " ", "\n", "\udcff"),
)
bits = st.lists(st.sampled_from(BITS), max_size=9).map("".join)
texts = st.text(letters) | bits
uri_texts = texts | bits.map("gluster://h{}".format) | bits.map("gluster+unix:///v/p{}".format)


@given(uris)
def test_uri_round_trip(uri: GlusterURI) -> None:
    assert GlusterURI.parse(str(uri)) == uri


@given(uris)
def test_uri_is_written_in_plain_ascii(uri: GlusterURI) -> None:
    assert str(uri).isascii()
    assert str(uri).isprintable()
    assert " " not in str(uri)


@given(uri_texts)
def test_any_text_is_read_or_refused_and_writing_it_again_changes_nothing(text: str) -> None:
    try:
        uri = GlusterURI.parse(text)
    except ValueError:
        return
    assert GlusterURI.parse(str(uri)) == uri
    assert str(GlusterURI.parse(str(uri))) == str(uri)


# --- hosts, ports, volume names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("gl1", "gl1"),
        ("gl1.example.com", "gl1.example.com"),
        ("gl1.example.com.", "gl1.example.com."),
        ("1", "1"),
        ("192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("2001:0DB8::0001", "2001:db8::1"),
        ("::", "::"),
    ],
)
def test_host_is_read(text: str, host: str) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a b", "a\n", "-a", "a-", ".a", "a/b", "a,b", "a@b", "é"),
        *(
            "[]",
            "[a]",
            "[192.0.2.1]",
            "[::1",
            "::1]",
            "[[::1]]",
            "1:2",
            "::g",
            "::1/64",
            "fe80::1%eth0",
            "[fe80::1%eth0]",
        ),
    ],
)
def test_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^host "):
        parse_host(text)


@given(st.ip_addresses(v=6))
def test_ipv6_address_has_brackets_where_a_port_may_follow(address: t.Any) -> None:
    host = parse_host(address.exploded)
    assert format_host(host) == f"[{host}]"
    assert parse_host(format_host(host)) == host


def test_name_has_no_brackets() -> None:
    assert format_host("gl1") == "gl1"


@pytest.mark.parametrize(
    ("given_port", "port"), [("0", 24007), (0, 24007), ("1", 1), (49152, 49152), ("65535", 65535), ("00080", 80)]
)
def test_port_is_read(given_port: str | int, port: int) -> None:
    assert parse_port(given_port) == port


@pytest.mark.parametrize("given_port", ["", "x", "-1", "+1", "1 ", "1\n", "1_0", "65536", 65536, "000001", "٣"])
def test_port_is_refused(given_port: str | int) -> None:
    with pytest.raises(ValueError, match="is not a number from 0 to 65535"):
        parse_port(given_port)


@pytest.mark.parametrize("name", ["v", "vm-store_1", "-", "_", "36"])
def test_volume_name_is_taken(name: str) -> None:
    assert require_volume_name(name) == name


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "a b", "é", "v\n", "a:b"])
def test_volume_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="may hold only letters, digits, '-' and '_'"):
        require_volume_name(name)


# --- volume specs ---------------------------------------------------------------------------------------------------

#: text, servers, volume, directory, written back, mount name
SPECS: t.Final = {
    "plain": ("gl1:/data", ("gl1",), "data", "", "gl1:/data", "gl1:_data"),
    "trailing slash": ("gl1:/data/", ("gl1",), "data", "", "gl1:/data", "gl1:_data"),
    "two slashes": ("gl1://data", ("gl1",), "data", "", "gl1:/data", "gl1:_data"),
    "underscore": ("gl1:/data_1", ("gl1",), "data_1", "", "gl1:/data_1", "gl1:_data__1"),
    "directory": ("gl1:/data/sub_dir", ("gl1",), "data", "sub_dir", "gl1:/data/sub_dir", "gl1:_data_sub__dir"),
    "two underscores": ("gl1:/d__x", ("gl1",), "d__x", "", "gl1:/d__x", "gl1:_d____x"),
    "IPv6": (
        "[2001:db8::10]:/vm_store",
        ("2001:db8::10",),
        "vm_store",
        "",
        "[2001:db8::10]:/vm_store",
        "[2001:db8::10]:_vm__store",
    ),
    "dots": ("gl1:/data/./a/../b//c", ("gl1",), "data", "b/c", "gl1:/data/b/c", "gl1:_data_b_c"),
    "several servers": ("gl1,gl2,gl1:/data", ("gl1", "gl2"), "data", "", "gl1:/data", "gl1:_data"),
    "several addresses": ("[::1],[::2]:/data", ("::1", "::2"), "data", "", "[::1]:/data", "[::1]:_data"),
    "colon in the directory": ("gl1:/data/a:b", ("gl1",), "data", "a:b", "gl1:/data/a:b", "gl1:_data_a:b"),
}


@pytest.mark.parametrize(("text", "servers", "volume", "directory", "written", "mount_name"), SPECS.values(), ids=SPECS)
def test_spec_is_read_and_written(
    text: str, servers: tuple[str, ...], volume: str, directory: str, written: str, mount_name: str
) -> None:
    spec = VolumeSpec.parse(text)
    assert (spec.servers, spec.volume, spec.directory) == (servers, volume, directory)
    assert (str(spec), spec.mount_name) == (written, mount_name)


@pytest.mark.parametrize(
    ("text", "written", "mount_name"),
    [
        ("gl1:data", "gl1:data", "gl1:data"),
        ("gl1:data//sub_dir/", "gl1:data/sub_dir", "gl1:data_sub__dir"),
        ("GL1.Example.:/data", "GL1.Example.:/data", "GL1.Example.:_data"),
        ("[2001:DB8:0::10]:/data", "[2001:DB8:0::10]:/data", "[2001:DB8:0::10]:_data"),
    ],
)
def test_spec_is_spelled_as_vdsm_leaves_it(text: str, written: str, mount_name: str) -> None:
    """So that oVirt and we mean the same mount point; which volume it is does not hang on the spelling."""
    spec = VolumeSpec.parse(text)
    assert (str(spec), spec.mount_name) == (written, mount_name)
    assert spec == VolumeSpec(spec.servers, spec.volume, spec.directory)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "no ':' after the server", id="nothing"),
        pytest.param("data", "no ':' after the server", id="no server"),
        pytest.param(":/data", "no ':' after the server", id="empty server"),
        pytest.param("::1:/data", "an IPv6 address stands in brackets", id="IPv6 without brackets"),
        pytest.param("[::1:/data", "an IPv6 address stands in brackets", id="bracket left open"),
        pytest.param("[h]:/data", "not an IPv6 address", id="brackets round a name"),
        pytest.param("[fe80::1%eth0]:/data", "zone index", id="zone index"),
        pytest.param("gl1,:/data", "host ''", id="empty backup server"),
        pytest.param("gl1:", "volume ''", id="no volume"),
        pytest.param("gl1:/", "volume ''", id="only a slash"),
        pytest.param("gl1:/..", "volume ''", id="only dots"),
        pytest.param("gl1:24007:/data", "volume '24007:'", id="port"),
        pytest.param("gl1:/a.b", "volume 'a.b'", id="volume with dot"),
        pytest.param("gl1:/data/a b", "takes no blank", id="blank in the directory"),
        pytest.param("gl1:/data/a\nb", "takes no blank", id="line feed in the directory"),
        pytest.param("gl1:/data\n", "volume 'data\\n'", id="line feed at the end"),
        pytest.param("gluster://gl1/data", "it is a URI", id="a URI"),
        pytest.param("gl 1:/data", "host 'gl 1'", id="blank in the server"),
    ],
)
def test_spec_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r"^malformed volume spec ") as caught:
        VolumeSpec.parse(text)
    message = str(caught.value)
    assert says in message
    assert message.startswith(f"malformed volume spec {text!r}: ")
    assert message.endswith("write server:/volume or server:/volume/directory")


def test_spec_needs_a_server() -> None:
    with pytest.raises(ValueError, match="needs a server"):
        VolumeSpec((), "data")


def test_spec_keeps_its_parts_in_normal_form() -> None:
    spec = VolumeSpec(("[2001:DB8::1]", "gl1", "2001:db8:0::1"), "data", "/a//b/")
    assert (spec.servers, spec.directory) == (("2001:db8::1", "gl1"), "a/b")


def test_same_files_whatever_the_server() -> None:
    here, there, below = (VolumeSpec.parse(text) for text in ("gl1:/data", "gl2:data/", "gl1:/data/dir"))
    assert here.location == there.location == "data"
    assert below.location == "data/dir"


directories = st.text(odd | letters).filter(lambda text: not any(c.isspace() or ord(c) < 32 for c in text))
specs = st.builds(VolumeSpec, st.lists(hosts, min_size=1, max_size=3).map(tuple), volumes, directories)


@given(specs)
def test_spec_round_trip(spec: VolumeSpec) -> None:
    assert VolumeSpec.parse(str(spec)) == dataclasses.replace(spec, servers=spec.servers[:1])


@given(specs)
def test_spec_with_all_its_servers_round_trip(spec: VolumeSpec) -> None:
    text = f"{','.join(map(format_host, spec.servers))}:/{spec.location}"
    assert VolumeSpec.parse(text) == spec


@given(specs)
def test_mount_name_is_one_directory_name(spec: VolumeSpec) -> None:
    assert "/" not in spec.mount_name
    assert spec.mount_name not in (".", "..")


@given(texts | bits.map("h:/v{}".format))
def test_any_text_is_a_spec_or_refused_and_writing_it_again_changes_nothing(text: str) -> None:
    try:
        spec = VolumeSpec.parse(text)
    except ValueError:
        return
    assert str(VolumeSpec.parse(str(spec))) == str(spec)
