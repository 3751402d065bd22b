//! Errors: PyTorch's exception class and sentence.

use std::fmt;
use std::sync::OnceLock;

/// Which exception PyTorch raises for an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Runtime,
    Index,
    Type,
    Value,
    NotImplemented,
    Memory,
    ZeroDivision,
    Attribute,
    Assertion,
    /// A matrix for which there is no result.
    LinAlg,
    /// The front end has the real error (an exception raised by a hook); the text is a reminder.
    Host,
}

/// An error with PyTorch's sentence.
#[derive(Clone, Debug)]
pub struct Error {
    pub kind: Kind,
    pub message: String,
}

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// `err!(Runtime, "format {}", x)`: an [`Error`] of that kind.
#[macro_export]
macro_rules! err {
    ($kind:ident, $($arg:tt)*) => {
        $crate::Error::new($crate::error::Kind::$kind, format!($($arg)*))
    };
}

/// `bail!(Runtime, "format {}", x)`: returns that error.
#[macro_export]
macro_rules! bail {
    ($kind:ident, $($arg:tt)*) => { return Err($crate::err!($kind, $($arg)*)) };
}

static SHOW_WARNING: OnceLock<fn(&str) -> Result<()>> = OnceLock::new();

/// Registers what shows warnings; without it they are not shown. It may make one an error.
pub fn show_warnings_with(show: fn(&str) -> Result<()>) {
    let _ = SHOW_WARNING.set(show);
}

/// Warns the user.
pub(crate) fn warn(text: &str) -> Result<()> {
    SHOW_WARNING.get().map_or(Ok(()), |show| show(text))
}
