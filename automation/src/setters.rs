//! Chained setters of option structs, written by one macro: a struct that may get more fields is made from its
//! default, or its `new`, and changed one field after the other.

/// `setters!(Thing { size(u32), names(Vec<String>) })` writes `Thing::size` and `Thing::names`, which set the fields
/// of these names. What is optional is given as it is, a number or time also as an `Option`; a list, set or map takes anything that can be iterated.
///
/// `setters!([T] Holder<T>, Thing [part.thing.] { size(u32) })` writes the same for a struct that holds a `Thing`.
macro_rules! setters {
    ($owner:ident { $($name:ident($($type:tt)+)),+ $(,)? }) => {
        $crate::setters::setters!([] $owner, $owner [] { $($name($($type)+)),+ });
    };
    ([$($generic:ident)?] $owner:ty, $said:ident $path:tt { $($name:ident($($type:tt)+)),+ $(,)? }) => {
        impl<$($generic)?> $owner {
            $($crate::setters::setters!(@one $said $path $name $($type)+);)+
        }
    };
    (@one $said:ident $path:tt $name:ident String) => {
        $crate::setters::setters!(@set $said $path $name (value: impl Into<String>) value.into());
    };
    (@one $said:ident $path:tt $name:ident Option<String>) => {
        $crate::setters::setters!(@set $said $path $name (value: impl Into<String>) Some(value.into()));
    };
    (@one $said:ident $path:tt $name:ident Option<PathBuf>) => {
        $crate::setters::setters!(@set $said $path $name (value: impl Into<PathBuf>) Some(value.into()));
    };
    (@one $said:ident $path:tt $name:ident Option<Parent>) => {
        $crate::setters::setters!(@set $said $path $name (value: impl Into<Parent>) Some(value.into()));
    };
    (@one $said:ident $path:tt $name:ident Option<$inner:ty>) => {
        $crate::setters::setters!(@set $said $path $name (value: impl Into<Option<$inner>>) value.into());
    };
    (@one $said:ident $path:tt $name:ident Vec<$inner:ty>) => {
        $crate::setters::setters!(@set $said $path $name (values: impl IntoIterator<Item = impl Into<$inner>>)
            values.into_iter().map(Into::into).collect());
    };
    (@one $said:ident $path:tt $name:ident BTreeSet<$inner:ty>) => {
        $crate::setters::setters!(@one $said $path $name Vec<$inner>);
    };
    (@one $said:ident $path:tt $name:ident BTreeMap<$key:ty, $inner:ty>) => {
        $crate::setters::setters!(@set $said $path $name (values: impl IntoIterator<Item = (impl Into<$key>, impl Into<$inner>)>)
            values.into_iter().map(|(key, value)| (key.into(), value.into())).collect());
    };
    (@one $said:ident $path:tt $name:ident $type:ty) => {
        $crate::setters::setters!(@set $said $path $name (value: $type) value);
    };
    (@set $said:ident [$($path:ident.)*] $name:ident ($value:ident: $type:ty) $set:expr) => {
        #[doc = concat!("Sets [`", stringify!($said), "::", stringify!($name), "`](", stringify!($said),
            "#structfield.", stringify!($name), ").")]
        pub fn $name(mut self, $value: $type) -> Self {
            self.$($path.)*$name = $set;
            self
        }
    };
}

pub(crate) use setters;
