//! The hand-made part of the fuzz corpora: one line a file.

seeds! {
    titanic / "nothing" = b"";
    titanic / "file-empty" = b"\0";
    titanic / "file-foreign" = b"\0SQLite format 3\0";
    titanic / "file-version" = b"\0XEBECTSP\x02\0\0\0";
    titanic / "file-bad-sum" = b"\0XEBECTSP\x01\0\0\0\0\0\0\0";
    titanic / "ring-empty" = b"\x01";
    titanic / "ring-noise" = [&b"\x01"[..], &[0x5E; 200]].concat();
    titanic / "ring-magic-only" = b"\x01\x0c\xc1\xbe\x5e";
    titanic / "script-head-only" = b"\x02\0\0\0\0\x01\0\0\0";
    titanic / "script-head-closed-with-a-hole" = b"\x02\0\0\x10\0\x01\x01\0\0";
    titanic / "script-another-lap" = b"\x02\xff\xff\xff\xff\x01\0\0\0";
    titanic / "script-a-request" = b"\x02\0\0\0\0\x01\0\0\0\x01\0\x08\0\0\x01\0\x01\0\0\0\0";
    titanic / "script-a-request-and-its-reply" = b"\x02\0\0\0\0\x01\0\0\0\x01\0\x08\0\0\x01\0\x01\0\0\0\0\x03\0\x04\0\0\x01\0\x01\0\0\0\0";
    titanic / "script-closed" = b"\x02\0\0\0\0\x01\0\0\0\x01\0\x08\0\0\x01\0\x01\0\0\0\0\x04\0\0\0\0\x01\0\x01\0\0\0\0";
    titanic / "script-an-answer" = b"\x02\0\0\0\0\x01\0\0\0\x05\0\x06client\0\0\x01\0\0\0\0\0\0\0\x05\0\x10\0\0\x01\0\x01\x08\0\0\0";
    titanic / "script-a-bad-body" = b"\x02\0\0\x20\0\x01\0\0\0\x01\0\x08\0\0\x01\0\x01\x02\0\0\0\x01\0\x08\0\0\x01\x20\x02\0\0\0\0";
    titanic / "script-a-bad-header" = b"\x02\0\0\x20\0\x01\0\0\0\x01\0\x08\0\0\x01\0\x01\x01\0\0\0\x01\0\x08\0\0\x01\x20\x02\0\0\0\0";
    titanic / "script-a-bad-reply" = b"\x02\0\0\x20\0\x01\0\0\0\x01\0\x08\0\0\x01\0\x01\0\0\0\0\x03\0\x04\0\0\x01\0\x01\x02\0\0\0";
    titanic / "script-a-lying-length" = b"\x02\0\0\0\0\x01\0\0\0\x01\0\x08\0\0\x01\0\x01\x04\0\xff\0";
    titanic / "script-a-void" = b"\x02\0\0\0\0\x01\0\0\0\x06\0\x40\x01\0\x01\0\x01\0\0\0\0\x01\0\x08\0\0\x01\0\x02\0\0\0\0";
    titanic / "script-an-endless-void" = b"\x02\0\0\0\0\x01\0\0\0\x06\0\x40\x01\0\x01\0\x01\x04\0\xff\0";
    titanic / "script-an-old-epoch" = b"\x02\0\0\0\0\x02\0\0\0\x01\0\x08\0\0\x01\0\x01\0\0\0\0";
    titanic / "script-a-gap" = b"\x02\0\0\xff\0\x01\0\0\0\x01\0\x08\0\x07\x01\0\x01\0\0\0\0\x01\0\x08\0\0\x01\xff\x02\0\0\0\0";
    titanic / "script-a-wrong-position" = b"\x02\0\0\0\0\x01\0\0\0\x01\0\x08\0\0\x01\0\x01\0\0\0\x01";
    titanic / "script-damaged-is-kept" = b"\x02\0\0\0\0\x01\0\0\0\x07\0\0\0\0\x01\0\x01\0\0\0\0";
    titanic / "script-the-largest" = b"\x02\0\0\0\0\x01\0\0\0\x01\0\xff\x3f\0\x01\0\x01\x08\0\0\0\x01\0\x00\x3b\0\x01\0\x02\x08\0\0\0";
}
