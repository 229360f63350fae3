//! The shared library bears the name that programs linked to libzmq look for.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libzmq.so.5");
}
