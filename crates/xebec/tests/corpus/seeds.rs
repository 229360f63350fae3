//! The hand-made part of the fuzz corpora: one line a file.

/// A file of a corpus.
pub(crate) struct Seed {
    pub(crate) target: &'static str,
    pub(crate) name: &'static str,
    pub(crate) data: Vec<u8>,
}

macro_rules! seeds {
    ($($target:ident / $name:literal = $data:expr;)*) => {
        /// All of them.
        pub(crate) fn seeds() -> Vec<Seed> {
            vec![$(Seed { target: stringify!($target), name: $name, data: $data.to_vec() }),*]
        }
    };
}

seeds! {
    endpoint / "tcp-ipv4" = b"tcp://127.0.0.1:5555";
    endpoint / "tcp-any" = b"tcp://*:*";
    endpoint / "tcp-any-bang" = b"tcp://127.0.0.1:!";
    endpoint / "tcp-name" = b"tcp://a-b_c.example.org.:5555";
    endpoint / "tcp-name-in-brackets" = b"tcp://[example.org]:22";
    endpoint / "tcp-ipv6" = b"tcp://[ABCD:1234:0:0:0:1:0:234]:80";
    endpoint / "tcp-ipv6-bare" = b"tcp://abcd:1234::1:0:234:123";
    endpoint / "tcp-ipv6-mapped" = b"tcp://[::ffff:1.2.3.4]:80";
    endpoint / "tcp-zone" = b"tcp://[fe80::1%eth0]:80";
    endpoint / "tcp-zone-number" = b"tcp://[fe80::1%02]:80";
    endpoint / "tcp-zone-zero" = b"tcp://[fe80::1%0]:80";
    endpoint / "tcp-zone-empty" = b"tcp://[fe80::1%]:80";
    endpoint / "tcp-zone-too-large" = b"tcp://[fe80::1%4294967296]:80";
    endpoint / "tcp-source" = b"tcp://[::1]:*;eth1:0";
    endpoint / "tcp-two-sources" = b"tcp://a:1;b:2;c:3";
    endpoint / "tcp-source-empty" = b"tcp://;127.0.0.1:5555";
    endpoint / "tcp-port-leading-zeros" = b"tcp://127.0.0.1:00080";
    endpoint / "tcp-port-too-large" = b"tcp://127.0.0.1:65536";
    endpoint / "tcp-port-signed" = b"tcp://127.0.0.1:+80";
    endpoint / "tcp-port-empty" = b"tcp://127.0.0.1:";
    endpoint / "tcp-no-port" = b"tcp://127.0.0.1";
    endpoint / "tcp-no-host" = b"tcp://:5555";
    endpoint / "tcp-ipv4-octal" = b"tcp://127.0.0.01:5555";
    endpoint / "tcp-ipv4-short" = b"tcp://1.2.3:5555";
    endpoint / "tcp-dots" = b"tcp://...:5555";
    endpoint / "tcp-bracket-open" = b"tcp://[::1:5555";
    endpoint / "tcp-bracket-close" = b"tcp://host]:5555";
    endpoint / "tcp-not-ascii" = "tcp://m\u{fc}nchen:5555".as_bytes();
    endpoint / "tcp-name-longest" = [b"tcp://", &[b'x'; 255][..], b":1"].concat();
    endpoint / "tcp-name-too-long" = [b"tcp://", &[b'x'; 256][..], b":1"].concat();
    endpoint / "ipc-path" = b"ipc:///tmp/a b:c;d";
    endpoint / "ipc-wildcard" = b"ipc://*";
    endpoint / "ipc-abstract" = b"ipc://@/tmp/@feed";
    endpoint / "ipc-abstract-empty" = b"ipc://@";
    endpoint / "ipc-zero-byte" = b"ipc:///tmp/a\0b";
    endpoint / "ipc-longest" = [b"ipc://@", &[b'x'; 107][..]].concat();
    endpoint / "ipc-too-long" = [b"ipc://", &[b'x'; 108][..]].concat();
    endpoint / "inproc" = b"inproc://#1";
    endpoint / "inproc-anything" = "inproc://tcp://*:1 \0\u{e9}".as_bytes();
    endpoint / "inproc-longest" = [b"inproc://", &[b'x'; 256][..]].concat();
    endpoint / "inproc-too-long" = [b"inproc://", &[b'x'; 257][..]].concat();
    endpoint / "tipc-service" = b"tipc://{5555,50}@1.1.10";
    endpoint / "tipc-range" = b"tipc://{5555, 0, 100}";
    endpoint / "tipc-port" = b"tipc://<255.4095.4095:4294967295>";
    endpoint / "tipc-any" = b"tipc://<*>";
    endpoint / "tipc-reserved" = b"tipc://{63,0,1}";
    endpoint / "tipc-too-large" = b"tipc://{5555,4294967296}@0.4096.0";
    endpoint / "no-transport" = b"127.0.0.1:5555";
    endpoint / "unknown-transport" = b"http://127.0.0.1:5555";
    endpoint / "capitals" = b"TCP://127.0.0.1:5555";
    endpoint / "control-characters" = b"tcp://\x1b[31m\r\n:1";
    endpoint / "only-a-transport" = b"tcp://";
    endpoint / "not-utf8" = b"tcp://\xff:1";
    endpoint / "nothing" = b"";

    options / "number" = b"rcvhwm=10";
    options / "number-none" = b"ZMQ_MAXMSGSIZE=unlimited";
    options / "number-c" = b"sndhwm=\x0a\0\0\0";
    options / "number-too-large" = b"sndhwm=99999999999999999999";
    options / "number-negative" = b"Backlog=-1";
    options / "number-64" = b"maxmsgsize=\xff\xff\xff\xff\xff\xff\xff\xff";
    options / "mask" = b"affinity=0xffffffffffffffff";
    options / "switch" = b"immediate=yes";
    options / "switch-number" = b"ipv6=2";
    options / "switch-dash" = b"req-relaxed=on";
    options / "time" = b"linger=250";
    options / "time-unit" = b"sndtimeo=2 s";
    options / "time-micros" = b"rcvtimeo=1500us";
    options / "time-infinite" = b"linger=infinite";
    options / "time-overflow" = b"linger=18446744073709551615h";
    options / "time-unknown-unit" = b"linger=3 weeks";
    options / "time-negative" = b"rcvtimeo=-1";
    options / "bytes" = b"routing_id=PEER\x002";
    options / "bytes-old-name" = b"identity=PEER";
    options / "bytes-zero-first" = b"routing-id=\0abc";
    options / "bytes-too-long" = [b"routing_id=".as_slice(), &[b'i'; 256]].concat();
    options / "bytes-empty" = b"routing_id=";
    options / "text" = b"bindtodevice=eth0";
    options / "text-zero-terminated" = b"bindtodevice=eth0\0";
    options / "text-zero-byte" = b"bindtodevice=eth\x000";
    options / "list-property" = b"metadata=X-Hello:World";
    options / "list-property-equals" = b"metadata=X-Hello=World";
    options / "list-property-bad" = b"metadata=Hello";
    options / "list-filter" = b"tcp_accept_filter=10.0.0.0/8";
    options / "list-filter-ipv6" = b"tcp_accept_filter=fe80::/10";
    options / "list-filter-bad" = b"tcp_accept_filter=10.0.0.0/33";
    options / "list-ids" = b"ipc_filter_uid=1000";
    options / "list-ids-c" = b"ipc_filter_uid=\xe8\x03\0\0";
    options / "list-empty" = b"ipc_filter_uid=";
    options / "flags" = b"reconnect_stop=conn_refused,after_disconnect";
    options / "flags-number" = b"reconnect_stop=3";
    options / "flags-unknown" = b"reconnect_stop=64";
    options / "descriptor" = b"use_fd=3";
    options / "descriptor-none" = b"use_fd=-1";
    options / "read-only" = b"type=1";
    options / "action" = b"subscribe=topic";
    options / "refused" = b"curve_server=1";
    options / "unknown" = b"hwm2=10";
    options / "control-characters" = b"lin\x1bger=\x1b[31m\r\n";
    options / "not-utf8" = b"linger=\xff";
    options / "name-not-utf8" = b"\xff=1";
    options / "no-value" = b"linger";
    options / "nothing" = b"";
    options / "proxy" = b"socks_proxy=proxy.example:1080";
    options / "proxy-without-port" = b"socks_proxy=proxy.example";
    options / "proxy-any" = b"socks-proxy=*:*";
    options / "c-int" = b"linger=\xff\xff\xff\xff";
    options / "c-long" = b"maxmsgsize=\xff\xff\xff\xff\xff\xff\xff\xff";
    contexts / "threads" = b"\x01\x02\0\0\0;\x02\0\0\0\0;\x03\x01\0\0\0;\x04\xff\xff\xff\xff";
    contexts / "name-number" = b"\x09\xd2\x04\0\0";
    contexts / "name-text" = b"\x09MyPrefix9012345\0";
    contexts / "name-too-long" = b"\x09seventeen letters";
    contexts / "name-zero-byte" = b"\x09ab\0cd";
    contexts / "processors" = b"\x07\x01\0\0\0;\x08\x01\0\0\0;\x08\x01\0\0\0;\x07\xff\xff\xff\xff;\x07";
    contexts / "switches" = b"\x46\0\0\0\0;\x2a\x01\0\0\0;\x0a\x02\0\0\0;\x46\xff\xff\xff\xff";
    contexts / "constants" = b"\x06\x01\0\0\0;\x05\0\0\0\0";
    contexts / "unknown" = b"\x0b\0\0\0\0;\xff";
    contexts / "nothing" = b"";
    socks / "ipv4" = b"\0\x05\0\x05\0\0\x01\x0a\0\0\x01\x04\x38";
    socks / "ipv6" = b"\x01\x05\0\x05\0\0\x04................\x04\x38";
    socks / "name" = b"\x02\x05\0\x05\0\0\x03\x09localhost\x04\x38";
    socks / "name-empty" = b"\x02\x05\0\x05\0\0\x03\0\x04\x38";
    socks / "name-longest" = [b"\x02\x05\0\x05\0\0\x03\xff".as_slice(), &[b'n'; 257]].concat();
    socks / "more-behind" = b"\0\x05\0\x05\0\0\x01\x0a\0\0\x01\x04\x38\xff\0\0\0\0\0\0\0\x01\x7f";
    socks / "login" = b"\x04\x05\x02\x01\0\x05\0\0\x01\x0a\0\0\x01\x04\x38";
    socks / "login-wanted" = b"\0\x05\xff";
    socks / "login-unwanted" = b"\x04\x05\xff";
    socks / "login-rejected" = b"\x04\x05\x02\x01\x01";
    socks / "login-wrong-version" = b"\x04\x05\x02\x05\0";
    socks / "not-offered" = b"\0\x05\x01";
    socks / "refused" = b"\0\x05\0\x05\x05\0\x01\0\0\0\0\0\0";
    socks / "unknown-reply" = b"\0\x05\0\x05\x77";
    socks / "reserved" = b"\0\x05\0\x05\0\x01\x01\0\0\0\0\0\0";
    socks / "address-type" = b"\0\x05\0\x05\0\0\x02\0\0\0\0\0\0";
    socks / "http" = b"\0HTTP/1.1 405 Method Not Allowed\r\n\r\n";
    socks / "socks-4" = b"\0\0\x5b\0\0\0\0\0\0";
    socks / "cut" = b"\x04\x05\x02\x01\0\x05\0\0\x03\x09local";
    socks / "nothing" = b"\0";
}
