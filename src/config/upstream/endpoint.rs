//! One backend of an upstream.

use std::fmt;
use std::num::NonZeroU16;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::EndpointAddress;

/// One backend of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is.
    pub address: EndpointAddress,
    /// Its share of the requests, in comparison with the others'.
    pub weight: NonZeroU16,
    /// Whether it gets no new requests. Those that it has, and its tunnels, go on.
    pub drain: bool,
}

/// An endpoint with all that can be said of it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Mapping {
    /// Where it is, `host:port`.
    address: EndpointAddress,
    /// Its share of the requests, in comparison with the others', from 1 to 65535.
    #[serde(default = "one")]
    weight: NonZeroU16,
    /// Whether it gets no new requests. Those that it has, and its tunnels, go on.
    #[serde(default)]
    drain: bool,
}

const fn one() -> NonZeroU16 {
    NonZeroU16::MIN
}

impl From<EndpointAddress> for Endpoint {
    fn from(address: EndpointAddress) -> Self {
        Self { address, weight: one(), drain: false }
    }
}

impl From<Mapping> for Endpoint {
    fn from(Mapping { address, weight, drain }: Mapping) -> Self {
        Self { address, weight, drain }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { address, weight, drain } = self.clone();
        if weight == one() && !drain {
            address.serialize(serializer)
        } else {
            Mapping { address, weight, drain }.serialize(serializer)
        }
    }
}

impl JsonSchema for Endpoint {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Endpoint".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (address, mapping) =
            (generator.subschema_for::<EndpointAddress>(), generator.subschema_for::<Mapping>());
        schemars::json_schema!({ "description": "One backend of an upstream.", "anyOf": [address, mapping] })
    }
}

/// Written out, because serde's `untagged` forgets what was wrong with a value and where.
impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AddressOrMapping;

        impl<'de> Visitor<'de> for AddressOrMapping {
            type Value = Endpoint;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a mapping")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Endpoint, E> {
                EndpointAddress::try_from(text.to_owned()).map(Endpoint::from).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Endpoint, A::Error> {
                Mapping::deserialize(MapAccessDeserializer::new(entries)).map(Endpoint::from)
            }
        }

        deserializer.deserialize_any(AddressOrMapping)
    }
}
