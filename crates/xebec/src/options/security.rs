//! The options of the security mechanisms (RFC 24, RFC 25), and which mechanism they come to.
//!
//! No option says which mechanism a socket has: as in libzmq, the last one set of those that belong
//! to a mechanism decides, and with it whether the socket is the server. [`Options::mechanism`] is
//! the outcome.

use zeroize::Zeroizing;
use zmtp::{KEY_LEN, KEY_TEXT_LEN, KeyPair, Mechanism, PublicKey, Secret, SecretKey};

use super::table::{Options, Rules};
use super::value::{Fault, Field, Form, Value};

/// The security mechanism of a socket (`ZMQ_MECHANISM`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Security {
    /// None: traffic is as it is, and nobody has to show anything.
    #[default]
    Null,
    /// A name and a password, sent in the clear (RFC 24).
    Plain,
    /// Keys, and encryption (RFC 25).
    Curve,
}

impl Security {
    /// Its number in the C interface.
    pub const fn number(self) -> i32 {
        match self {
            Security::Null => 0,
            Security::Plain => 1,
            Security::Curve => 2,
        }
    }
}

impl Options {
    /// The security mechanism that the options come to (`ZMQ_MECHANISM`).
    pub fn mechanism(&self) -> Security {
        self.security
    }

    /// PLAIN_SERVER or CURVE_SERVER was set.
    pub(super) fn serve(&mut self, security: Security, on: bool) {
        self.security = if on { security } else { Security::Null };
        self.plain_server = on && security == Security::Plain;
        self.curve_server = on && security == Security::Curve;
    }

    /// A name or a password was set, or taken away.
    pub(super) fn show_plain(&mut self, on: bool) {
        self.serve(Security::Null, false);
        if on {
            self.security = Security::Plain;
        }
    }

    /// A key was set. Who was to be the server remains it.
    pub(super) fn show_key(&mut self) {
        self.serve(Security::Curve, self.plain_server || self.curve_server);
        self.security = Security::Curve;
    }

    /// The key of the server to connect to was set.
    pub(super) fn expect_server(&mut self) {
        self.serve(Security::Curve, false);
        self.security = Security::Curve;
    }

    /// The mechanism with what belongs to it, for a handshake.
    pub(crate) fn zmtp_mechanism(&self) -> Mechanism {
        let secret = || self.curve_secretkey.clone();
        match self.security {
            Security::Null => Mechanism::Null,
            Security::Plain if self.plain_server => Mechanism::PlainServer,
            Security::Plain => Mechanism::PlainClient {
                username: self.plain_username.clone().into(),
                password: self.plain_password.clone(),
            },
            Security::Curve if self.curve_server => Mechanism::CurveServer {
                keys: KeyPair::from(secret()),
            },
            Security::Curve => Mechanism::CurveClient {
                server_key: self.curve_serverkey,
                keys: KeyPair {
                    public: self.curve_publickey,
                    secret: secret(),
                },
            },
        }
    }
}

impl Field for Secret {
    const FORM: Form = Form::Text;

    fn accept(&mut self, value: &Value, rules: &Rules) -> Result<(), Fault> {
        let mut text = String::new();
        text.accept(value, rules)?;
        *self = text.into_bytes().into();
        Ok(())
    }

    fn value(&self) -> Value {
        Value::Text(String::from_utf8_lossy(self.expose()).into_owned())
    }
}

impl Field for PublicKey {
    const FORM: Form = Form::Key;

    fn accept(&mut self, value: &Value, _: &Rules) -> Result<(), Fault> {
        *self = PublicKey(*key(value)?);
        Ok(())
    }

    fn value(&self) -> Value {
        Value::Text(self.to_z85())
    }
}

impl Field for SecretKey {
    const FORM: Form = Form::Key;

    fn accept(&mut self, value: &Value, _: &Rules) -> Result<(), Fault> {
        *self = SecretKey::from(*key(value)?);
        Ok(())
    }

    fn value(&self) -> Value {
        Value::Text(self.to_z85().to_string())
    }
}

/// A key: 32 octets, or its text, which may end with a zero byte.
fn key(value: &Value) -> Result<Zeroizing<[u8; KEY_LEN]>, Fault> {
    let text = match value {
        Value::Bytes(bytes) => match bytes[..].try_into() {
            Ok(octets) => return Ok(Zeroizing::new(octets)),
            Err(_) => &bytes[..],
        },
        Value::Text(text) => text.as_bytes(),
        _ => return Err(Fault::WrongType),
    };
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    if text.len() != KEY_TEXT_LEN {
        return Err(Fault::Invalid);
    }
    let octets = zmtp::z85::decode(text).map_err(|_| Fault::Invalid)?;
    let octets = Zeroizing::new(octets);
    octets[..]
        .try_into()
        .map(Zeroizing::new)
        .map_err(|_| Fault::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OptionError;

    const PUBLIC: &str = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
    const SECRET: &str = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";

    /// The mechanism and whether it is the server, after these options were set in this order.
    macro_rules! outcomes {
        ($($name:ident: $($option:literal = $value:expr),* => $security:ident, $server:literal;)*) => {
            $(#[test]
            fn $name() {
                let set: &[(&str, Value)] = &[$(($option, $value.into())),*];
                let mut options = Options::new();
                for (name, value) in set {
                    options.set(*name, value.clone()).unwrap();
                }
                assert_eq!(options.mechanism(), Security::$security);
                assert_eq!(options.zmtp_mechanism().is_server(), $server);
                let servers = (options.plain_server, options.curve_server);
                let expected = match Security::$security {
                    Security::Null => (false, false),
                    Security::Plain => ($server, false),
                    Security::Curve => (false, $server),
                };
                assert_eq!(servers, expected);
            })*
        };
    }

    outcomes! {
        nothing: => Null, false;
        plain_server: "plain_server" = true => Plain, true;
        no_plain_server: "plain_server" = false => Null, false;
        plain_client: "plain_username" = "a", "plain_password" = "b" => Plain, false;
        plain_without_password: "plain_username" = "a" => Plain, false;
        plain_taken_back: "plain_username" = "a", "plain_username" = "" => Null, false;
        plain_server_then_client: "plain_server" = true, "plain_password" = "b" => Plain, false;
        curve_server: "curve_server" = true, "curve_secretkey" = SECRET => Curve, true;
        curve_server_keys_first: "curve_secretkey" = SECRET, "curve_server" = true => Curve, true;
        no_curve_server: "curve_secretkey" = SECRET, "curve_server" = false => Null, false;
        curve_client: "curve_secretkey" = SECRET, "curve_publickey" = PUBLIC, "curve_serverkey" = PUBLIC => Curve, false;
        curve_server_then_client: "curve_server" = true, "curve_serverkey" = PUBLIC => Curve, false;
        curve_then_plain: "curve_server" = true, "plain_username" = "a" => Plain, false;
        plain_then_curve: "plain_username" = "a", "curve_publickey" = PUBLIC => Curve, false;
        plain_server_with_a_key: "plain_server" = true, "curve_publickey" = PUBLIC => Curve, true;
        last_one_wins: "curve_server" = true, "plain_server" = true => Plain, true;
        domain_alone: "zap_domain" = "x" => Null, false;
    }

    #[test]
    fn keys_in_their_forms() {
        let octets = *PUBLIC
            .parse::<PublicKey>()
            .map(|key| key.0)
            .as_ref()
            .unwrap();
        let terminated = format!("{PUBLIC}\0");
        let values = [
            Value::from(&octets[..]),
            Value::from(PUBLIC),
            Value::from(PUBLIC.as_bytes()),
            Value::from(terminated.as_bytes()),
        ];
        for name in ["curve_publickey", "curve_secretkey", "curve_serverkey"] {
            let row = Options::spec(name).unwrap();
            for value in &values {
                let mut options = Options::new();
                options.set(name, value.clone()).unwrap();
                let value = options.value(name).unwrap();
                assert_eq!(row.tell_c(&value, 32).unwrap(), octets);
                assert_eq!(row.tell_c(&value, 41).unwrap(), terminated.as_bytes());
                for room in [0, 31, 33, 40, 42, 255] {
                    assert!(row.tell_c(&value, room).is_err(), "{room}");
                }
            }
            for wrong in [
                &octets[..31],
                &PUBLIC.as_bytes()[..39],
                b"",
                &[b'~'; 40],
                &[b'0'; 41],
            ] {
                let mut options = Options::new();
                let result = options.set(name, wrong);
                assert!(
                    matches!(result, Err(OptionError::Invalid { .. })),
                    "{wrong:?}"
                );
                assert_eq!(options, Options::new());
            }
        }
    }

    /// Neither when they are wrong nor when they are right.
    #[test]
    fn secrets_are_not_shown() {
        let mut options = Options::new();
        let wrong = "Tell-nobody".repeat(30);
        for name in ["plain_password", "curve_secretkey"] {
            let error = options.set(name, wrong.as_str()).unwrap_err();
            assert!(!error.to_string().contains("Tell"), "{error}");
        }
        options.set("plain_password", "Tell-nobody").unwrap();
        options.set("curve_secretkey", SECRET).unwrap();
        let shown = format!("{options:?}");
        assert!(
            !shown.contains("Tell") && !shown.contains(SECRET),
            "{shown}"
        );
    }
}
