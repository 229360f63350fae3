//! The files of a policy: passwords by user, and directories of public keys.

use std::path::Path;

use zeroize::Zeroizing;
use zmtp::{PublicKey, Secret};

use super::policy::PolicyError;

/// The users of a file and their passwords.
pub(super) fn passwords(path: &Path) -> Result<Vec<(Vec<u8>, Secret)>, PolicyError> {
    let text = Zeroizing::new(read(path)?);
    let mut users = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (user, password) = line.split_once('=').ok_or_else(|| PolicyError::Malformed {
            path: path.to_owned(),
            line: Some(number + 1),
            what: "a line is user=password",
        })?;
        users.push((user.into(), password.into()));
    }
    Ok(users)
}

/// The public keys of the files in a directory.
pub(super) fn public_keys(directory: &Path) -> Result<Vec<PublicKey>, PolicyError> {
    let unreadable = |error| PolicyError::Unreadable {
        path: directory.to_owned(),
        error,
    };
    let mut keys = Vec::new();
    for entry in directory.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name.ends_with("_secret") || path.is_dir() {
            continue;
        }
        keys.push(public_key(&path)?);
    }
    Ok(keys)
}

fn public_key(path: &Path) -> Result<PublicKey, PolicyError> {
    let text = read(path)?;
    let malformed = |line, what| PolicyError::Malformed {
        path: path.to_owned(),
        line,
        what,
    };
    let key = |text: &str, line| {
        let key = text.trim().trim_matches(['"', '\'']).parse();
        key.map_err(|_| malformed(line, "the key is not 40 characters of Z85"))
    };
    // A secret key looks like a public one: only the name tells that this is none.
    if path.extension().is_some_and(|extension| extension == "pub") {
        return key(&text, None);
    }
    for (number, line) in text.lines().enumerate() {
        if let Some((name, value)) = line.split_once('=')
            && name.trim() == "public-key"
        {
            return key(value, Some(number + 1));
        }
    }
    // To pass over it would make a mistyped certificate a client that is denied for no reason.
    Err(malformed(None, "there is no line public-key = \"...\""))
}

fn read(path: &Path) -> Result<String, PolicyError> {
    std::fs::read_to_string(path).map_err(|error| PolicyError::Unreadable {
        path: path.to_owned(),
        error,
    })
}

#[cfg(all(test, not(xebec_model)))]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// A directory that goes when it is dropped.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let name = format!("xebec-auth-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).expect("a directory");
            Directory(path)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).expect("a file");
            path
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn password_files_have_a_user_in_each_line() {
        let directory = Directory::new("passwords");
        let path = directory.file(
            "good",
            "# users\n\nann=secret\nbob==a = b \n=nobody\neve=\n",
        );
        let found = passwords(&path).expect("a good file");
        let expected = [
            ("ann", "secret"),
            ("bob", "=a = b "),
            ("", "nobody"),
            ("eve", ""),
        ];
        assert_eq!(
            found,
            expected.map(|(user, password)| (user.as_bytes().to_vec(), password.into()))
        );

        let path = directory.file("bad", "ann=secret\nbob secret\n");
        let error = passwords(&path).expect_err("no = in a line").to_string();
        assert!(error.contains("bad, line 2: "), "{error}");
        let error = passwords(&directory.0.join("none")).expect_err("no file");
        assert!(matches!(error, PolicyError::Unreadable { .. }), "{error}");
    }

    #[test]
    fn key_directories_have_a_key_in_each_file() {
        let directory = Directory::new("keys");
        let keys = [1, 2, 3].map(|octet| PublicKey([octet; 32]));
        let secret = PublicKey([9; 32]);
        directory.file(
            "czmq",
            &format!(
                "metadata\n    name = \"x\"\ncurve\n    public-key = \"{}\"\n",
                keys[0]
            ),
        );
        directory.file("mine.key", &format!("public-key={}\n", keys[1]));
        directory.file("czmq_secret", &format!("public-key = \"{}\"\n", secret));
        directory.file("ours.pub", &format!("{}\n", keys[2]));
        directory.file(".hidden", "nothing");
        fs::create_dir(directory.0.join("more")).expect("a directory");
        let mut found = public_keys(&directory.0).expect("good files");
        found.sort_by_key(|key| key.0);
        assert_eq!(found, keys);

        for (text, part) in [
            ("public-key = \"short\"", "line 1"),
            ("# nothing\n", "public-key"),
            (&secret.to_string(), "public-key"),
            (
                "\npublic-key = \"''''''''''''''''''''''''''''''''''''''''\"",
                "line 2",
            ),
        ] {
            directory.file("bad", text);
            let error = public_keys(&directory.0).expect_err(text).to_string();
            assert!(error.contains("bad") && error.contains(part), "{error}");
        }
        assert!(public_keys(&directory.0.join("none")).is_err());
    }
}
