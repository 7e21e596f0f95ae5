//! What an interface of ours is, and a method of one.

use crate::control;
use serde::{Serialize, de::DeserializeOwned};

/// An interface that a socket of ours serves.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// Its name.
    pub name: &'static str,
    /// It in Varlink's own language.
    pub text: &'static str,
    /// Its methods.
    pub methods: &'static [&'static str],
}

/// A method of an interface.
pub trait Method: Serialize + DeserializeOwned {
    /// The interface; that for operators unless another is named.
    const INTERFACE: Interface = control::SELF;
    /// Its name, without the interface.
    const NAME: &'static str;
    /// What each reply carries.
    type Reply: Serialize + DeserializeOwned;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel;

    #[test]
    fn every_method_is_described() {
        for interface in [control::SELF, kernel::SELF] {
            for method in interface.methods {
                let described = interface.text.contains(&format!("\nmethod {method}("));
                assert!(described, "{method} is not in the description of {}", interface.name);
            }
        }
    }
}
