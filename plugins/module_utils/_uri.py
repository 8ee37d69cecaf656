# Copyright (c) 2026, gfapi.virt contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a Gluster volume or an image on it is: URIs and mount specs. Pure: no I/O.

The grammar is that of QEMU's gluster driver (docs/system/device-url-syntax, header comment of block/gluster.c,
tried on 7.2) and of mount.glusterfs. Where libvirt is stricter (no zone index in a host, no trailing slash in a
name) so are we, because a disk that libvirt cannot hold is of no use.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
import typing as t
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

#: glusterd's port; QEMU takes a missing or zero port for it
DEFAULT_PORT = 24007
SCHEMES: t.Final = {"gluster": "tcp", "gluster+tcp": "tcp", "gluster+unix": "unix", "gluster+rdma": "rdma"}

#: no underscore: `gluster peer probe` and libvirt's schema refuse it
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.?")
_VOLUME_NAME = re.compile(r"[A-Za-z0-9_-]+")
#: RFC 3986: what may stand unescaped; QEMU's parser refuses the rest
_RAW = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*")
_SAFE_IN_PATH = "/:@!$&'()*+,;=~"
#: what a URI cannot carry to QEMU: NUL, and bytes of a file name that are no text
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


def parse_host(text: str) -> str:
    """A host name, IPv4 address or IPv6 address (in brackets or not) in normal form, without brackets.

    Raises `ValueError` for anything else, a zone index (`fe80::1%eth0`) included: libvirt's schema refuses it.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in bare or bare != text:
        if "%" in bare:
            raise ValueError(f"host {text!r} has a zone index, which libvirt refuses; use a global address or a name")
        try:
            return ipaddress.IPv6Address(bare).compressed
        except ValueError:
            raise ValueError(f"host {text!r} is not an IPv6 address") from None
    if not _HOST_NAME.fullmatch(bare):
        mend = "; gluster and libvirt take no underscore in a host's name" if "_" in bare else ""
        raise ValueError(f"host {text!r} is neither a name nor an address{mend}")
    return bare


def format_host(host: str) -> str:
    """The host as a URI or mount spec writes it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def parse_port(text: str | int) -> int:
    """A TCP port; 0 means glusterd's 24007. Raises `ValueError` outside 0..65535."""
    if not re.fullmatch(r"[0-9]{1,5}", str(text), re.ASCII) or int(text) > 65535:
        raise ValueError(f"port {text!r} is not a number from 0 to 65535")
    return int(text) or DEFAULT_PORT


def require_volume_name(name: str) -> str:
    """The name, if it is one that libgfapi opens: letters, digits, `-` and `_` (a dot fails there)."""
    if not _VOLUME_NAME.fullmatch(name):
        raise ValueError(f"volume {name!r} may hold only letters, digits, '-' and '_'")
    return name


def _split_host_port(authority: str) -> tuple[str, int]:
    """`host`, `host:port` or nothing → host and port."""
    match = re.fullmatch(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([^:]*))?", authority)
    if match is None:
        raise ValueError(f"{authority!r} is not host[:port]; an IPv6 address stands in brackets")
    host, port = match.groups()
    if "@" in authority:
        raise ValueError(f"{authority!r} names a user, which gluster does not know")
    return parse_host(_decode(host, "host") or "localhost"), DEFAULT_PORT if port is None else parse_port(port)


def _decode(text: str, part: str) -> str:
    """Percent escapes resolved. Raises `ValueError` for bytes that are no UTF-8 text, and for NUL."""
    try:
        decoded = unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"the {part} {text!r} is not UTF-8 when unescaped") from None
    return _require_text(decoded, part)


def _require_text(text: str, part: str) -> str:
    if _NOT_TEXT.search(text):
        raise ValueError(f"the {part} {text!r} holds a NUL or is not UTF-8")
    return text


def _socket_of(query: str) -> str:
    """The socket in `socket=/path`."""
    name, separator, value = query.partition("=")
    socket = _decode(value, "socket")
    if name != "socket" or not separator or "&" in value or ";" in value:
        raise ValueError(f"query {query!r}: transport unix takes exactly one parameter, socket=PATH")
    if not socket.startswith("/"):
        raise ValueError(f"socket {socket!r} is not an absolute path")
    return socket


@dataclass(frozen=True)
class GlusterURI:
    """An image on a volume, through one server or one socket.

    `host` and `port` belong to tcp and rdma, `socket` to unix; `path` is relative to the volume's root, unescaped.
    """

    volume: str
    path: str
    transport: str = "tcp"
    host: str | None = "localhost"
    port: int | None = DEFAULT_PORT
    socket: str | None = None

    def __post_init__(self) -> None:
        require_volume_name(self.volume)
        if not self.path or self.path.startswith("/") or self.path.endswith("/"):
            raise ValueError(f"image path {self.path!r} must be relative to the volume's root, and a file's")
        _require_text(self.path, "path")
        _require_text(self.socket or "", "socket")
        if self.transport == "unix":
            if self.host is not None or self.port is not None or not (self.socket or "").startswith("/"):
                raise ValueError("transport unix takes the absolute path of a socket, and neither host nor port")
        elif self.transport not in ("tcp", "rdma"):
            raise ValueError(f"transport {self.transport!r} is not one of tcp, unix, rdma")
        elif self.socket is not None or not self.host or not self.port:
            raise ValueError(f"transport {self.transport} takes a host and a port, and no socket")
        else:
            object.__setattr__(self, "host", parse_host(self.host))
            object.__setattr__(self, "port", parse_port(self.port))

    @classmethod
    def parse(cls, text: str) -> GlusterURI:
        """`gluster[+transport]://[host[:port]]/volume/path[?socket=...]`; raises `ValueError` naming the part."""
        try:
            return cls._parse(text)
        except ValueError as exc:
            raise ValueError(
                f"malformed gluster URI {text!r}: {exc}; write gluster://server/volume/path or"
                " gluster+unix:///volume/path?socket=/path"
            ) from None

    @classmethod
    def _parse(cls, text: str) -> GlusterURI:
        if not _RAW.fullmatch(text):
            raise ValueError("it holds a character that must be percent-escaped")
        scheme, separator, rest = text.partition("://")
        if not separator or scheme not in SCHEMES:
            raise ValueError(f"scheme {scheme!r} is not one of {', '.join(SCHEMES)}")
        if "#" in rest:
            raise ValueError("a fragment (#...) has no meaning here; escape it as %23")
        hierarchy, _mark, query = rest.partition("?")
        authority, slash, path_part = hierarchy.partition("/")
        if "[" in path_part + query or "]" in path_part + query:
            raise ValueError("brackets stand only round an IPv6 address; escape them as %5B and %5D")
        # QEMU unescapes before it splits, so %2F in the volume part splits too
        volume, slash, path = _decode(path_part, "path").lstrip("/").partition("/")
        path = path.lstrip("/")
        if not slash or not path:
            raise ValueError("an image path after the volume is missing")
        transport = SCHEMES[scheme]
        if transport == "unix":
            if authority:
                raise ValueError(f"transport unix takes no host ({authority!r})")
            return cls(volume, path, transport, None, None, _socket_of(query))
        if query:
            raise ValueError(f"transport {transport} takes no query ({query!r})")
        return cls(volume, path, transport, *_split_host_port(authority))

    def __str__(self) -> str:
        scheme = "gluster" if self.transport == "tcp" else f"gluster+{self.transport}"
        name = f"/{self.volume}/{quote(self.path, safe=_SAFE_IN_PATH)}"
        if self.socket is not None:
            return f"{scheme}://{name}?socket={quote(self.socket, safe='/:@-._~')}"
        port = "" if self.port == DEFAULT_PORT else f":{self.port}"
        return f"{scheme}://{format_host(self.host or '')}{port}{name}"


@dataclass(frozen=True)
class VolumeSpec:
    """What mount.glusterfs is given: `server[,server...]:/volume[/directory]`.

    The first server is the volfile server, the others back it up. `directory` has no slash at either end.
    `spelling` is how VDSM would write what was asked for: it leaves the server as it is, and a slash that is missing.
    """

    servers: tuple[str, ...]
    volume: str
    directory: str = ""
    spelling: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.servers:
            raise ValueError("a volume spec needs a server")
        hosts = (parse_host(server) for server in self.servers)
        object.__setattr__(self, "servers", tuple(dict.fromkeys(hosts)))
        require_volume_name(self.volume)
        directory = posixpath.normpath("/" + self.directory).strip("/")
        if any(character.isspace() or ord(character) < 32 for character in directory):
            raise ValueError(f"directory {self.directory!r}: a gluster mount takes no blank in it")
        object.__setattr__(self, "directory", directory)

    @classmethod
    def parse(cls, text: str) -> VolumeSpec:
        """`server:/volume[/directory]` (the slash before the volume may be missing); raises `ValueError`."""
        match = re.fullmatch(r"((?:\[[^\]]*\]|[^:\[\]])+):(.*)", text, re.DOTALL)
        try:
            if text.partition("://")[0] in SCHEMES:
                raise ValueError("it is a URI")
            if match is None:
                raise ValueError("there is no ':' after the server; an IPv6 address stands in brackets")
            path = posixpath.normpath("/" + match[2]).strip("/")
            volume, _slash, directory = path.partition("/")
            servers = tuple(match[1].split(","))
            slash = "/" if match[2].startswith("/") else ""
            return cls(servers, volume, directory, f"{servers[0]}:{slash}{path}")
        except ValueError as exc:
            raise ValueError(
                f"malformed volume spec {text!r}: {exc}; write server:/volume or server:/volume/directory"
            ) from None

    def __str__(self) -> str:
        """Through the volfile server alone, as the mount table and a storage domain's REMOTE_PATH have it."""
        return self.spelling or f"{format_host(self.servers[0])}:/{self.location}"

    @property
    def mount_name(self) -> str:
        """The directory name that oVirt mounts it under: `_` doubled, then `/` written as `_`."""
        return str(self).replace("_", "__").replace("/", "_")

    @property
    def location(self) -> str:
        """Volume and directory, whatever the server: two mounts of the same location show the same files."""
        return posixpath.join(self.volume, self.directory).rstrip("/")
