//! A document that is patched without being decoded: it is taken apart only along the paths of operations, and where the
//! check looks. What is not taken apart stays the text that it was, and is compared as that.
//!
//! Operations are those of RFC 6902 that a plan needs. Properties hold them to what the `json_patch` library makes of the same
//! documents and patches, here, in `tests/it/properties.rs` and in `fuzz/`.
//!
//! Deliberately not here: what is to be done ([`Operations`](super::Operations)), and what must come of it ([`check`](super::check)).

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Value, value::RawValue};

use super::{Operation, PatchError, What};

/// A document, or a part of one.
#[derive(Debug, Clone)]
pub(crate) enum Node<'a> {
    /// As it is written: valid JSON.
    Text(&'a str),
    /// As somebody has decoded it.
    Value(&'a Value),
    /// Taken apart.
    Object(Vec<Member<'a>>),
    /// Taken apart.
    Array(Vec<Self>),
}

/// A member of an object. No name is there twice.
pub(crate) type Member<'a> = (Cow<'a, str>, Node<'a>);

impl<'a> Node<'a> {
    /// A pod of which all is taken apart, in one pass, that a plan changes or its check looks into.
    pub(crate) fn of_pod(text: &'a str) -> Self {
        // What has another shape than a pod is taken apart as far as it is looked at.
        serde_json::Deserializer::from_str(text)
            .deserialize_map(Parts(&POD))
            .unwrap_or(Node::Text(text))
    }

    /// The document after these operations; itself stays as it is.
    pub(super) fn patched<'b>(
        &'b self,
        operations: &'b [Operation],
    ) -> Result<Node<'b>, PatchError> {
        let mut result: Node<'b> = self.clone();
        for operation in operations {
            let path = operation.path.as_str();
            result.apply(operation).ok_or_else(|| {
                PatchError::DoesNotApply(format!("{:?} at {path}", operation.what))
            })?;
        }
        Ok(result)
    }

    fn apply<'b: 'a>(&mut self, operation: &'b Operation) -> Option<()> {
        let (parent, last) = operation.path.rsplit_once('/')?;
        let mut node = self;
        for token in parent.split('/').skip(1) {
            node = node.child_mut(&unescaped(token))?;
        }
        let last = unescaped(last);
        node.take_apart();
        let value = Node::Text(&operation.value);
        match (node, operation.what) {
            (Node::Object(members), what) => {
                let at = members.iter().position(|(name, _)| *name == last);
                match (at, what) {
                    (None, What::Add) => members.push((Cow::Owned(last.into_owned()), value)),
                    (Some(at), What::Add | What::Replace) => members.get_mut(at)?.1 = value,
                    (Some(at), What::Remove) => drop(members.remove(at)),
                    (None, What::Replace | What::Remove) => return None,
                }
            }
            (Node::Array(items), What::Add) if last == "-" => items.push(value),
            (Node::Array(items), what) => {
                let at: usize = last.parse().ok()?;
                match what {
                    What::Add if at <= items.len() => items.insert(at, value),
                    What::Replace => *items.get_mut(at)? = value,
                    What::Remove if at < items.len() => drop(items.remove(at)),
                    What::Add | What::Remove => return None,
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// What has that name, or stands at that place.
    fn child_mut(&mut self, token: &str) -> Option<&mut Self> {
        self.take_apart();
        match self {
            Node::Object(members) => {
                let mut members = members.iter_mut();
                members.find_map(|(name, node)| (name == token).then_some(node))
            }
            Node::Array(items) => items.get_mut(token.parse::<usize>().ok()?),
            Node::Text(_) | Node::Value(_) => None,
        }
    }

    fn take_apart(&mut self) {
        let apart = match self {
            Node::Text(text) if text.starts_with('{') => members_of(text).map(Node::Object),
            Node::Text(text) if text.starts_with('[') => items_of(text).map(Node::Array),
            Node::Value(Value::Object(members)) => {
                let members = members.iter();
                let members =
                    members.map(|(name, value)| (Cow::from(name.as_str()), Node::Value(value)));
                Some(Node::Object(members.collect()))
            }
            Node::Value(Value::Array(items)) => {
                Some(Node::Array(items.iter().map(Node::Value).collect()))
            }
            _ => None,
        };
        if let Some(apart) = apart {
            *self = apart;
        }
    }

    /// It, taken apart.
    fn apart(&self) -> Cow<'_, Self> {
        let mut node = Cow::Borrowed(self);
        if matches!(self, Node::Text(_) | Node::Value(_)) {
            node.to_mut().take_apart();
        }
        node
    }

    /// The members of an object; none where it is no object.
    pub(super) fn members(&self) -> Cow<'_, [Member<'a>]> {
        match self.apart() {
            Cow::Borrowed(Node::Object(members)) => Cow::Borrowed(members),
            Cow::Owned(Node::Object(members)) => Cow::Owned(members),
            _ => Cow::default(),
        }
    }

    /// The items of a list; none where it is no list.
    pub(super) fn items(&self) -> Cow<'_, [Self]> {
        match self.apart() {
            Cow::Borrowed(Node::Array(items)) => Cow::Borrowed(items),
            Cow::Owned(Node::Array(items)) => Cow::Owned(items),
            _ => Cow::default(),
        }
    }

    /// The member of that name.
    pub(super) fn member(&self, name: &str) -> Option<Cow<'_, Self>> {
        match self {
            Node::Text(text) => {
                let mut found = None;
                let each = Each(|key: Name<'a>, value: &'a str| {
                    if key.0 == name {
                        found = Some(Cow::Owned(Node::Text(value)));
                    }
                });
                serde_json::Deserializer::from_str(text)
                    .deserialize_map(each)
                    .ok()?;
                found
            }
            Node::Value(value) => value.get(name).map(|value| Cow::Owned(Node::Value(value))),
            Node::Object(members) => {
                let mut members = members.iter();
                members.find_map(|(key, node)| (key == name).then_some(Cow::Borrowed(node)))
            }
            Node::Array(_) => None,
        }
    }

    /// What stands at that path, of names and of places in lists.
    pub(super) fn find(&self, path: &[impl AsRef<str>]) -> Option<Cow<'_, Self>> {
        path.iter().try_fold(Cow::Borrowed(self), |node, token| {
            let token = token.as_ref();
            match node {
                Cow::Borrowed(node) => node.child(token),
                Cow::Owned(node) => Some(Cow::Owned(node.child(token)?.into_owned())),
            }
        })
    }

    fn child(&self, token: &str) -> Option<Cow<'_, Self>> {
        if self.is_object() {
            return self.member(token);
        }
        let at: usize = token.parse().ok()?;
        match self.items() {
            Cow::Borrowed(items) => items.get(at).map(Cow::Borrowed),
            Cow::Owned(items) => items.into_iter().nth(at).map(Cow::Owned),
        }
    }

    /// The text that it stands for, if it is one.
    pub(super) fn as_str(&self) -> Option<Cow<'_, str>> {
        match self {
            Node::Text(text) => text_of(text),
            Node::Value(value) => value.as_str().map(Cow::Borrowed),
            Node::Object(_) | Node::Array(_) => None,
        }
    }

    /// The text that its member of that name stands for, if there is one. Of a text it may be the first of that name: what
    /// has a name twice where a pod has one is not read as a pod, and not patched as a text.
    pub(super) fn text_of(&self, name: &str) -> Option<Cow<'_, str>> {
        match self {
            Node::Text(text) => first_of(text, name).map(Cow::Borrowed).or_else(|| {
                match self.member(name)?.into_owned() {
                    Node::Text(text) => text_of(text),
                    _ => None,
                }
            }),
            Node::Value(value) => value.get(name)?.as_str().map(Cow::Borrowed),
            Node::Object(members) => {
                let mut members = members.iter();
                let found = members.find_map(|(key, node)| (key == name).then_some(node));
                found?.as_str()
            }
            Node::Array(_) => None,
        }
    }

    /// How many bytes it has as it is written, or some more; of what is taken apart nothing is known.
    pub(super) fn length(&self) -> usize {
        match self {
            Node::Text(text) => text.len(),
            Node::Value(Value::String(text)) => text.len(),
            Node::Value(_) => 0,
            Node::Object(_) | Node::Array(_) => 1 << 32,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Node::Text("null") | Node::Value(Value::Null))
    }

    pub(super) fn is_object(&self) -> bool {
        match self {
            Node::Text(text) => text.starts_with('{'),
            Node::Value(value) => value.is_object(),
            Node::Object(_) => true,
            Node::Array(_) => false,
        }
    }

    /// Is it surely the same, as no operation led through it?
    pub(super) fn is_untouched(&self, other: &Node<'_>) -> bool {
        match (self, other) {
            (Node::Text(one), Node::Text(other)) => one == other,
            (Node::Value(one), Node::Value(other)) => std::ptr::eq(*one, *other),
            _ => false,
        }
    }

    /// Equal?
    pub(super) fn is_same(&self, other: &Node<'_>) -> bool {
        self.is_untouched(other) || self.is_same_apart(other)
    }

    fn is_same_apart(&self, other: &Node<'_>) -> bool {
        match (&*self.apart(), &*other.apart()) {
            (Node::Object(one), Node::Object(other)) => {
                one.len() == other.len()
                    && pairs(one, other)
                        .all(|(_, value, there)| there.is_some_and(|there| value.is_same(there)))
            }
            (Node::Array(one), Node::Array(other)) => {
                let mut items = one.iter().zip(other);
                one.len() == other.len() && items.all(|(one, other)| one.is_same(other))
            }
            (Node::Object(_) | Node::Array(_), _) | (_, Node::Object(_) | Node::Array(_)) => false,
            (one, other) => match (Value::deserialize(one), Value::deserialize(other)) {
                (Ok(one), Ok(other)) => one == other,
                _ => false,
            },
        }
    }
}

/// The members of an object, each with that of the other, which stands at the same place as a rule.
pub(super) fn pairs<'n, 'a, 'b>(
    old: &'n [Member<'a>],
    new: &'n [Member<'b>],
) -> impl Iterator<Item = (&'n str, &'n Node<'a>, Option<&'n Node<'b>>)> {
    let mut others = new.iter();
    let mut by_name: Option<HashMap<&str, &Node<'b>>> = None;
    old.iter().map(move |(key, value)| {
        let there = others.next().filter(|(other, _)| other == key);
        let there = there.map(|(_, value)| value).or_else(|| {
            let by_name = by_name
                .get_or_insert_with(|| new.iter().map(|(key, node)| (&**key, node)).collect());
            by_name.get(&**key).copied()
        });
        (&**key, value, there)
    })
}

/// The text that it stands for, if it is one.
fn text_of(json: &str) -> Option<Cow<'_, str>> {
    let name: Option<Name<'_>> = serde_json::from_str(json).ok();
    name.map(|name| name.0)
}

/// The text in front, as most objects with a name have it: the rest is not looked at.
fn first_of<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let member = object.strip_prefix("{\"")?.strip_prefix(name)?;
    let (value, _) = member.strip_prefix("\":\"")?.split_once('"')?;
    (!value.contains('\\')).then_some(value)
}

/// A token of a JSON pointer.
fn unescaped(token: &str) -> Cow<'_, str> {
    if token.contains('~') {
        return token.replace("~1", "/").replace("~0", "~").into();
    }
    token.into()
}

/// `None` where it cannot be read, as a name with half of a surrogate pair in it.
fn members_of<'a>(text: &'a str) -> Option<Vec<Member<'a>>> {
    let mut members: Vec<Member<'a>> = Vec::with_capacity(8);
    let each = Each(|name: Name<'a>, value| members.push((name.0, Node::Text(value))));
    serde_json::Deserializer::from_str(text)
        .deserialize_map(each)
        .ok()?;
    without_repetitions(&mut members);
    Some(members)
}

/// As decoders do it: the last of a name counts, at the place of the first.
fn without_repetitions(members: &mut Vec<Member<'_>>) {
    let is_repeated = if members.len() <= 16 {
        let mut names = members.iter().enumerate();
        names.any(|(at, (name, _))| members.iter().take(at).any(|(earlier, _)| earlier == name))
    } else {
        let names: HashSet<_> = members.iter().map(|(name, _)| name).collect();
        names.len() < members.len()
    };
    if !is_repeated {
        return;
    }
    let mut places = HashMap::new();
    let mut kept: Vec<Member<'_>> = Vec::new();
    for (name, node) in std::mem::take(members) {
        let at = *places.entry(name.clone()).or_insert(kept.len());
        match kept.get_mut(at) {
            Some(earlier) => earlier.1 = node,
            None => kept.push((name, node)),
        }
    }
    *members = kept;
}

fn items_of<'a>(text: &'a str) -> Option<Vec<Node<'a>>> {
    let mut items = Vec::with_capacity(4);
    let each = EachItem(|value: &'a str| items.push(Node::Text(value)));
    serde_json::Deserializer::from_str(text)
        .deserialize_seq(each)
        .ok()?;
    Some(items)
}

/// How far a document is taken apart.
struct Shape {
    /// Of which members, or of each item of a list.
    members: &'static [(&'static str, Depth)],
}

/// How far a member is taken apart.
enum Depth {
    /// As an object.
    Object(Shape),
    /// As a list of objects.
    Objects(Shape),
    /// As a list.
    List,
}

const fn shape(members: &'static [(&'static str, Depth)]) -> Shape {
    Shape { members }
}

static POD: Shape = shape(&[
    (
        "metadata",
        Depth::Object(shape(&[("annotations", Depth::Object(shape(&[])))])),
    ),
    (
        "spec",
        Depth::Object(shape(&[
            ("volumes", Depth::List),
            ("initContainers", Depth::Objects(CONTAINER)),
            ("containers", Depth::Objects(CONTAINER)),
        ])),
    ),
]);

const CONTAINER: Shape = shape(&[("env", Depth::List), ("volumeMounts", Depth::List)]);

/// Takes apart an object of that shape.
struct Parts(&'static Shape);

/// Takes apart a list of such objects.
struct PartsOfEach(&'static Shape);

impl<'de> Visitor<'de> for Parts {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node<'de>, A::Error> {
        let mut members = Vec::with_capacity(16);
        while let Some(Name(name)) = access.next_key()? {
            let mut shapes = self.0.members.iter();
            let depth = shapes.find_map(|(known, depth)| (*known == name).then_some(depth));
            let node = match depth {
                None => Node::Text(access.next_value::<&RawValue>()?.get()),
                Some(Depth::Object(shape)) => access.next_value_seed(Self(shape))?,
                Some(Depth::Objects(shape)) => access.next_value_seed(PartsOfEach(shape))?,
                Some(Depth::List) => {
                    let mut items = Vec::with_capacity(8);
                    access.next_value_seed(EachItem(|item| items.push(Node::Text(item))))?;
                    Node::Array(items)
                }
            };
            members.push((name, node));
        }
        without_repetitions(&mut members);
        Ok(Node::Object(members))
    }
}

impl<'de> DeserializeSeed<'de> for Parts {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PartsOfEach {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node<'de>, A::Error> {
        let mut items = Vec::with_capacity(4);
        while let Some(item) = access.next_element_seed(Parts(self.0))? {
            items.push(item);
        }
        Ok(Node::Array(items))
    }
}

impl<'de> DeserializeSeed<'de> for PartsOfEach {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&'de str)> DeserializeSeed<'de> for EachItem<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

/// Hands over each member of an object.
struct Each<F>(F);

impl<'de, F: FnMut(Name<'de>, &'de str)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<(), A::Error> {
        while let Some(name) = access.next_key()? {
            let value: &'de RawValue = access.next_value()?;
            (self.0)(name, value.get());
        }
        Ok(())
    }
}

/// Hands over each item of a list.
struct EachItem<F>(F);

impl<'de, F: FnMut(&'de str)> Visitor<'de> for EachItem<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<(), A::Error> {
        while let Some(value) = access.next_element::<&'de RawValue>()? {
            (self.0)(value.get());
        }
        Ok(())
    }
}

/// A text, borrowed where nothing in it is escaped.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'de> IntoDeserializer<'de, serde_json::Error> for &'de Node<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for &'de Node<'_> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self {
            Node::Text(text) => serde_json::Deserializer::from_str(text).deserialize_any(visitor),
            Node::Value(value) => value.deserialize_any(visitor),
            Node::Object(members) => {
                let members = members.iter();
                let members = members.map(|(name, node)| (name.as_ref(), node));
                visitor.visit_map(MapDeserializer::new(members))
            }
            Node::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.iter())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    /// Nothing of it is looked at.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

#[cfg(test)]
mod tests;
