//! Stages the C library below a prefix, with the names and places that C projects expect of libzmq.
//!
//! | place | what |
//! |---|---|
//! | `include` | `zmq.h`, `zmq_utils.h` |
//! | `lib` | the shared library, its two links, the static library |
//! | `lib/pkgconfig` | `libzmq.pc` |
//! | `lib/cmake/ZeroMQ` | what `find_package(ZeroMQ)` reads |
//!
//! All of it refers to itself by relative paths, so that the prefix may be moved. The version is
//! the one in `zmq.h`.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::checks::{cargo, succeed, target_directory, workspace};
use crate::{Outcome, Request};

/// What libtool makes of the library's interface number in libzmq 4.3.6.
const SHARED: &str = "libzmq.so.5.2.6";
/// The soname, by which programs find it, and the name that linkers look for.
const LINKS: &[&str] = &["libzmq.so.5", "libzmq.so"];

pub(crate) fn install(request: &Request) -> Outcome {
    let prefix = request.prefix.as_ref();
    let prefix = prefix.ok_or("install needs to be told where: --prefix DIR")?;
    stage(prefix)?;
    println!("libzmq {} is in {}", version()?, prefix.display());
    Ok(Vec::new())
}

/// Builds the library and puts it below `prefix`, over what may be there.
pub(crate) fn stage(prefix: &Path) -> Result<(), String> {
    let mut build = cargo();
    let manifest = source().join("Cargo.toml");
    build.args(["build", "--release", "--quiet", "--manifest-path"]);
    succeed(build.arg(manifest))?;
    let version = version()?;
    lay_out(prefix, &target_directory().join("release"), &version)
        .map_err(|error| format!("{} cannot be written: {error}", prefix.display()))
}

fn lay_out(prefix: &Path, built: &Path, version: &str) -> io::Result<()> {
    let source = source();
    let (include, lib) = (prefix.join("include"), prefix.join("lib"));
    let (pkgconfig, cmake) = (lib.join("pkgconfig"), lib.join("cmake/ZeroMQ"));
    for folder in [&include, &pkgconfig, &cmake] {
        fs::create_dir_all(folder)?;
    }
    for header in ["zmq.h", "zmq_utils.h"] {
        put(&source.join("include").join(header), &include.join(header))?;
    }
    put(&built.join("libzmq.so"), &lib.join(SHARED))?;
    put(&built.join("libzmq.a"), &lib.join("libzmq.a"))?;
    for link in LINKS {
        clear(&lib.join(link))?;
        symlink(SHARED, lib.join(link))?;
    }
    let config = "ZeroMQConfig.cmake";
    put(&source.join("cmake").join(config), &cmake.join(config))?;
    for (template, place) in [
        ("libzmq.pc.in", pkgconfig.join("libzmq.pc")),
        (
            "cmake/ZeroMQConfigVersion.cmake.in",
            cmake.join("ZeroMQConfigVersion.cmake"),
        ),
    ] {
        let text = fs::read_to_string(source.join(template))?;
        clear(&place)?;
        fs::write(place, text.replace("@VERSION@", version))?;
    }
    Ok(())
}

/// A copy under a new inode: a program that runs keeps the file that it has mapped.
fn put(from: &Path, to: &Path) -> io::Result<()> {
    clear(to)?;
    fs::copy(from, to)
        .map(drop)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", from.display())))
}

fn clear(place: &Path) -> io::Result<()> {
    match fs::remove_file(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn source() -> PathBuf {
    workspace().join("crates/libzmq")
}

/// The version that the header tells its readers.
fn version() -> Result<String, String> {
    let header = source().join("include/zmq.h");
    let text = fs::read_to_string(&header)
        .map_err(|error| format!("{} cannot be read: {error}", header.display()))?;
    let part = |name: &str| {
        let mut lines = text.lines().map(|line| line.split_whitespace());
        let found = lines.find_map(|mut words| {
            (words.next() == Some("#define") && words.next() == Some(name)).then(|| words.next())
        });
        let number = found.flatten();
        number.ok_or_else(|| format!("{} has no {name}", header.display()))
    };
    let parts = [
        part("ZMQ_VERSION_MAJOR")?,
        part("ZMQ_VERSION_MINOR")?,
        part("ZMQ_VERSION_PATCH")?,
    ];
    Ok(parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for a test, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let name = format!("xebec-install-{name}-{}", std::process::id());
            let place = std::env::temp_dir().join(name);
            fs::create_dir_all(&place).unwrap();
            Folder(place)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_version_is_that_of_the_header() {
        let version = version().unwrap();
        let parts: Vec<u32> = version.split('.').map(|n| n.parse().unwrap()).collect();
        assert_eq!(parts[0], 4);
        assert_eq!(parts.len(), 3);
    }

    #[test]
    fn a_second_install_replaces_the_first() {
        let folder = Folder::new("twice");
        let (built, prefix) = (folder.0.join("built"), folder.0.join("prefix"));
        fs::create_dir_all(&built).unwrap();
        for body in ["first", "second"] {
            fs::write(built.join("libzmq.so"), body).unwrap();
            fs::write(built.join("libzmq.a"), body).unwrap();
            lay_out(&prefix, &built, "4.3.6").unwrap();
        }
        for name in LINKS.iter().chain(&[SHARED, "libzmq.a"]) {
            let found = fs::read_to_string(prefix.join("lib").join(name)).unwrap();
            assert_eq!(found, "second", "{name}");
        }
        let pc = fs::read_to_string(prefix.join("lib/pkgconfig/libzmq.pc")).unwrap();
        assert!(pc.contains("\nVersion: 4.3.6\n"), "{pc}");
        let cmake = prefix.join("lib/cmake/ZeroMQ");
        assert!(cmake.join("ZeroMQConfig.cmake").is_file());
        let version = fs::read_to_string(cmake.join("ZeroMQConfigVersion.cmake")).unwrap();
        assert!(version.contains("PACKAGE_VERSION \"4.3.6\""), "{version}");
    }

    #[test]
    fn a_library_that_was_not_built_is_named() {
        let folder = Folder::new("nothing");
        let error = lay_out(&folder.0.join("prefix"), &folder.0, "4.3.6").unwrap_err();
        assert!(error.to_string().contains("libzmq.so"), "{error}");
    }
}
