//! What a record says.

use serde::Serialize;

/// The body of a record: one JSON object on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body(String);

/// A value that cannot be a body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It cannot be written as JSON.
    #[error("write the record as JSON")]
    Json(#[source] serde_json::Error),
    /// Not an object, or with a line break between its parts.
    #[error("write the record: it is not one JSON object on one line")]
    Form,
    /// Too much.
    #[error("write the record: it has {length} bytes, and at most {max} are recorded", max = Body::MAX)]
    Long {
        /// Bytes as JSON.
        length: usize,
    },
}

impl Body {
    /// Longest body in bytes. What is longer belongs elsewhere and its digest here.
    pub const MAX: usize = 64 << 10;

    /// The body that `value` is as JSON.
    ///
    /// # Errors
    /// [`BodyError`]: what is no object, or too long, is not recorded cut off.
    ///
    /// ```
    /// let body = trust::format::Body::new(&serde_json::json!({"event": "started"}))?;
    /// assert_eq!(body.as_str(), r#"{"event":"started"}"#);
    /// # Ok::<(), trust::format::BodyError>(())
    /// ```
    pub fn new(value: &impl Serialize) -> Result<Self, BodyError> {
        let text = serde_json::to_string(value).map_err(BodyError::Json)?;
        // A raw value inside may have line breaks between its parts; in strings they are escaped.
        if !text.starts_with('{') || !text.ends_with('}') || text.contains(['\n', '\r']) {
            return Err(BodyError::Form);
        }
        if text.len() > Self::MAX {
            return Err(BodyError::Long { length: text.len() });
        }
        Ok(Self(text))
    }

    /// The JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use serde_json::value::RawValue;

    #[test]
    fn a_body_is_one_object_on_one_line() {
        assert!(Body::new(&json!({"text": "two\nlines"})).is_ok());
        let raw = RawValue::from_string("{\"a\":\n1}".to_owned()).unwrap();
        assert!(matches!(Body::new(&raw), Err(BodyError::Form)));
        for other in [json!([]), json!(1), json!(null), json!("{}")] {
            assert!(matches!(Body::new(&other), Err(BodyError::Form)), "{other}");
        }
        let long = |length: usize| json!({"x": "y".repeat(length - r#"{"x":""}"#.len())});
        assert_eq!(Body::new(&long(Body::MAX)).unwrap().as_str().len(), Body::MAX);
        assert!(matches!(Body::new(&long(Body::MAX + 1)), Err(BodyError::Long { .. })));
    }
}
