//! Who may connect: rules for addresses, passwords and keys, and a callback for all else.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use zmtp::{Credentials, MAX_PLAIN, Metadata, PublicKey, Secret, zap};

use super::files;
use crate::options::AddressFilter;

/// Stands for every domain.
const EVERY: &str = "*";

type Judge = dyn Fn(&zap::Request<'_>) -> Decision + Send + Sync;
type Report = dyn Fn(&zap::Request<'_>, &Decision) + Send + Sync;

/// Who may connect to a context's sockets: what an [`Authenticator`](super::Authenticator) goes by.
///
/// A peer is let in if its address is acceptable and its credentials are known:
///
/// * An address is acceptable unless it is [denied](Self::deny_address), or other addresses are
///   [allowed](Self::allow_address) and it is not.
/// * With NULL there are no credentials: the address must be one of those allowed, or the domain be
///   [open](Self::open).
/// * With PLAIN the domain must have this [user and password](Self::password).
/// * With CURVE the domain must have this [client's key](Self::client_key), or take
///   [any](Self::any_client_key).
/// * Where these say no, the [callback](Self::judge) is asked, if there is one.
///
/// A domain is what a socket was given as ZAP_DOMAIN; `"*"` stands for all. The policy of an
/// authenticator can be replaced while it runs, and its files read again.
#[derive(Clone, Default)]
#[must_use]
pub struct Policy {
    allowed: Vec<AddressFilter>,
    allowed_users: Vec<u32>,
    denied: Vec<AddressFilter>,
    open: Vec<String>,
    passwords: Vec<(String, Vec<u8>, Secret)>,
    password_files: Vec<(String, PathBuf)>,
    keys: Vec<(String, PublicKey)>,
    key_directories: Vec<(String, PathBuf)>,
    any_key: Vec<String>,
    judge: Option<Arc<Judge>>,
    report: Option<Arc<Report>>,
}

/// Whether a peer is let in, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is (200).
    Allow {
        /// Who it is, for the application: [`PeerInfo::user_id`](crate::PeerInfo::user_id).
        user_id: String,
        /// More about it, for the application: [`PeerInfo::granted`](crate::PeerInfo::granted).
        metadata: Metadata,
    },
    /// It is not (400).
    Deny {
        /// Why, for a log: the peer is not told.
        reason: String,
    },
    /// It is not now, and may try again (300).
    Later {
        /// Why, for a log: the peer is not told.
        reason: String,
    },
}

impl Decision {
    /// Lets the peer in as this user.
    pub fn allow(user_id: impl Into<String>) -> Self {
        Decision::Allow {
            user_id: user_id.into(),
            metadata: Metadata::new(),
        }
    }

    /// Does not let the peer in.
    pub fn deny(reason: impl Into<String>) -> Self {
        Decision::Deny {
            reason: reason.into(),
        }
    }

    /// Does not let the peer in now; it may try again.
    pub fn later(reason: impl Into<String>) -> Self {
        Decision::Later {
            reason: reason.into(),
        }
    }
}

/// What is wrong with a policy, in its files mostly.
#[derive(Debug)]
#[non_exhaustive]
pub enum PolicyError {
    /// A file or directory cannot be read.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file does not have what is expected in it.
    Malformed {
        /// Which.
        path: PathBuf,
        /// The line, from 1; `None` if the file as a whole is meant.
        line: Option<usize>,
        /// What is wrong.
        what: &'static str,
    },
    /// A user name or password is longer than PLAIN allows.
    TooLong {
        /// The user name.
        user: String,
    },
}

impl Policy {
    /// A policy that lets nobody in.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes peers from these addresses only, and others that are allowed; with NULL it lets them
    /// in. Over ipc there are no addresses: see [`allow_local_user`](Self::allow_local_user).
    pub fn allow_address(mut self, addresses: AddressFilter) -> Self {
        self.allowed.push(addresses);
        self
    }

    /// The same for the processes of a user (by number) that connect over ipc.
    pub fn allow_local_user(mut self, uid: u32) -> Self {
        self.allowed_users.push(uid);
        self
    }

    /// Takes no peers from these addresses, whatever else is said.
    pub fn deny_address(mut self, addresses: AddressFilter) -> Self {
        self.denied.push(addresses);
        self
    }

    /// Lets peers without credentials (NULL) into a domain, if their address is acceptable.
    pub fn open(mut self, domain: impl Into<String>) -> Self {
        self.open.push(domain.into());
        self
    }

    /// Lets a user with a password (PLAIN) into a domain. A user may have several.
    pub fn password(
        mut self,
        domain: impl Into<String>,
        user: impl Into<Vec<u8>>,
        password: impl Into<Secret>,
    ) -> Self {
        self.passwords
            .push((domain.into(), user.into(), password.into()));
        self
    }

    /// Lets the users of a file into a domain: a line `user=password` for each. Empty lines and
    /// those that begin with `#` are passed over. The password is all that follows the first `=`.
    pub fn password_file(mut self, domain: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.password_files.push((domain.into(), path.into()));
        self
    }

    /// Lets the client with this public key (CURVE) into a domain.
    pub fn client_key(mut self, domain: impl Into<String>, key: PublicKey) -> Self {
        self.keys.push((domain.into(), key));
        self
    }

    /// Lets the clients with the public keys in a directory into a domain: each file has a line
    /// `public-key = "..."`, as the certificates of CZMQ and pyzmq do, or ends in `.pub` and is the
    /// key, as `xebec keygen` writes it. Hidden files, and those that end in `_secret`, are passed
    /// over.
    pub fn client_keys_in(
        mut self,
        domain: impl Into<String>,
        directory: impl Into<PathBuf>,
    ) -> Self {
        self.key_directories.push((domain.into(), directory.into()));
        self
    }

    /// Lets every client with a key pair of its own (CURVE) into a domain: encryption without
    /// authentication.
    pub fn any_client_key(mut self, domain: impl Into<String>) -> Self {
        self.any_key.push(domain.into());
        self
    }

    /// Asks this about peers from acceptable addresses that nothing else lets in. It runs on the
    /// authenticator's thread: others wait meanwhile, at most for their HANDSHAKE_IVL. One that
    /// panics has denied.
    pub fn judge(
        mut self,
        judge: impl Fn(&zap::Request<'_>) -> Decision + Send + Sync + 'static,
    ) -> Self {
        self.judge = Some(Arc::new(judge));
        self
    }

    /// Tells this about every decision, for a log. It runs on the authenticator's thread.
    pub fn report(
        mut self,
        report: impl Fn(&zap::Request<'_>, &Decision) + Send + Sync + 'static,
    ) -> Self {
        self.report = Some(Arc::new(report));
        self
    }

    /// Reads the files.
    pub(super) fn load(&self) -> Result<Rules, PolicyError> {
        let mut rules = Rules {
            policy: self.clone(),
            passwords: HashMap::new(),
            keys: HashSet::new(),
        };
        for (domain, user, password) in &self.passwords {
            rules.add_password(domain, user.clone(), password.clone())?;
        }
        for (domain, path) in &self.password_files {
            for (user, password) in files::passwords(path)? {
                rules.add_password(domain, user, password)?;
            }
        }
        rules.keys.extend(self.keys.iter().cloned());
        for (domain, directory) in &self.key_directories {
            let keys = files::public_keys(directory)?;
            rules
                .keys
                .extend(keys.into_iter().map(|key| (domain.clone(), key)));
        }
        Ok(rules)
    }
}

/// A policy with its files read.
pub(super) struct Rules {
    policy: Policy,
    passwords: HashMap<(String, Vec<u8>), Vec<Secret>>,
    keys: HashSet<(String, PublicKey)>,
}

impl Rules {
    fn add_password(
        &mut self,
        domain: &str,
        user: Vec<u8>,
        password: Secret,
    ) -> Result<(), PolicyError> {
        if user.len().max(password.expose().len()) > MAX_PLAIN {
            let user = String::from_utf8_lossy(&user).into_owned();
            return Err(PolicyError::TooLong { user });
        }
        let known = self.passwords.entry((domain.to_owned(), user)).or_default();
        known.push(password);
        Ok(())
    }

    pub(super) fn report(&self, request: &zap::Request<'_>, decision: &Decision) {
        if let Some(report) = &self.policy.report {
            report(request, decision);
        }
    }

    pub(super) fn judge(&self, request: &zap::Request<'_>) -> Decision {
        let listed = match self.origin(request.address) {
            Ok(listed) => listed,
            Err(reason) => return Decision::deny(reason),
        };
        // A domain that is not text is none that a rule can name.
        let domain = str::from_utf8(request.domain).unwrap_or_default();
        match self.known(&request.credentials, domain, listed) {
            Ok(user_id) => Decision::allow(user_id),
            Err(reason) => match &self.policy.judge {
                Some(judge) => judge(request),
                None => Decision::deny(reason),
            },
        }
    }

    /// Whether the address is one of those allowed by name; an error if it is not acceptable.
    fn origin(&self, address: &[u8]) -> Result<bool, &'static str> {
        let policy = &self.policy;
        let only = !policy.allowed.is_empty() || !policy.allowed_users.is_empty();
        let origin = Origin::parse(address);
        let within = |filters: &[AddressFilter]| match origin {
            Some(Origin::Address(address)) => filters.iter().any(|f| f.contains(address)),
            _ => false,
        };
        if within(&policy.denied) {
            return Err("its address is denied");
        }
        if origin.is_none() && (only || !policy.denied.is_empty()) {
            return Err("it has no address to judge it by");
        }
        let user = matches!(origin, Some(Origin::User(uid)) if policy.allowed_users.contains(&uid));
        let listed = user || within(&policy.allowed);
        match only && !listed {
            true => Err("its address is not one of those allowed"),
            false => Ok(listed),
        }
    }

    /// Who the peer is, if one of the lists knows.
    fn known(
        &self,
        credentials: &Credentials,
        domain: &str,
        listed: bool,
    ) -> Result<String, &'static str> {
        let domains = [domain, EVERY];
        let any = |list: &[String]| list.iter().any(|d| domains.contains(&d.as_str()));
        match credentials {
            Credentials::Null if listed || any(&self.policy.open) => Ok("anonymous".into()),
            Credentials::Null => {
                Err("its address is not one of those allowed, nor is the domain open")
            }
            Credentials::Plain { username, password } => {
                let valid = |domain: &str| {
                    let known = self.passwords.get(&(domain.to_owned(), username.clone()));
                    known.is_some_and(|known| known.contains(password))
                };
                match domains.into_iter().any(valid) {
                    true => Ok(String::from_utf8_lossy(username).into_owned()),
                    false => Err("the domain has no such user, or the password is wrong"),
                }
            }
            Credentials::Curve { public_key } => {
                let known = |domain: &str| self.keys.contains(&(domain.to_owned(), *public_key));
                match any(&self.policy.any_key) || domains.into_iter().any(known) {
                    true => Ok(public_key.to_string()),
                    false => Err("the domain does not know its public key"),
                }
            }
            _ => Err("its mechanism is unknown"),
        }
    }
}

/// Where a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Address(IpAddr),
    /// A process of this user, over ipc: `localhost:UID:GID:PID`.
    User(u32),
}

impl Origin {
    fn parse(address: &[u8]) -> Option<Self> {
        let text = str::from_utf8(address).ok()?;
        match text.strip_prefix("localhost:") {
            Some(process) => {
                let uid = process.split(':').next()?.parse().ok()?;
                Some(Origin::User(uid))
            }
            None => text.parse().ok().map(Origin::Address),
        }
    }
}

/// Shows which rules there are, and no secret.
impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("allowed", &self.allowed)
            .field("allowed_users", &self.allowed_users)
            .field("denied", &self.denied)
            .field("open", &self.open)
            .field("passwords", &self.passwords.len())
            .field("password_files", &self.password_files)
            .field("keys", &self.keys.len())
            .field("key_directories", &self.key_directories)
            .field("any_key", &self.any_key)
            .field("judge", &self.judge.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyError::Unreadable { path, error } => {
                write!(f, "{} cannot be read: {error}", path.display())
            }
            PolicyError::Malformed { path, line, what } => {
                write!(f, "{}", path.display())?;
                if let Some(line) = line {
                    write!(f, ", line {line}")?;
                }
                write!(f, ": {what}")
            }
            PolicyError::TooLong { user } => write!(
                f,
                "the name or the password of the user {user:?} is longer than the {MAX_PLAIN} bytes of PLAIN"
            ),
        }
    }
}

impl std::error::Error for PolicyError {}

#[cfg(all(test, not(xebec_model)))]
mod tests {
    use super::*;

    const CARS: &[u8] = b"cars";

    fn request<'a>(address: &'a str, credentials: Credentials) -> zap::Request<'a> {
        zap::Request {
            request_id: b"1",
            domain: CARS,
            address: address.as_bytes(),
            routing_id: b"",
            credentials,
        }
    }

    fn plain(user: &str, password: &str) -> Credentials {
        Credentials::Plain {
            username: user.into(),
            password: password.into(),
        }
    }

    fn curve(octet: u8) -> Credentials {
        Credentials::Curve {
            public_key: PublicKey([octet; 32]),
        }
    }

    fn filter(text: &str) -> AddressFilter {
        text.parse().expect("a filter")
    }

    macro_rules! cases {
        ($($name:ident: $policy:expr => {$($address:literal, $credentials:expr => $let_in:literal;)*})*) => {$(
            #[test]
            fn $name() {
                let rules = $policy.load().expect("no files");
                $(
                    let asked = request($address, $credentials);
                    let decision = rules.judge(&asked);
                    let let_in = matches!(decision, Decision::Allow { .. });
                    assert_eq!(let_in, $let_in, "{asked:?}: {decision:?}");
                )*
            }
        )*};
    }

    cases! {
        an_empty_policy_lets_nobody_in: Policy::new() => {
            "127.0.0.1", Credentials::Null => false;
            "127.0.0.1", plain("", "") => false;
            "127.0.0.1", curve(1) => false;
            "", Credentials::Null => false;
            "localhost:0:0:1", Credentials::Null => false;
        }
        allowed_addresses_are_enough_for_null_only: Policy::new().allow_address(filter("10.0.0.0/8")) => {
            "10.1.2.3", Credentials::Null => true;
            "::ffff:10.1.2.3", Credentials::Null => true;
            "11.1.2.3", Credentials::Null => false;
            "10.1.2.3", plain("", "") => false;
            "10.1.2.3", curve(1) => false;
            "", Credentials::Null => false;
            "localhost:0:0:1", Credentials::Null => false;
            "10.1.2.3 ", Credentials::Null => false;
        }
        a_denied_address_is_denied_whatever_it_shows: Policy::new()
            .allow_address(filter("10.0.0.0/8")).deny_address(filter("10.0.0.7"))
            .password("*", "user", "secret").any_client_key("*").judge(|_| Decision::allow("all")) => {
            "10.0.0.6", Credentials::Null => true;
            "10.0.0.7", Credentials::Null => false;
            "10.0.0.7", plain("user", "secret") => false;
            "10.0.0.7", curve(1) => false;
            "11.0.0.1", plain("user", "secret") => false;
        }
        with_denied_addresses_alone_others_need_credentials: Policy::new()
            .deny_address(filter("10.0.0.7")).password("cars", "user", "secret") => {
            "10.0.0.6", Credentials::Null => false;
            "10.0.0.6", plain("user", "secret") => true;
            "10.0.0.7", plain("user", "secret") => false;
            "", plain("user", "secret") => false;
            "localhost:0:0:1", plain("user", "secret") => true;
        }
        passwords_are_those_of_the_domain: Policy::new()
            .password("cars", "ann", "a").password("cars", "ann", "b")
            .password("boats", "bob", "c").password("*", "eve", "d") => {
            "", plain("ann", "a") => true;
            "", plain("ann", "b") => true;
            "", plain("ann", "c") => false;
            "", plain("ann", "") => false;
            "", plain("ann", "ab") => false;
            "", plain("bob", "c") => false;
            "", plain("eve", "d") => true;
            "", plain("EVE", "d") => false;
            "", Credentials::Null => false;
            "", curve(0) => false;
        }
        keys_are_those_of_the_domain: Policy::new()
            .client_key("cars", PublicKey([1; 32])).client_key("boats", PublicKey([2; 32]))
            .client_key("*", PublicKey([3; 32])) => {
            "", curve(1) => true;
            "", curve(2) => false;
            "", curve(3) => true;
            "", plain("", "") => false;
        }
        any_key_is_for_the_domain: Policy::new().any_client_key("boats") => {
            "", curve(1) => false;
        }
        any_key_is_any_key: Policy::new().any_client_key("cars") => {
            "", curve(1) => true;
            "", Credentials::Null => false;
            "", plain("", "") => false;
        }
        an_open_domain_asks_for_no_credentials: Policy::new().open("cars") => {
            "192.0.2.1", Credentials::Null => true;
            "", Credentials::Null => true;
            "", plain("", "") => false;
        }
        another_domain_is_not_open: Policy::new().open("boats") => {
            "192.0.2.1", Credentials::Null => false;
        }
        local_users_are_allowed_by_number: Policy::new().allow_local_user(1000) => {
            "localhost:1000:1000:77", Credentials::Null => true;
            "localhost:100:1000:77", Credentials::Null => false;
            "localhost", Credentials::Null => false;
            "localhost:", Credentials::Null => false;
            "1000", Credentials::Null => false;
            "10.0.0.1", Credentials::Null => false;
        }
        the_callback_decides_what_the_lists_do_not: Policy::new()
            .password("cars", "user", "secret").judge(|request| match &request.credentials {
                Credentials::Plain { username, .. } if username == b"guest" => Decision::allow("guest"),
                Credentials::Null => Decision::later("who knows"),
                _ => Decision::deny("no"),
            }) => {
            "", plain("user", "secret") => true;
            "", plain("user", "wrong") => false;
            "", plain("guest", "") => true;
            "", Credentials::Null => false;
        }
    }

    #[test]
    fn the_application_is_told_who_was_let_in() {
        let policy = Policy::new().password("cars", "ann", "a").open("cars");
        let rules = policy.any_client_key("cars").load().expect("no files");
        let user_of = |credentials| match rules.judge(&request("", credentials)) {
            Decision::Allow { user_id, .. } => user_id,
            other => panic!("{other:?}"),
        };
        assert_eq!(user_of(plain("ann", "a")), "ann");
        assert_eq!(user_of(Credentials::Null), "anonymous");
        assert_eq!(user_of(curve(7)), PublicKey([7; 32]).to_string());
    }

    #[test]
    fn what_plain_cannot_carry_is_refused_when_it_is_loaded() {
        for (user, password) in [
            ("u".repeat(256), String::new()),
            ("u".into(), "p".repeat(256)),
        ] {
            let policy = Policy::new().password("*", user, password.as_str());
            let error = policy.load().err().expect("too long");
            assert!(matches!(error, PolicyError::TooLong { .. }), "{error}");
        }
    }

    #[test]
    fn no_secret_is_printed() {
        let policy = Policy::new().password("cars", "ann", "opensesame");
        assert!(!format!("{policy:?}").contains("opensesame"));
    }
}
