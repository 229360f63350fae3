#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| xebec_fuzz::titanic::titanic(data));
