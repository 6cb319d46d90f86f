//! The leaves of the file: values that parse themselves and cannot hold a bad one.

/// Implements the passage to and from YAML by way of text, and the schema that says so.
macro_rules! text_value {
    ($name:ident, $expected:expr, $pattern:expr, $description:expr) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text).map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $description })
            }
        }
    };
}

pub(super) use text_value;

mod address;
mod byte_rate;
mod collector_url;
mod common_name;
mod dns_server;
mod names;
mod network;
mod one_or_many;
mod path;
mod pattern;
mod period;
mod signed_source;
mod size;
mod syslog;
mod url;

pub(super) use address::socket_address;
pub use address::{EndpointAddress, Place};
pub use byte_rate::ByteRate;
pub use collector_url::CollectorUrl;
pub use common_name::CommonNamePattern;
pub use dns_server::DnsServer;
pub use names::{FieldName, FieldValue, HostName, LimitName, RouteContract, UpstreamName};
pub use network::Network;
pub use one_or_many::OneOrMany;
pub use path::{ExactPath, PathPrefix};
pub use pattern::Pattern;
pub use period::Period;
pub use signed_source::SignedSource;
pub use size::Size;
pub use syslog::SyslogAddress;
pub use url::{DirectoryUrl, HttpsUrl, RedisTopology, RedisUrl, StateUrl};
