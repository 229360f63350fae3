//! `keygen`: a key pair for CURVE, printed or written to files.
//!
//! The secret key's file is made readable for its owner alone before anything is in it, and never
//! opened if it is there already, so that nobody else's file can stand in its place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use xebec::KeyPair;

use crate::args::Keygen;

pub(super) fn run(args: Keygen) -> anyhow::Result<()> {
    let keys = KeyPair::generate();
    let public = format!("{}\n", keys.public);
    let Some(secret_file) = args.file else {
        let secret = keys.secret.to_z85();
        let text = format!("public {public}secret {}\n", *secret);
        return Ok(io::stdout().write_all(text.as_bytes())?);
    };
    let public_file = beside(&secret_file);
    let files = [&secret_file, &public_file];
    if args.force {
        for file in files {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error)
                        .with_context(|| format!("cannot replace {}", file.display()));
                }
                _ => {}
            }
        }
    }
    let mut secret_out = create(&secret_file, 0o600)?;
    let mut public_out = create(&public_file, 0o644).inspect_err(|_| {
        // Half a pair is of no use; it was made just now.
        let _ = fs::remove_file(&secret_file);
    })?;
    let write = |out: &mut File, text: &str| {
        out.write_all(text.as_bytes())?;
        out.write_all(b"\n")?;
        out.sync_all()
    };
    write(&mut secret_out, &keys.secret.to_z85())
        .with_context(|| format!("cannot write {}", secret_file.display()))?;
    write(&mut public_out, &keys.public.to_string())
        .with_context(|| format!("cannot write {}", public_file.display()))?;
    Ok(io::stdout().write_all(public.as_bytes())?)
}

/// The file of the public key: the same name with `.pub` behind it.
fn beside(secret: &Path) -> PathBuf {
    let mut name = secret.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

fn create(file: &Path, mode: u32) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(mode);
    options.open(file).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => anyhow::anyhow!(
            "{} is there already; --force replaces it, and whoever knows the old key is locked out",
            file.display()
        ),
        _ => anyhow::Error::new(error).context(format!("cannot make {}", file.display())),
    })
}
