//! serde's way through the tree: each value knows where it stands, and mistakes that don't stop the reading (unknown and
//! missing keys) are noted on the way.

use serde::Deserializer;
use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{
    DeserializeSeed, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::Session;
use super::mistake::{About, Mistake, missing_key, unknown_key};
use crate::config::suggest::{any_of, nearest};
use crate::config::tree::Value;

/// Reads one node.
#[derive(Clone, Copy)]
pub(super) struct Reader<'s, 't> {
    pub(super) session: &'s Session<'t>,
    pub(super) id: usize,
}

impl<'s, 't> Reader<'s, 't> {
    fn value(self) -> &'t Value {
        &self.session.source.nodes()[self.id].value
    }

    fn entries(self, entries: &'t [(String, usize)]) -> Entries<'s, 't> {
        Entries { session: self.session, entries: entries.iter(), child: None }
    }
}

impl<'de> Deserializer<'de> for Reader<'_, '_> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.value() {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(number) => match (u64::try_from(*number), i64::try_from(*number)) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => Err(Mistake::invalid_type(Unexpected::Other("a number beyond 64 bits"), &visitor)),
            },
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => visitor.visit_seq(Items { session: self.session, items: items.iter() }),
            Value::Mapping(entries) => visitor.visit_map(self.entries(entries)),
            Value::Broken => Err(Mistake::new("unreadable")),
        }
    }

    /// What is absent is absent, but a key with nothing behind it is a mistake: a `trust:` whose lines are all commented
    /// out must not switch trust off.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let entries = match self.value() {
            Value::Mapping(entries) => entries,
            // Those of this name take a mapping or a list of them.
            Value::List(_) if name.ends_with("[]") => return self.deserialize_any(visitor),
            // serde would take a list, field after field.
            Value::List(_) => return Err(Mistake::invalid_type(Unexpected::Seq, &visitor)),
            _ => return self.deserialize_any(visitor),
        };
        let mut meant = Vec::new();
        for (key, child) in entries.iter().filter(|(key, _)| !fields.contains(&key.as_str())) {
            meant.extend(nearest(key, fields.iter().copied()));
            self.session.note(About::Key(*child), unknown_key(key, fields));
            self.session.prune(*child);
        }
        let given = |field: &str| entries.iter().any(|(key, _)| key == field) || meant.contains(&field);
        for field in
            self.session.required(name.trim_end_matches("[]")).into_iter().filter(|field| !given(field))
        {
            self.session.note(About::Value(self.id), missing_key(field));
        }
        visitor.visit_map(self.entries(entries))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match self.value() {
            Value::Text(text) => visitor.visit_enum(StrDeserializer::new(text)),
            Value::Mapping(entries) if entries.len() == 1 => {
                let (key, child) = &entries[0];
                visitor.visit_enum(Variant { name: key, reader: Reader { id: *child, ..self } })
            }
            _ => self.deserialize_any(Words(variants)).map(|never| match never {}),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

/// Says which words an enum takes; takes nothing itself.
struct Words(&'static [&'static str]);

enum Never {}

impl Visitor<'_> for Words {
    type Value = Never;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&any_of(self.0))
    }
}

struct Items<'s, 't> {
    session: &'s Session<'t>,
    items: std::slice::Iter<'t, usize>,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Mistake> {
        let Some(id) = self.items.by_ref().find(|id| !self.session.is_pruned(**id)) else {
            return Ok(None);
        };
        let reader = Reader { session: self.session, id: *id };
        seed.deserialize(reader).map(Some).map_err(|mistake| mistake.about(About::Value(*id)))
    }
}

struct Entries<'s, 't> {
    session: &'s Session<'t>,
    entries: std::slice::Iter<'t, (String, usize)>,
    child: Option<usize>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mistake> {
        let Some((key, id)) = self.entries.by_ref().find(|(_, id)| !self.session.is_pruned(*id)) else {
            return Ok(None);
        };
        self.child = Some(*id);
        let key: StringDeserializer<Mistake> = self.session.key(*id, key).into_deserializer();
        seed.deserialize(key).map(Some).map_err(|mistake| mistake.about(About::Key(*id)))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mistake> {
        let id = self.child.take().ok_or_else(|| Mistake::new("a value without a key"))?;
        let reader = Reader { session: self.session, id };
        seed.deserialize(reader).map_err(|mistake| mistake.about(About::Value(id)))
    }
}

/// `name: value`, for an enum whose variants carry something.
struct Variant<'s, 't> {
    name: &'t str,
    reader: Reader<'s, 't>,
}

impl<'de> EnumAccess<'de> for Variant<'_, '_> {
    type Error = Mistake;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Mistake> {
        let name: StrDeserializer<'_, Mistake> = StrDeserializer::new(self.name);
        let value = seed.deserialize(name).map_err(|mistake| mistake.about(About::Key(self.reader.id)))?;
        Ok((value, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_> {
    type Error = Mistake;

    fn unit_variant(self) -> Result<(), Mistake> {
        let message = format!("`{}` stands alone: nothing may be below it", self.name);
        Err(Mistake::new(message).about(About::Key(self.reader.id)))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mistake> {
        let id = self.reader.id;
        seed.deserialize(self.reader).map_err(|mistake| mistake.about(About::Value(id)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Mistake> {
        let id = self.reader.id;
        self.reader.deserialize_any(visitor).map_err(|mistake| mistake.about(About::Value(id)))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let id = self.reader.id;
        self.reader.deserialize_struct("", fields, visitor).map_err(|mistake| mistake.about(About::Value(id)))
    }
}
