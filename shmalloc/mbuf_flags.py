"""The numbers of mbuf(9): sizes in bytes, m_flags bits, types, storage types. Owns nothing: they are the core's."""

from typing import Final

from shmalloc import _native

__all__ = [
    "EXT_CLUSTER",
    "EXT_DISPOSABLE",
    "EXT_EXTREF",
    "EXT_JUMBO9",
    "EXT_JUMBO16",
    "EXT_JUMBOP",
    "EXT_MOD_TYPE",
    "EXT_NET_DRV",
    "EXT_PACKET",
    "EXT_SFBUF",
    "MCLBYTES",
    "MHLEN",
    "MINCLSIZE",
    "MJUM9BYTES",
    "MJUM16BYTES",
    "MJUMPAGESIZE",
    "MLEN",
    "MSIZE",
    "MTAG_ABI_COMPAT",
    "MTAG_MAX",
    "MTAG_PERSISTENT",
    "MT_CONTROL",
    "MT_DATA",
    "MT_HEADER",
    "MT_OOBDATA",
    "MT_SONAME",
    "M_BCAST",
    "M_COPYALL",
    "M_EOR",
    "M_EXT",
    "M_FIRSTFRAG",
    "M_FRAG",
    "M_LASTFRAG",
    "M_MCAST",
    "M_PKTHDR",
    "M_PROTO1",
    "M_PROTO2",
    "M_PROTO3",
    "M_PROTO4",
    "M_PROTO5",
    "M_RDONLY",
    "M_SKIP_FIREWALL",
    "M_VLANTAG",
    "PACKET_TAG_MACLABEL",
]

_NUMBERS = _native.mbuf_constants()

MSIZE: Final[int] = _NUMBERS["MSIZE"]
MLEN: Final[int] = _NUMBERS["MLEN"]
MHLEN: Final[int] = _NUMBERS["MHLEN"]
MINCLSIZE: Final[int] = _NUMBERS["MINCLSIZE"]
MCLBYTES: Final[int] = _NUMBERS["MCLBYTES"]
MJUMPAGESIZE: Final[int] = _NUMBERS["MJUMPAGESIZE"]
MJUM9BYTES: Final[int] = _NUMBERS["MJUM9BYTES"]
MJUM16BYTES: Final[int] = _NUMBERS["MJUM16BYTES"]
MTAG_MAX: Final[int] = _NUMBERS["MTAG_MAX"]
M_COPYALL: Final[int] = _NUMBERS["M_COPYALL"]
M_EXT: Final[int] = _NUMBERS["M_EXT"]
M_PKTHDR: Final[int] = _NUMBERS["M_PKTHDR"]
M_EOR: Final[int] = _NUMBERS["M_EOR"]
M_RDONLY: Final[int] = _NUMBERS["M_RDONLY"]
M_PROTO1: Final[int] = _NUMBERS["M_PROTO1"]
M_PROTO2: Final[int] = _NUMBERS["M_PROTO2"]
M_PROTO3: Final[int] = _NUMBERS["M_PROTO3"]
M_PROTO4: Final[int] = _NUMBERS["M_PROTO4"]
M_PROTO5: Final[int] = _NUMBERS["M_PROTO5"]
M_BCAST: Final[int] = _NUMBERS["M_BCAST"]
M_MCAST: Final[int] = _NUMBERS["M_MCAST"]
M_FRAG: Final[int] = _NUMBERS["M_FRAG"]
M_FIRSTFRAG: Final[int] = _NUMBERS["M_FIRSTFRAG"]
M_LASTFRAG: Final[int] = _NUMBERS["M_LASTFRAG"]
M_SKIP_FIREWALL: Final[int] = _NUMBERS["M_SKIP_FIREWALL"]
M_VLANTAG: Final[int] = _NUMBERS["M_VLANTAG"]
MT_DATA: Final[int] = _NUMBERS["MT_DATA"]
MT_HEADER: Final[int] = _NUMBERS["MT_HEADER"]
MT_SONAME: Final[int] = _NUMBERS["MT_SONAME"]
MT_CONTROL: Final[int] = _NUMBERS["MT_CONTROL"]
MT_OOBDATA: Final[int] = _NUMBERS["MT_OOBDATA"]
EXT_CLUSTER: Final[int] = _NUMBERS["EXT_CLUSTER"]
EXT_SFBUF: Final[int] = _NUMBERS["EXT_SFBUF"]
EXT_JUMBOP: Final[int] = _NUMBERS["EXT_JUMBOP"]
EXT_JUMBO9: Final[int] = _NUMBERS["EXT_JUMBO9"]
EXT_JUMBO16: Final[int] = _NUMBERS["EXT_JUMBO16"]
EXT_PACKET: Final[int] = _NUMBERS["EXT_PACKET"]
EXT_NET_DRV: Final[int] = _NUMBERS["EXT_NET_DRV"]
EXT_MOD_TYPE: Final[int] = _NUMBERS["EXT_MOD_TYPE"]
EXT_DISPOSABLE: Final[int] = _NUMBERS["EXT_DISPOSABLE"]
EXT_EXTREF: Final[int] = _NUMBERS["EXT_EXTREF"]
MTAG_ABI_COMPAT: Final[int] = _NUMBERS["MTAG_ABI_COMPAT"]
MTAG_PERSISTENT: Final[int] = _NUMBERS["MTAG_PERSISTENT"]
PACKET_TAG_MACLABEL: Final[int] = _NUMBERS["PACKET_TAG_MACLABEL"]
