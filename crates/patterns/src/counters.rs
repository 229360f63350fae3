//! Structs of counters, each with its name.

/// A struct whose fields count things. As text: `counters`, then those that are not zero.
macro_rules! counters {
    ($(#[doc = $about:literal])+ $Counters:ident: $($(#[doc = $doc:literal])+ $name:ident,)*) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $Counters { $($(#[doc = $doc])+ pub $name: u64,)* }

        impl $Counters {
            /// Names and values.
            pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }

        impl std::fmt::Display for $Counters {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("counters")?;
                let mut counted = self.rows().filter(|(_, value)| *value > 0);
                counted.try_for_each(|(name, value)| write!(f, " {name}={value}"))
            }
        }
    };
}

pub(crate) use counters;
