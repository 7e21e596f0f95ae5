//! A deserializer that gives every type an example of what it wants, and notes the shape that was asked for.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{Error, MapDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use crate::json_schema::words;

/// The shape of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// A mapping with these keys; of each its shape, and whether it must be there.
    Struct(&'static str, Vec<(&'static str, Shape, bool)>),
    List(Box<Shape>),
    Map(Box<Shape>),
    /// One of these words.
    Enum(&'static [&'static str]),
    /// One word, by what the reader expects there.
    Word(String),
}

/// The shape of `T`.
pub(super) fn shape_of<T: for<'de> Deserialize<'de>>() -> Shape {
    let mut shape = trace::<T>(None).unwrap_or_else(|error| panic!("{error}"));
    mark_required::<T>(&mut shape.clone(), &mut shape);
    shape
}

/// A key is required if nothing can be read without it.
fn mark_required<T: for<'de> Deserialize<'de>>(inner: &mut Shape, whole: &mut Shape) {
    let mut keys = Vec::new();
    collect(inner, &mut keys);
    for key in keys {
        if trace::<T>(Some(key)).is_err() {
            set_required(whole, key);
        }
    }
}

type Key = (&'static str, &'static str);

fn collect(shape: &Shape, keys: &mut Vec<Key>) {
    match shape {
        Shape::Struct(name, fields) => {
            for (field, shape, _) in fields {
                keys.push((name, field));
                collect(shape, keys);
            }
        }
        Shape::List(inner) | Shape::Map(inner) => collect(inner, keys),
        Shape::Enum(_) | Shape::Word(_) => {}
    }
}

fn set_required(shape: &mut Shape, key: Key) {
    match shape {
        Shape::Struct(name, fields) => {
            for (field, shape, required) in fields {
                *required |= key == (*name, *field);
                set_required(shape, key);
            }
        }
        Shape::List(inner) | Shape::Map(inner) => set_required(inner, key),
        Shape::Enum(_) | Shape::Word(_) => {}
    }
}

fn trace<T: for<'de> Deserialize<'de>>(omit: Option<Key>) -> Result<Shape, Error> {
    let mut found = None;
    T::deserialize(Tracer { omit, found: &mut found })?;
    found.ok_or_else(|| Error::custom("nothing was asked for"))
}

struct Tracer<'a> {
    omit: Option<Key>,
    found: &'a mut Option<Shape>,
}

/// What a visitor says that it expects.
struct Expecting<'a, V>(&'a V);

impl<'de, V: Visitor<'de>> fmt::Display for Expecting<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom(format!("a type asks for anything: {}", Expecting(&visitor))))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let expected = Expecting(&visitor).to_string();
        let example = words::example(&expected).ok_or_else(|| Error::custom(format!("no example of {expected}")))?;
        *self.found = Some(Shape::Word(expected));
        visitor.visit_str(example)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut inner = None;
        let value = visitor.visit_seq(One { tracer: Some(Tracer { omit: self.omit, found: &mut inner }) })?;
        *self.found = inner.map(|inner| Shape::List(Box::new(inner)));
        Ok(value)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut inner = None;
        let value = visitor.visit_map(Fields {
            omit: self.omit,
            name: "",
            left: &["entry"],
            current: "",
            found: Vec::new(),
            last: &mut inner,
        })?;
        *self.found = inner.map(|inner| Shape::Map(Box::new(inner)));
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut whole = None;
        let access = Fields { omit: self.omit, name, left: fields, current: "", found: Vec::new(), last: &mut whole };
        let value = visitor.visit_map(access)?;
        *self.found = whole;
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.found = Some(Shape::Enum(variants));
        let first: StrDeserializer<'_, Error> = variants.first().copied().unwrap_or_default().into_deserializer();
        visitor.visit_enum(first)
    }

    /// The only newtype is the one that keeps the place of a value: its shape is the value's.
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(Placed(self))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char string bytes byte_buf option unit unit_struct tuple
        tuple_struct identifier ignored_any
    }
}

/// A list of one.
struct One<'a> {
    tracer: Option<Tracer<'a>>,
}

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.tracer.take().map(|tracer| seed.deserialize(tracer)).transpose()
    }
}

/// Every key of a mapping in turn.
struct Fields<'a> {
    omit: Option<Key>,
    name: &'static str,
    left: &'static [&'static str],
    current: &'static str,
    found: Vec<(&'static str, Shape, bool)>,
    last: &'a mut Option<Shape>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        loop {
            let Some((first, rest)) = self.left.split_first() else {
                if !self.name.is_empty() {
                    *self.last = Some(Shape::Struct(self.name, std::mem::take(&mut self.found)));
                }
                return Ok(None);
            };
            self.left = rest;
            if self.omit != Some((self.name, first)) {
                self.current = first;
                return seed.deserialize(StrDeserializer::new(first)).map(Some);
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let mut shape = None;
        let value = seed.deserialize(Tracer { omit: self.omit, found: &mut shape })?;
        let shape = shape.ok_or_else(|| Error::custom(format!("{} asks for nothing", self.current)))?;
        match self.name {
            "" => *self.last = Some(shape),
            _ => self.found.push((self.current, shape, false)),
        }
        Ok(value)
    }
}

/// A value with its place, as the YAML reader presents it.
struct Placed<'a>(Tracer<'a>);

impl<'de> Deserializer<'de> for Placed<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(PlacedFields { tracer: Some(self.0), at: 0 })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct PlacedFields<'a> {
    tracer: Option<Tracer<'a>>,
    at: usize,
}

/// The keys by which serde-saphyr presents a value with its place.
const PLACED: [&str; 4] = ["__serde_saphyr_private_spanned", "value", "referenced", "defined"];

impl<'de> MapAccess<'de> for PlacedFields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let key = PLACED.get(self.at);
        self.at += 1;
        key.map(|key| seed.deserialize(StrDeserializer::new(key))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match (self.at, self.tracer.take()) {
            (2, Some(tracer)) => seed.deserialize(tracer),
            (1, tracer) => {
                self.tracer = tracer;
                seed.deserialize(true.into_deserializer())
            }
            _ => seed.deserialize(MapDeserializer::new([("line", 1_u32), ("column", 1)].into_iter())),
        }
    }
}
